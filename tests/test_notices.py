"""Notices of TensorFlow's start are hidden, and nothing else is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import roots_tf
from roots_tf import notices

ROOT = Path(roots_tf.__file__).parents[1]
# What the real one writes as its libraries load, and what could stand among it.
WORDS = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795965498.176074   18032 port.cc:153] oneDNN custom operations are on.
W0000 00:00:1795965498.176489   18032 gpu_device.cc:2342] Cannot dlopen some GPU libraries.
E0000 00:00:1795965504.531132   18032 cuda_platform.cc:52] failed call to cuInit: INTERNAL
F0000 00:00:1795965504.531132   18032 cpu_feature_guard.cc:20] wants AVX, which is not there
In words of another form, \xe4\xb8\xad \xff.
"""
LINES = WORDS.splitlines()


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """A package that writes as TensorFlow does when it is imported, below Python."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "tensorflow").mkdir()
    code = (
        f"import os\nos.write(2, {WORDS.encode('latin-1')!r})\n"
        "if os.environ.get('ABORTS'): os.abort()\n"
    )
    (folder / "tensorflow" / "__init__.py").write_text(code)
    return folder


def imported(library: Path, level: str | None, **variables: str) -> tuple[int, list[str]]:
    """Status of a process that imports the package, and lines of its stderr."""
    environment = {k: v for k, v in os.environ.items() if k != notices.LEVEL} | variables
    environment |= {"PYTHONPATH": f"{library}{os.pathsep}{ROOT}"}
    environment |= {} if level is None else {notices.LEVEL: level}
    code = "import pipelines, tensorflow, sys; print('after', file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    return run.returncode, run.stderr.decode("latin-1").splitlines()


@pytest.mark.parametrize(
    ("level", "shown"), [("0", LINES), ("1", LINES[2:]), ("2", LINES[3:]), ("3", LINES[4:])]
)
def test_what_a_level_leaves(library, level, shown):
    assert imported(library, level) == (0, [*shown, "after"])


def test_where_no_level_is_set_errors_stay_of_a_machine_with_a_gpu(library):
    hidden = LINES[3:] if notices.gpus() else LINES[4:]
    assert imported(library, None) == (0, [*hidden, "after"])


def test_last_words_before_an_abort_are_shown(library):
    status, lines = imported(library, "3", ABORTS="1")
    assert status == -signal.SIGABRT
    assert lines[:2] == LINES[4:]


def test_the_level_where_none_is_set(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [])
    for gpus, level in ((["/dev/nvidia0"], "2"), ([], "3")):
        monkeypatch.setattr(notices, "gpus", lambda gpus=gpus: gpus)
        monkeypatch.delenv(notices.LEVEL, raising=False)
        notices.hide()
        assert os.environ[notices.LEVEL] == level

"""Programs on a Dask cluster: the bytes of a local run, though a worker is killed on the way."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import roots_tf
from pipelines import build_examples, curate, train_tokenizer
from roots_tf import stages
from roots_tf.storage.files import InputError

pytest.importorskip("distributed")
ROOT = Path(roots_tf.__file__).parents[1]
RECIPE = """
[[steps]]
name = "repair"
[[steps]]
name = "join_lines"
[[steps]]
name = "basic_quality"
[[steps]]
name = "exact_duplicates"
[[steps]]
name = "repeated_paragraphs"
documents = 2
"""


def start(*arguments) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The scheduler file of a scheduler without workers."""
    path = tmp_path_factory.mktemp("cluster") / "scheduler.json"
    flags = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
    process = start("scheduler", "--scheduler-file", str(path), *flags)
    for _ in range(300):
        if path.exists() and path.read_text().endswith("}"):
            break
        time.sleep(0.2)
    yield str(path)
    process.kill()
    process.wait()


@pytest.fixture
def workers(scheduler):
    """Two worker processes; no nanny brings a killed one back."""
    flags = ["--nthreads", "1", "--no-nanny", "--no-dashboard"]
    processes = [start("worker", "--scheduler-file", scheduler, *flags) for _ in range(2)]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def contents(folder: Path) -> dict[str, bytes]:
    """Files that hold the output, not those that name folders or tell the time."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("config.json", "report.json", "report.html")
    }


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(novels, scheduler, workers, tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    config = {
        "input": tuple(map(str, sorted(novels.glob("*.txt"))[:12])),
        "recipe": str(tmp_path / "recipe.toml"),
        "documents": "file",
    }
    curate.main(curate.Config(**config, output=str(tmp_path / "local"), num_workers=1))
    output = tmp_path / "cluster"

    def kill():
        """As soon as a task is finished, which is before the last one is."""
        while not list(output.glob(".work/*.json")):
            time.sleep(0.01)
        os.kill(workers[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    curate.main(curate.Config(**config, output=str(output), scheduler=scheduler))
    killer.join(1)
    assert workers[0].poll() == -signal.SIGKILL and workers[1].poll() is None
    assert contents(output) == contents(tmp_path / "local")
    assert len(contents(output)) == 16


@pytest.mark.slow
def test_a_tokenizer_and_examples(novels, scheduler, workers, tmp_path):
    documents = str(tmp_path / "documents")
    books = tuple(map(str, sorted(novels.glob("*.txt"))[:3]))
    curate.main(curate.Config(input=books, documents="file", output=documents))
    found = {}
    for name, where in (("local", {"num_workers": 1}), ("cluster", {"scheduler": scheduler})):
        tokenizer, output = (str(tmp_path / name / kind) for kind in ("tokenizer", "examples"))
        train_tokenizer.main(
            train_tokenizer.Config(input=(documents,), output=tokenizer, vocab_size=2000, **where)
        )
        build_examples.main(
            build_examples.Config(
                input=(documents,), tokenizer=tokenizer, output=output, max_seq_length=64, **where
            )
        )
        found[name] = contents(tmp_path / name)
    assert found["cluster"] == found["local"]
    assert {"tokenizer/tokenizer.json", "examples/manifest.json"} <= set(found["local"])


@pytest.mark.slow
def test_a_cluster_that_cannot_be_used(scheduler, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "CONNECT_SECONDS", 2)
    monkeypatch.setattr(stages, "WORKER_SECONDS", 1)
    for where, message in (
        ("tcp://127.0.0.1:9", "could not reach the scheduler"),
        (str(tmp_path / "none.json"), "found no scheduler file"),
        (scheduler, "found no worker"),
    ):
        with pytest.raises(InputError, match=message), stages.executor(0, where, tmp_path):
            pass
    with pytest.raises(InputError, match="wanted one of them"), stages.executor(2, scheduler):
        pass

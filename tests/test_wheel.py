"""The wheel holds all that a program needs away from the clone, and every extra that is named."""

import importlib.metadata
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import roots_tf

ROOT = Path(roots_tf.__file__).parents[1]


def run(*command, **options) -> str:
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=True, **options
    ).stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Folder that the wheel is unpacked in."""
    folder = tmp_path_factory.mktemp("wheel")
    run("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    [wheel] = folder.glob("roots_tf-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_programs_run_from_the_wheel_alone(site, tmp_path):
    names = {str(path.relative_to(site)) for path in site.rglob("*")}
    for package in ("roots_tf", "pipelines"):
        for path in (ROOT / package).rglob("*.*"):
            if path.suffix in (".py", ".toml", ".css"):
                assert str(path.relative_to(ROOT)) in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert pages == {path.name for path in site.glob("*.data/data/share/doc/roots_tf/*.md")}
    metadata = next(site.glob(f"roots_tf-{roots_tf.__version__}.dist-info"))
    assert "roots = roots_tf.commands:roots" in (metadata / "entry_points.txt").read_text()
    code = (
        "import sys; sys.argv = ['roots']; from roots_tf import commands; commands.roots();"
        "print(commands.__file__)"
    )
    listed = run("-c", code, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(site)})
    assert str(site) in listed
    for path in (ROOT / "pipelines").glob("[a-z]*.py"):
        assert f"  {path.stem.replace('_', '-')} " in listed


def extras_named(text: str) -> set[str]:
    """Extras that a text tells somebody to install.

    >>> extras_named("pip install 'roots-tf[serving,keras_hub]'; the extra `test`; pip .[demo]")
    {'serving', 'keras_hub', 'test', 'demo'}
    """
    lists = re.findall(r"(?:\broots[-_]tf|(?<=[\s'\"])\.)\\?\[([\w, -]+)\\?\]", text)
    lists += re.findall(r"\bextras? `([\w-]+)`", text)
    return {name.strip() for names in lists for name in names.split(",")}


def test_extras_are_found_in_text():
    text = "pip install 'roots-tf[serving,keras_hub]'; the extra `test`; pip install .[demo] a[i]"
    assert extras_named(text) == {"serving", "keras_hub", "test", "demo"}


def test_every_extra_that_is_named_is_one_of_the_wheels(site):
    [distribution] = importlib.metadata.distributions(path=[str(site)])
    provided = set(distribution.metadata.get_all("Provides-Extra"))
    # pip 23.2 compares names as they are written, and the metadata has them with hyphens.
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in provided)
    for name in provided:
        assert any(f'extra == "{name}"' in line for line in distribution.requires), name
    sources = [ROOT / "Makefile", *ROOT.glob("*.md"), *(ROOT / ".ci").glob("*")]
    for folder in ("docs", "roots_tf", "pipelines", "benchmarks", "notebooks", "tests"):
        sources += [
            path
            for path in (ROOT / folder).rglob("*")
            if path.suffix in (".py", ".md", ".toml", ".ipynb") and path != Path(__file__)
        ]
    named = {
        name: path for path in sources for name in extras_named(path.read_text("utf-8", "replace"))
    }
    assert {"curation", "serving", "test"} <= named.keys()
    assert {name: path for name, path in named.items() if name not in provided} == {}

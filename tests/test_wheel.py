"""The wheel holds all that a program needs away from the clone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import roots_tf

ROOT = Path(roots_tf.__file__).parents[1]


def run(*command, **options) -> str:
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=True, **options
    ).stdout


def test_programs_run_from_the_wheel_alone(tmp_path):
    run("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT))
    [wheel] = tmp_path.glob("roots_tf-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    for package in ("roots_tf", "pipelines"):
        for path in (ROOT / package).rglob("*.*"):
            if path.suffix in (".py", ".toml", ".css"):
                assert str(path.relative_to(ROOT)) in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]
    metadata = next(tmp_path.glob(f"site/roots_tf-{roots_tf.__version__}.dist-info"))
    assert "roots = roots_tf.program:roots" in (metadata / "entry_points.txt").read_text()
    (tmp_path / "empty").mkdir()
    code = (
        "import sys; sys.argv = ['roots']; from roots_tf import program; program.roots();"
        "print(program.__file__)"
    )
    listed = run(
        "-c",
        code,
        cwd=tmp_path / "empty",
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
    )
    assert str(tmp_path / "site") in listed
    for path in (ROOT / "pipelines").glob("[a-z]*.py"):
        assert f"  {path.stem.replace('_', '-')} " in listed

"""Runs of `curate` as another process, and what is in their folders."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet

import roots_tf
from roots_tf.storage import files

ROOT = Path(roots_tf.__file__).parents[1]
CORPUS_RECIPE = """
[[steps]]
name = "repair"
[[steps]]
name = "basic_quality"
[[steps]]
name = "exact_duplicates"
[[steps]]
name = "near_duplicates"
[[steps]]
name = "repeated_paragraphs"
documents = 5
[[steps]]
name = "sample"
keep = 0.8
"""


def rows(output) -> list[dict]:
    paths = sorted(Path(output).glob("*.parquet"))
    return [row for path in paths for row in pyarrow.parquet.read_table(path).to_pylist()]


def digest(output) -> str:
    data = b"".join(path.read_bytes() for path in sorted(Path(output).glob("*.parquet")))
    return hashlib.sha256(data).hexdigest()


def report(output) -> dict:
    return files.read_json(Path(output, "report.json"))


def step(output, name) -> dict:
    (found,) = (step for step in report(output)["steps"] if step["name"] == name)
    return found


def counts(value):
    """A report without what depends on the clock and on the files."""
    if isinstance(value, dict):
        skipped = ("seconds", "task_seconds", "inputs")
        return {name: counts(inner) for name, inner in value.items() if name not in skipped}
    return list(map(counts, value)) if isinstance(value, list) else value


def run(*flags, cwd=ROOT):
    command = [sys.executable, "-m", "pipelines.curate", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)

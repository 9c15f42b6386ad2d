"""What became slower than it was at an earlier commit: both installed apart, in turns.

    make bench-check                       # against the commit before
    make bench-check BASE=v0.9.0

Builds a wheel of the commit and one of the working tree, installs each into a folder of its own in
front of the packages of this Python, and lets them take turns of one process for each figure:

    start            seconds of `roots tokenize` on one line, the whole process
    step, tiny       milliseconds of a masked step, `roots benchmark-step`
    step, causal     the same of a causal one
    examples         seconds of `roots build-examples`, the whole process
    embed            seconds of `roots embed` over a file, the whole process
    served           milliseconds of a SavedModel, text in, texts one by one, the median

The text is the project's pages. The earlier commit makes the vocabulary and the model that both
read, so the files of one version are read by the next one too. A figure is slower if its median is
above the earlier one by more than the larger of both ranges, and by `--tolerance` at least; then
the program ends with status 1. Takes about five minutes of two idle processors; on a busy machine
ranges are wide and little is told.
"""

import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from roots_tf import program
from roots_tf.storage import files

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ("start", "step, tiny", "step, causal", "examples", "embed", "served")
# A process of its own: the SavedModel needs TensorFlow and nothing of either version.
SERVED = """
import json, sys, time
import numpy as np
import tensorflow as tf
import tensorflow_text
folder, texts, output = sys.argv[1:]
served = tf.saved_model.load(folder)  # its signature is gone when it is
answer = served.signatures["serving_default"]
lines = open(texts, encoding="utf-8").read().splitlines()[:400]
seconds = []
for line in lines:
    began = time.perf_counter()
    answer(text=tf.constant([line]))
    seconds.append(time.perf_counter() - began)
json.dump(1000 * float(np.median(seconds[100:])), open(output, "w"))
"""


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    base: str = program.flag("HEAD~1", help="commit to compare with")
    rounds: int = program.flag(3, help="turns of each version", minimum=2, maximum=100)
    tolerance: float = program.flag(
        0.03, help="share by which a median may grow in any case", minimum=0, maximum=10
    )
    seconds: float = program.flag(
        3.0, help="that a turn of a training step is measured", minimum=0, maximum=3600
    )
    only: tuple[str, ...] = program.flag((), help="figures with one of these in their name")
    output: str = program.flag("", help="JSON file for the results; none if empty")


@dataclasses.dataclass(frozen=True)
class Version:
    """One of the two.

    Attributes:
        site: folder that the wheel was installed into.
        work: folder of what it writes.
    """

    site: Path
    work: Path

    def python(self, *arguments) -> None:
        """Runs this Python with the version in front of all else."""
        finish(
            [sys.executable, *map(str, arguments)],
            cwd=self.work,  # and not the working tree, whose package would be found first
            env=os.environ | {"PYTHONPATH": str(self.site)},
        )

    def roots(self, name: str, **flags) -> float:
        """Runs a program; the seconds that its process took."""
        given = [f"--{flag}={value}" for flag, value in flags.items()]
        began = time.monotonic()
        self.python("-m", f"pipelines.{name.replace('-', '_')}", *given)
        return time.monotonic() - began


def main(config: Config) -> list[dict]:
    """Measures, prints a table and returns its rows; ends with status 1 if one is slower."""
    unknown = [part for part in config.only if not any(part in name for name in FIGURES)]
    if unknown:
        raise files.InputError(
            "no-such-choice",
            f"found --only={unknown[0]}; wanted parts of these names: {'; '.join(FIGURES)}",
        )
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        versions = {name: install(name, config, scratch) for name in ("base", "now")}
        text = scratch / "text.txt"
        pages = sorted(Path(ROOT, "docs").glob("*.md"))
        text.write_text("\n".join(page.read_text("utf-8") for page in pages), "utf-8")
        shared = prepare(versions["base"], scratch, text)
        for version in versions.values():
            version.roots("export", model=shared / "run/model", output=version.work / "served")
        measures = make_measures(config, shared, text)
        rows = [take_turns(config, versions, *pair) for pair in measures.items()]
    print(f"{'':<16}{'unit':>6}{'base':>10}{'now':>10}{'now/base':>10}{'range':>8}")
    for row in rows:
        print(
            f"{row['name']:<16}{row['unit']:>6}{row['base']:>10.2f}{row['now']:>10.2f}"
            f"{row['ratio']:>10.3f}{row['range']:>8.1%}" + "  slower" * row["slower"]
        )
    if config.output:
        files.write_json(config.output, rows)
    if slower := [row["name"] for row in rows if row["slower"]]:
        sys.exit(f"slower than at {config.base}: {', '.join(slower)}")
    return rows


def install(name: str, config: Config, scratch: Path) -> Version:
    """Builds and installs one version: the commit, or the files of the working tree."""
    source, site, work = (scratch / f"{name}-{part}" for part in ("source", "site", "work"))
    archive = scratch / f"{name}.tar"
    source.mkdir()
    work.mkdir()
    if name == "base":
        finish(["git", "archive", f"--output={archive}", config.base], cwd=ROOT)
    else:  # as `git archive` would give it, with what is not committed yet
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
        there = [path for path in names.stdout.decode().split("\0") if Path(ROOT, path).is_file()]
        finish(["tar", "-cf", archive, *there], cwd=ROOT)
    finish(["tar", "-xf", archive, "-C", source])
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site]
    finish([*pip, source])
    return Version(site, work)


def prepare(base: Version, scratch: Path, text: Path) -> Path:
    """The vocabulary, examples and model that both read, in a folder."""
    shared = scratch / "shared"
    documents, tokenizer = shared / "documents", shared / "tokenizer"
    base.roots("curate", input=text, output=documents)
    base.roots("train-tokenizer", input=documents, vocab_size=2000, output=tokenizer)
    built = {"input": documents, "tokenizer": tokenizer, "output": shared / "examples"}
    base.roots("build-examples", **built)
    base.roots(
        "pretrain",
        **{"examples": shared / "examples", "output": shared / "run", "size": "mini"},
        **{"preset": "modern", "duration": 2, "batch_size": 8, "evaluate_every": 0},
    )
    return shared


def make_measures(config: Config, shared: Path, text: Path) -> dict[str, tuple[str, Callable]]:
    """By name: a unit, and a function from a version and a number of its turn to a figure."""

    def step(version: Version, turn: int, **flags) -> float:
        report = version.work / f"{turn}.json"
        version.roots("benchmark-step", seconds=config.seconds, output=report, **flags)
        return files.read_json(report)["step_milliseconds"]

    def served(version: Version, turn: int) -> float:
        report = version.work / f"{turn}.json"
        version.python("-c", SERVED, version.work / "served/1", text, report)
        return files.read_json(report)

    line = text.with_name("line.txt")
    line.write_text("One line.\n", "utf-8")
    tokenizer, model = shared / "tokenizer", shared / "run/model"
    found = {
        "start": ("s", lambda v, _: v.roots("tokenize", vocabulary=tokenizer, input=line)),
        "step, tiny": ("ms", lambda v, i: step(v, i, size="tiny", vocab_size=8192)),
        "step, causal": (
            "ms",
            lambda v, i: step(v, i, size="tiny", vocab_size=8192, objective="causal_lm"),
        ),
        "examples": (
            "s",
            lambda v, i: v.roots(
                "build-examples",
                **{"input": shared / "documents", "tokenizer": tokenizer},
                output=v.work / f"examples-{i}",
            ),
        ),
        "embed": (
            "s",
            lambda v, i: v.roots("embed", model=model, input=text, output=v.work / f"{i}.npy"),
        ),
        "served": ("ms", served),
    }
    return {
        name: found[name]
        for name in FIGURES
        if not config.only or any(part in name for part in config.only)
    }


def take_turns(config: Config, versions: dict, name: str, measure: tuple) -> dict:
    """One row: each version's turns, whose order changes from round to round."""
    unit, figure = measure
    took: dict[str, list] = {which: [] for which in versions}
    for turn in range(config.rounds):
        for which in list(versions)[:: 1 if turn % 2 else -1]:
            took[which].append(figure(versions[which], turn))
    row = compare(took["base"], took["now"], config.tolerance)
    return {"name": name, "unit": unit, **row, "turns": took}


def compare(base: list[float], now: list[float], tolerance: float) -> dict:
    """Medians, their ratio, the larger range as a share of the earlier median, and the verdict."""
    before, after = statistics.median(base), statistics.median(now)
    spread = max(max(turns) - min(turns) for turns in (base, now))
    return {
        "base": before,
        "now": after,
        "ratio": after / before,
        "range": spread / before,
        "slower": after - before > max(spread, tolerance * before),
    }


def finish(command: list, **options) -> None:
    """Runs a command to its end, in silence.

    Raises:
        InputError: it failed.
    """
    command = list(map(str, command))
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        raise files.InputError(
            "step-failed",
            f"{' '.join(command)[:200]} ended with status {done.returncode}: {done.stderr[-500:]}",
        )


if __name__ == "__main__":
    program.run(main, Config)

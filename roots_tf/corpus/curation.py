"""From files to a corpus: stages of tasks that a kill does not undo.

clean        spans of the input    -> documents after the document steps, grouped by shards
exchange     groups of many tasks  -> groups of fewer shards, where both are many
deduplicate  groups of a shard     -> the shard without equal documents, sorted by id
...          the corpus steps      -> numbers of the rows to drop
write        a shard and these     -> a shard of the output
"""

import dataclasses
import functools
import importlib
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

from roots_tf import stages
from roots_tf.corpus import (
    curation_tasks,
    deduplication,
    dropped,
    earlier,
    exchange,
    reading,
    recipe,
    summary,
)
from roots_tf.storage import files, ranges, urls

SHARD_BYTES = 128_000_000  # of input; a task that sorts a shard holds a few times as much
MIN_SHARDS = 16
SAMPLE_TASKS = 16  # at most, that read a sample of the input
_PACKED = {".gz": 4, ".bz2": 5, ".xz": 5, ".zst": 4, ".parquet": 3}  # bytes of text a byte, about

Progress = Callable[[str], Callable[[int, int], None]]


class CurationPlan(NamedTuple):
    """What is read, and the steps that it goes through."""

    tasks: list[list[reading.Span]]
    reading: curation_tasks.Reading
    steps: list[recipe.Step]
    num_shards: int
    sample: int = 0  # documents to try the recipe on; 0: all
    keep_dropped: bool = False
    against: tuple[str, ...] = ()  # outputs of earlier runs, whose documents are not wanted again
    keep_index: bool = False  # by which later runs know what this one keeps


def signature(paths: Sequence[str]) -> str:
    """Digits that change when an input file does: its name, its size or when it was written."""
    return files.fingerprint([[urls.name_of(path), *ranges.state(path)] for path in paths])


def shards_for(paths: Sequence[str]) -> int:
    """Shards of about `SHARD_BYTES`, a power of two, that follow from the size of the input."""
    suffixes = {path: Path(urls.name_of(path)).suffix for path in paths}
    total = sum(ranges.size(path) * _PACKED.get(suffixes[path], 1) for path in paths)
    return max(MIN_SHARDS, 1 << (total // SHARD_BYTES).bit_length())


def places(tasks: list[list[reading.Span]], sample: int) -> list[list[reading.Span]]:
    """Spans that are spread evenly over the input, for a sample, as a few tasks.

    Args:
        tasks: spans of the whole input, by task.
        sample: documents that are wanted; no more spans than that are chosen.

    Returns:
        Spans by task. In each task the largest span is the last: it gives the documents that
        smaller ones have too few of.
    """
    spans = [span for task in tasks for span in task]
    number = min(sample, len(spans))
    chosen = [spans[(2 * place + 1) * len(spans) // (2 * number)] for place in range(number)]
    chosen.sort(key=lambda span: span.end - span.start if span.end > 0 else _file_size(span))
    groups = min(SAMPLE_TASKS, -(-number // 8))
    return [chosen[group::groups] for group in range(groups)]


def _file_size(span: reading.Span) -> int:
    return ranges.size(span.path)


def curate(
    plan: CurationPlan,
    output: str | Path,
    executor: Executor | None = None,
    progress: Progress = lambda stage: lambda done, total: None,
) -> dict:
    """Writes the document shards of a plan, or goes on writing them.

    Args:
        plan: what to do.
        output: folder of the shards; unfinished work is kept in its folder `.work`.
        executor: where the tasks run; None is the calling process.
        progress: `progress(stage)` returns a function that is called with the number of finished
            tasks and of all tasks of that stage.

    Returns:
        The report; see `summary.report`.

    Raises:
        InputError: an input cannot be read, holds no documents, or none is kept.
        RuntimeError: the counts do not balance, which is a bug.
    """
    run = _Run(plan, Path(output), executor, progress)
    counts = summary.StepTallies(plan.steps)
    parts = _clean(run)
    for part in parts:
        counts.merge_documents(stages.read_result(Path(part).with_suffix(".json")))
    counts.check_some()

    drop = any(step.name == "exact_duplicates" for step in run.corpus_steps)
    unique = [str(run.work / f"unique-{shard:05d}.arrow") for shard in range(plan.num_shards)]
    _deduplicate(run, len(parts), unique, drop)
    for path in unique:  # one at a time: a million of them would not be held
        counts.merge_unique(stages.read_result(Path(path).with_suffix(".json")))
    findings, dropped_rows = {}, []
    for step in run.corpus_steps[drop:]:  # exact duplicates are the first
        module = importlib.import_module(f"roots_tf.corpus.{recipe.CORPUS_STEPS[step.name][0]}")
        options = {"dropped": dropped_rows}
        if step.name == "near_duplicates":
            options["earlier"] = earlier.texts_and_bands(plan.against, run.indexes)
        finding = module.find(unique, recipe.build(step), run.work, executor, progress, **options)
        dropped_rows.append(finding.pop("dropped"))
        findings[step.name] = finding
        run.seconds[step.name] = finding.get("seconds", 0.0)
    _write(run, unique, findings, dropped_rows)
    for path in unique:
        counts.merge_written(stages.read_result(curation_tasks.tallies_of_shard(path)))
    if plan.keep_index:
        earlier.write(run.shards, plan.steps, run.output, run.stage)
    return counts.report(findings, run.seconds, plan.sample)


@dataclasses.dataclass
class _Run:
    """A plan, and where its stages run and keep their work.

    Attributes:
        seconds: of processor time, by stage.
    """

    plan: CurationPlan
    output: Path
    executor: Executor | None
    progress: Progress
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def indexes(self) -> list[earlier.Index]:
        """Of what earlier runs have kept."""
        return [earlier.load(folder, self.plan.steps) for folder in self.plan.against]

    @property
    def shards(self) -> list[str]:
        """Paths of the output's shards."""
        count = self.plan.num_shards
        name = functools.partial(files.shard_name, "documents", count=count, suffix=".parquet")
        return [str(self.output / name(index=shard)) for shard in range(count)]

    @property
    def work(self) -> Path:
        return self.output / ".work"

    @property
    def document_steps(self) -> list[recipe.Step]:
        return [step for step in self.plan.steps if step.name in recipe.DOCUMENT_STEPS]

    @property
    def corpus_steps(self) -> list[recipe.Step]:
        return [step for step in self.plan.steps if step.name in recipe.CORPUS_STEPS]

    def stage(self, name: str, function: Callable, tasks: list[tuple]) -> list[dict]:
        """Runs the tasks that are not finished; what the function returned for each task."""
        progress = self.progress(name)
        results = stages.run_stage(function, tasks, self.work, self.executor, progress)
        seconds = sum(result["seconds"] for result in results)
        self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 3)
        return results

    def for_dropped(self, name: str) -> str:
        """Path of a file of dropped documents; "" where they are not kept."""
        return str(self.output / dropped.FOLDER / name) if self.plan.keep_dropped else ""


def _clean(run: _Run) -> list[str]:
    """Runs the document steps; the files of documents that they leave, one a task."""
    plan = run.plan
    tasks = places(plan.tasks, plan.sample) if plan.sample else plan.tasks
    parts = [deduplication.part_path(run.work, index) for index in range(len(tasks))]
    arguments = [
        (
            [list(span) for span in spans],
            list(plan.reading),
            [list(step) for step in run.document_steps],
            plan.num_shards,
            exchange.route(len(tasks), plan.num_shards).width(1),
            part,
            run.for_dropped(f"part-{index:06d}.parquet"),
            _limit(plan.sample, tasks, index),
        )
        for index, (spans, part) in enumerate(zip(tasks, parts, strict=True))
    ]
    run.stage("clean", curation_tasks.clean_part, arguments)
    return parts


def _deduplicate(run: _Run, num_parts: int, unique: list[str], drop: bool) -> None:
    """Sorts the documents of each shard by id and, if `drop`, drops those of equal text."""
    work, way = str(run.work), exchange.route(num_parts, run.plan.num_shards)
    forget = exchange.forgetter(work, deduplication.PART, way)
    further = (work, deduplication.PART)
    exchange.run(run.stage, exchange.split_batches, way, forget, lambda *_: further)
    known = earlier.keys(run.plan.against, run.indexes, run.plan.num_shards, work, run.stage)
    tasks = [
        (
            work,
            num_parts,
            shard,
            run.plan.num_shards,
            drop,
            path,
            run.for_dropped(f"duplicates-{shard:05d}.parquet"),
            known,
        )
        for shard, path in enumerate(unique)
    ]
    run.stage("deduplicate", deduplication.write_unique, tasks)
    for shard in range(run.plan.num_shards):  # half of the disk that a run needs
        forget(way.levels, -1, shard)


def _write(
    run: _Run, unique: list[str], findings: dict[str, dict], dropped_rows: list[list[str]]
) -> None:
    """Writes the shards of the output, without the rows that each corpus step drops."""
    repeated = findings.get("repeated_paragraphs", {}).pop("repeated", "")
    of_earlier = findings.get("near_duplicates", {}).pop("of_earlier", [])
    tasks = [
        (
            unique[shard],
            list(findings),
            [paths[shard] for paths in dropped_rows],
            repeated,
            of_earlier[shard] if run.plan.against and of_earlier else "",
            path,
            run.for_dropped(f"corpus-{shard:05d}.parquet") if findings else "",
        )
        for shard, path in enumerate(run.shards)
    ]
    run.stage("write", curation_tasks.write_shard, tasks)


def _limit(sample: int, tasks: list[list], index: int) -> int:
    """Documents that a task of a sample reads: its part, by its spans; -1 for all."""
    if not sample:
        return -1
    before = sum(map(len, tasks[:index]))
    total = sum(map(len, tasks))
    return sample * (before + len(tasks[index])) // total - sample * before // total


def forget_work(output: str | Path) -> None:
    """Removes the files of unfinished work, and those that a killed run left half-written."""
    shutil.rmtree(Path(output, ".work"), ignore_errors=True)
    for leftover in Path(output).glob(".*.tmp"):
        leftover.unlink(missing_ok=True)

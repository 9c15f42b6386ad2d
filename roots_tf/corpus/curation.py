"""From files to de-duplicated document shards: two stages of tasks that a kill does not undo."""

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

from roots_tf import files
from roots_tf.corpus import cleaning, deduplication, reading
from roots_tf.corpus.tally import Tally


class Reading(NamedTuple):
    """How files are read; see `reading.read_documents`."""

    layout: reading.Layout = "blank_lines"
    text_field: str = "text"
    source_field: str = "source"
    max_chars: int = reading.MAX_DOCUMENT_CHARS


class Plan(NamedTuple):
    """What is read, and how it is cut; decides the output to the byte."""

    tasks: list[list[reading.Span]]
    reading: Reading
    rules: cleaning.Rules
    num_shards: int


def signature(paths: Sequence[str]) -> str:
    """Digits that change when an input file does: its name, its size or when it was written."""
    stats = [(Path(path).name, os.stat(path)) for path in paths]
    return files.fingerprint([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])


def clean_part(
    spans: list[list], how: list, rules: list, num_shards: int, output: str
) -> dict[str, float | dict]:
    """Reads, cleans and filters some spans of the input; the first stage's task.

    Args:
        spans: `reading.Span`s.
        how: a `Reading`.
        rules: `cleaning.Rules`.
        num_shards: shards that the documents are grouped for.
        output: the file for `deduplication.write_shard`.

    Returns:
        `tally` and `seconds`, as JSON.
    """
    start = time.perf_counter()
    tally, how, rules = Tally(), Reading(*how), cleaning.Rules(*rules)
    with (
        files.atomic_path(output) as temporary,
        deduplication.SpillWriter(temporary, num_shards) as writer,
    ):
        for span in spans:
            documents = reading.read_span(reading.Span(*span), **how._asdict(), tally=tally)
            for document in documents:
                text = cleaning.clean(document.text, rules)
                reason = cleaning.reason_to_drop(text, rules)
                if reason:
                    tally.drop(reason, document.text, document.source)
                else:
                    writer.add(text, " ".join(cleaning.repair(document.source).split()))
                    tally.keep(text)
    return {"tally": tally.to_json(), "seconds": round(time.perf_counter() - start, 3)}


def write_shard(parts: list[str], shard: int, num_shards: int, output: str) -> dict:
    """De-duplicates one shard; the second stage's task.

    Returns:
        `tally` and `seconds`, as JSON.
    """
    start = time.perf_counter()
    tally = deduplication.write_shard(parts, shard, num_shards, output)
    return {"tally": tally, "seconds": round(time.perf_counter() - start, 3)}


def curate(
    plan: Plan,
    output: str | Path,
    executor: Executor | None = None,
    progress: Callable[[str], Callable[[int, int], None]] = lambda stage: lambda done, total: None,
) -> dict:
    """Writes the document shards of a plan, or goes on writing them.

    Args:
        plan: what to do.
        output: folder of the shards; unfinished work is kept in its folder `.work`.
        executor: where the tasks run; None is the calling process.
        progress: gives, for the name of a stage, what is told its finished and all tasks.

    Returns:
        The report: what `Tally.to_json` gives, and the seconds spent in the tasks of each stage.

    Raises:
        InputError: an input cannot be read, holds no documents, or none is kept.
    """
    work = Path(output, ".work")
    parts = [str(work / f"part-{index:06d}.arrow") for index in range(len(plan.tasks))]
    how, rules = list(plan.reading), list(plan.rules)
    tasks = [
        ([list(span) for span in spans], how, rules, plan.num_shards, part)
        for spans, part in zip(plan.tasks, parts, strict=True)
    ]
    cleaned = files.run_stage(clean_part, tasks, work, executor, progress("clean"))
    total = Tally()
    for result in cleaned:
        total.merge(result["tally"])
    total.check()
    _some(total)

    names = [
        files.shard_name("documents", shard, plan.num_shards, ".parquet")
        for shard in range(plan.num_shards)
    ]
    tasks = [
        (parts, shard, plan.num_shards, str(Path(output, name))) for shard, name in enumerate(names)
    ]
    written = files.run_stage(write_shard, tasks, work, executor, progress("deduplicate"))
    unique = Tally()
    for result in written:
        unique.merge(result["tally"])
    unique.check()
    return _report(total, unique, cleaned, written)


def forget_work(output: str | Path) -> None:
    """Removes what only a run that goes on would need, and what a killed one left half-written."""
    shutil.rmtree(Path(output, ".work"), ignore_errors=True)
    for leftover in Path(output).glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def _some(total: Tally) -> None:
    """Refuses an input without documents, or of which the rules keep none."""
    if not total.documents_in:
        raise files.InputError(
            "found no document in the input: every file is empty; give files that hold text"
        )
    if not total.documents_out:
        reasons = json.dumps({reason: n for reason, (n, _) in total.dropped.items()})
        raise files.InputError(
            f"kept none of {total.documents_in} documents, dropped as {reasons}; look at the input "
            "(is --documents right?) or loosen the rule, for example --min_chars"
        )


def _report(total: Tally, unique: Tally, cleaned: list[dict], written: list[dict]) -> dict:
    """Puts the counts of the two stages together."""
    if (unique.documents_in, unique.bytes_in) != (total.documents_out, total.bytes_out):
        raise RuntimeError(
            f"{total.documents_out} clean documents of {total.bytes_out} bytes were written, but "
            f"{unique.documents_in} of {unique.bytes_in} bytes were read back"
        )
    whole = Tally()
    whole.merge({**total.to_json(), "documents_out": 0, "bytes_out": 0})
    whole.merge({**unique.to_json(), "documents_in": 0, "bytes_in": 0})
    whole.check()
    seconds = {
        "clean": round(sum(result["seconds"] for result in cleaned), 3),
        "deduplicate": round(sum(result["seconds"] for result in written), 3),
    }
    counts = whole.to_json()
    for samples in counts["samples"].values():
        for sample in samples:
            del sample["order"]
    return {**counts, "task_seconds": seconds}

"""From files to a corpus: stages of tasks that a kill does not undo.

clean        spans of the input    -> documents after the document steps, grouped by shard
deduplicate  groups of a shard     -> the shard without equal documents, sorted by id
...          the corpus steps      -> numbers of the rows to drop
write        a shard and these     -> a shard of the output
"""

import importlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow
import pyarrow.parquet

from roots_tf import files, stages
from roots_tf.corpus import deduplication, dropped, reading, recipe, summary
from roots_tf.corpus.documents import Document
from roots_tf.corpus.tally import Tally, order, size

SHARD_BYTES = 128_000_000  # of input; a task that sorts a shard holds a few times as much
MIN_SHARDS = 16
SAMPLE_TASKS = 16  # at most, that read a sample of the input
_PACKED = {".gz": 4, ".bz2": 5, ".xz": 5, ".zst": 4, ".parquet": 3}  # bytes of text a byte, about

Progress = Callable[[str], Callable[[int, int], None]]


class Reading(NamedTuple):
    """How files are read; see `reading.read_documents`."""

    layout: reading.Layout = "blank_lines"
    text_field: str = "text"
    source_field: str = "source"
    max_chars: int = reading.MAX_DOCUMENT_CHARS


class CurationPlan(NamedTuple):
    """What is read and what is done with it."""

    tasks: list[list[reading.Span]]
    reading: Reading
    steps: list[recipe.Step]
    num_shards: int
    sample: int = 0  # documents to try the recipe on; 0: all
    keep_dropped: bool = False


def signature(paths: Sequence[str]) -> str:
    """Digits that change when an input file does: its name, its size or when it was written."""
    stats = [(Path(path).name, os.stat(path)) for path in paths]
    return files.fingerprint([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])


def shards_for(paths: Sequence[str]) -> int:
    """Shards of about `SHARD_BYTES`, a power of two, that follow from the size of the input."""
    total = sum(os.path.getsize(path) * _PACKED.get(Path(path).suffix, 1) for path in paths)
    return max(MIN_SHARDS, 1 << (total // SHARD_BYTES).bit_length())


def places(tasks: list[list[reading.Span]], sample: int) -> list[list[reading.Span]]:
    """Evenly spread spans of a plan, no more than documents are wanted, as a few tasks.

    In each task the largest span is the last, which gives what smaller ones lack.
    """
    spans = [span for task in tasks for span in task]
    number = min(sample, len(spans))
    chosen = [spans[(2 * place + 1) * len(spans) // (2 * number)] for place in range(number)]
    chosen.sort(key=lambda span: span.end - span.start if span.end > 0 else _file_size(span))
    groups = min(SAMPLE_TASKS, -(-number // 8))
    return [chosen[group::groups] for group in range(groups)]


def _file_size(span: reading.Span) -> int:
    return os.path.getsize(span.path)


def clean_part(
    spans: list[list],
    how: list,
    steps: list[list],
    num_shards: int,
    output: str,
    kept_dropped: str,
    limit: int,
) -> dict:
    """Reads some spans of the input and takes each document through the document steps.

    Args:
        spans: `reading.Span`s.
        how: a `Reading`.
        steps: `recipe.Step`s.
        num_shards: shards that the documents are grouped for.
        output: the file of `deduplication.SpillWriter`. Beside it, with the suffix `.json`, are
            the tallies of the reader and of each step.
        kept_dropped: the Parquet file of the dropped documents; "" for none.
        limit: documents to read, evenly from the spans; -1: all.

    Returns:
        `seconds`.
    """
    start = time.perf_counter()
    steps = [recipe.Step(*step) for step in steps]
    with (
        files.atomic_path(output) as temporary,
        deduplication.SpillWriter(temporary, num_shards) as writer,
        dropped.Writer(kept_dropped) as on_drop,
    ):
        tallies = [Tally(on_drop(name)) for name in ("read", *(step.name for step in steps))]
        road = [
            (recipe.build(step), frozenset(step.languages), tally)
            for step, tally in zip(steps, tallies[1:], strict=True)
        ]
        for document, rank, num_bytes in _documents(spans, Reading(*how), tallies[0], limit):
            if (clean := _through(document, road, rank, num_bytes)) is not None:
                writer.add(clean)
    files.write_text(
        Path(output).with_suffix(".json"), json.dumps([tally.to_json() for tally in tallies])
    )
    return {"seconds": round(time.perf_counter() - start, 3)}


def _documents(
    spans: list[list], how: Reading, tally: Tally, limit: int
) -> Iterator[tuple[Document, str, int]]:
    """Documents of spans, each with its rank for samples and its size."""
    left = limit
    for index, span in enumerate(spans):
        # What one span lacks, the next ones give.
        share = -(-left // (len(spans) - index)) if limit >= 0 else -1
        documents = reading.read_span(reading.Span(*span), **how._asdict(), tally=tally)
        while share:
            start = time.perf_counter()
            document = next(documents, None)
            if document is None:
                tally.seconds += time.perf_counter() - start
                break
            num_bytes, rank = size(document.text), order(document.text)
            tally.documents_out += 1
            tally.bytes_out += num_bytes
            tally.sample("kept", "", document, {}, rank)
            tally.seconds += time.perf_counter() - start
            yield document, rank, num_bytes
            share -= 1
            left -= 1
        documents.close()


def _through(document: Document, road: list, rank: str, num_bytes: int) -> Document | None:
    """Takes a document through the document steps; None if one drops it."""
    for step, languages, tally in road:
        start = time.perf_counter()
        measured: dict[str, float] = {}
        applies = not languages or document.language in languages
        after = step(document, measured) if applies else document
        if isinstance(after, str):
            tally.see(document, after, measured, rank, (num_bytes, 0))
        else:
            same = after.text is document.text
            out = num_bytes if same else size(after.text)
            tally.see(document, after, measured, rank, (num_bytes, out))
            num_bytes = out
        tally.seconds += time.perf_counter() - start
        if isinstance(after, str):
            return None
        document = after
    if document.markup:
        raise files.InputError(
            f"found a document in {document.markup} ({document.source}); wanted text: put the step "
            "extract into the recipe"
        )
    return document


def write_shard(
    unique: str, steps: list[str], gone: list[str], repeated: str, output: str, kept_dropped: str
) -> dict:
    """Writes a shard of the output: what the corpus steps have left of it.

    Args:
        unique: the Arrow file of the shard.
        steps: names of the corpus steps after `exact_duplicates`.
        gone: for each, the file of the rows that it drops.
        repeated: the file of the paragraphs to take out; "" for none.
        output: the Parquet file.
        kept_dropped: the Parquet file of the dropped documents; "" for none.

    Returns:
        `tallies` of each step and, last, of what is written, as JSON; `seconds`.
    """
    start = time.perf_counter()
    with (
        files.atomic_path(output) as temporary,
        pyarrow.parquet.ParquetWriter(
            temporary, deduplication.SCHEMA, compression="zstd"
        ) as writer,
        dropped.Writer(kept_dropped) as on_drop,
        pyarrow.memory_map(unique) as raw,
        pyarrow.ipc.open_file(raw) as file,
    ):
        tallies = [Tally(on_drop(name)) for name in (*steps, "write")]
        numbers = [frozenset(np.load(path).tolist()) for path in gone]
        row = 0
        for index in range(file.num_record_batches):
            kept = []
            for values in file.get_batch(index).to_pylist():
                identifier = values.pop("id")
                document = Document(**values)
                after = _after_corpus_steps(
                    document, identifier, row, steps, numbers, repeated, tallies
                )
                row += 1
                if after is not None:
                    if after.text is not document.text:
                        identifier = deduplication.identifier(after.text)
                    kept.append({"id": identifier, **after._asdict()})
            if kept:
                writer.write_table(pyarrow.Table.from_pylist(kept, deduplication.SCHEMA))
    return {
        "tallies": [tally.to_json() for tally in tallies],
        "seconds": round(time.perf_counter() - start, 3),
    }


def _after_corpus_steps(document, rank, row, steps, numbers, repeated, tallies) -> Document | None:
    """Counts what each corpus step does to the document of a row; None if one drops it."""
    for name, rows, tally in zip(steps, numbers, tallies, strict=False):
        after = document
        if row in rows:
            after = _REASONS[name]
        elif name == "repeated_paragraphs":
            after = document._replace(text=_remove_paragraphs(document.text, repeated))
        sizes = (size(document.text), 0 if isinstance(after, str) else size(after.text))
        tally.see(document, after, {}, rank, sizes)
        if isinstance(after, str):
            return None
        document = after
    tallies[-1].see(document, document, {}, rank, (size(document.text),) * 2)
    return document


_REASONS = {
    "near_duplicates": "near_duplicate",
    "repeated_paragraphs": "only_repeated_paragraphs",
    "sample": "not_sampled",
}


def _remove_paragraphs(text: str, repeated: str) -> str:
    from roots_tf.corpus import repeated_paragraphs

    return repeated_paragraphs.remove(text, repeated)


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
        progress: gives, for the name of a stage, what is told its finished and all tasks.

    Returns:
        The report; see `summary.report`.

    Raises:
        InputError: an input cannot be read, holds no documents, or none is kept.
        RuntimeError: the counts do not balance, which is a bug.
    """
    work, shards = Path(output, ".work"), range(plan.num_shards)
    kept_dropped = Path(output, dropped.FOLDER) if plan.keep_dropped else None
    document_steps = [step for step in plan.steps if step.name in recipe.DOCUMENT_STEPS]
    corpus_steps = [step for step in plan.steps if step.name in recipe.CORPUS_STEPS]
    seconds = {}

    def stage(name: str, function: Callable, tasks: list[tuple]) -> list[dict]:
        results = stages.run_stage(function, tasks, work, executor, progress(name))
        seconds[name] = round(sum(result["seconds"] for result in results), 3)
        return results

    def beside(name: str) -> str:
        return str(kept_dropped / name) if kept_dropped else ""

    tasks = places(plan.tasks, plan.sample) if plan.sample else plan.tasks
    parts = [deduplication.part_path(work, index) for index in range(len(tasks))]
    stage(
        "clean",
        clean_part,
        [
            (
                [list(span) for span in spans],
                list(plan.reading),
                [list(step) for step in document_steps],
                plan.num_shards,
                part,
                beside(f"part-{index:06d}.parquet"),
                _limit(plan.sample, tasks, index),
            )
            for index, (spans, part) in enumerate(zip(tasks, parts, strict=True))
        ],
    )
    counts = summary.StepTallies(plan.steps)
    for part in parts:
        counts.merge_documents(files.read_json(Path(part).with_suffix(".json")))
    counts.check_some()

    drop = any(step.name == "exact_duplicates" for step in corpus_steps)
    unique = [str(work / f"unique-{shard:05d}.arrow") for shard in shards]
    for result in stage(
        "deduplicate",
        deduplication.write_unique,
        [
            (
                str(work),
                len(parts),
                shard,
                plan.num_shards,
                drop,
                path,
                beside(f"duplicates-{shard:05d}.parquet"),
            )
            for shard, path in enumerate(unique)
        ],
    ):
        counts.merge_unique(result["tally"])
    for part in parts:  # half of the disk that a run needs
        Path(part).unlink(missing_ok=True)

    found, gone = {}, []
    for step in corpus_steps[drop:]:
        module = importlib.import_module(f"roots_tf.corpus.{recipe.CORPUS_STEPS[step.name][0]}")
        find = module.find(unique, recipe.build(step), work, executor, progress, dropped=gone)
        gone.append(find.pop("dropped"))
        found[step.name] = find
        seconds[step.name] = find.get("seconds", 0.0)
    repeated = found.get("repeated_paragraphs", {}).pop("repeated", "")
    names = [files.shard_name("documents", shard, plan.num_shards, ".parquet") for shard in shards]
    for result in stage(
        "write",
        write_shard,
        [
            (
                unique[shard],
                list(found),
                [paths[shard] for paths in gone],
                repeated,
                str(Path(output, names[shard])),
                beside(f"corpus-{shard:05d}.parquet") if found else "",
            )
            for shard in shards
        ],
    ):
        counts.merge_written(result["tallies"])
    return counts.report(found, seconds, plan.sample)


def _limit(sample: int, tasks: list[list], index: int) -> int:
    """Documents that a task of a sample reads: its part, by its spans; -1 for all."""
    if not sample:
        return -1
    before = sum(map(len, tasks[:index]))
    total = sum(map(len, tasks))
    return sample * (before + len(tasks[index])) // total - sample * before // total


def forget_work(output: str | Path) -> None:
    """Removes what only a run that goes on would need, and what a killed one left half-written."""
    shutil.rmtree(Path(output, ".work"), ignore_errors=True)
    for leftover in Path(output).glob(".*.tmp"):
        leftover.unlink(missing_ok=True)

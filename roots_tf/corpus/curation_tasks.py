"""The tasks of curation's stages, each a pure function from files to files."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow
import pyarrow.parquet

from roots_tf import stages
from roots_tf.corpus import deduplication, dropped, reading, recipe
from roots_tf.corpus.documents import Document
from roots_tf.corpus.tally import Tally, order, size
from roots_tf.storage import files


class Reading(NamedTuple):
    """How files are read; see `reading.read_documents`."""

    layout: reading.Layout = "blank_lines"
    text_field: str = "text"
    source_field: str = "source"
    max_chars: int = reading.MAX_DOCUMENT_CHARS
    encoding: str = "utf-8"


def clean_part(
    spans: list[list],
    how: list,
    steps: list[list],
    num_shards: int,
    width: int,
    output: str,
    kept_dropped: str,
    limit: int,
) -> dict:
    """Reads some spans of the input and takes each document through the document steps.

    Args:
        spans: `reading.Span`s.
        how: a `Reading`.
        steps: `recipe.Step`s.
        num_shards: of the output.
        width: shards that a group of documents is for.
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
        deduplication.SpillWriter(temporary, num_shards, width) as writer,
        dropped.Writer(kept_dropped) as on_drop,
    ):
        tallies = [Tally(on_drop(name)) for name in ("read", *(step.name for step in steps))]
        steps_with_tallies = [
            (recipe.build(step), frozenset(step.languages), tally)
            for step, tally in zip(steps, tallies[1:], strict=True)
        ]
        for document, rank, num_bytes in _documents(spans, Reading(*how), tallies[0], limit):
            if (clean := _through(document, steps_with_tallies, rank, num_bytes)) is not None:
                writer.add(clean)
    stages.write_result(Path(output).with_suffix(".json"), [tally.to_json() for tally in tallies])
    return {"seconds": round(time.perf_counter() - start, 3)}


def _documents(
    spans: list[list], how: Reading, tally: Tally, limit: int
) -> Iterator[tuple[Document, str, int]]:
    """Documents of spans, each with its rank for samples and its size."""
    left = limit
    for index, span in enumerate(spans):
        # Where a span has fewer documents than its share, the next spans give the rest.
        share = -(-left // (len(spans) - index)) if limit >= 0 else -1
        span = reading.Span(*span)
        documents = reading.read_span(span, **how._asdict(), tally=tally)
        while share:
            start = time.perf_counter()
            document = next(documents, None)
            if document is None:
                tally.seconds += time.perf_counter() - start
                break
            document = of_source(document, span)
            num_bytes, rank = size(document.text), order(document.text)
            tally.documents_out += 1
            tally.bytes_out += num_bytes
            tally.sample("kept", "", document, {}, rank)
            tally.seconds += time.perf_counter() - start
            yield document, rank, num_bytes
            share -= 1
            left -= 1
        documents.close()


def of_source(document: Document, span: reading.Span) -> Document:
    """The document under the name of its named source; its own source is kept in the metadata.

    Args:
        document: as it was read.
        span: that it was read from.
    """
    if not span.source:
        return document
    metadata = {"source": document.source} | json.loads(document.metadata or "{}")
    text = json.dumps(metadata, ensure_ascii=False, sort_keys=True)
    return document._replace(source=span.source, metadata=text)


def _through(
    document: Document, steps_with_tallies: list, rank: str, num_bytes: int
) -> Document | None:
    """Takes a document through the document steps; None if one drops it."""
    for step, languages, tally in steps_with_tallies:
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
            "wrong-recipe",
            f"found a document in {document.markup} ({document.source}); wanted text: put the step "
            "extract into the recipe",
        )
    return document


def write_shard(
    unique: str,
    steps: list[str],
    dropped_rows: list[str],
    repeated: str,
    of_earlier: str,
    output: str,
    kept_dropped: str,
) -> dict:
    """Writes a shard of the output: its documents without those that corpus steps drop.

    Args:
        unique: the Arrow file of the shard.
        steps: names of the corpus steps after `exact_duplicates`.
        dropped_rows: for each step the file of the rows that it drops.
        repeated: the file of the paragraphs to take out; "" for none.
        of_earlier: the file of the rows that are near duplicates of earlier runs; "" for none.
        output: the Parquet file.
        kept_dropped: the Parquet file of the dropped documents; "" for none.

    Returns:
        `seconds`.
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
        numbers = [frozenset(np.load(path).tolist()) for path in dropped_rows]
        earlier = frozenset(np.load(of_earlier).tolist() if of_earlier else ())
        row = 0
        for index in range(file.num_record_batches):
            kept = []
            for values in file.get_batch(index).to_pylist():
                identifier = values.pop("id")
                document = Document(**values)
                after = _after_corpus_steps(
                    document, identifier, row, steps, numbers, earlier, repeated, tallies
                )
                row += 1
                if after is not None:
                    if after.text is not document.text:
                        identifier = deduplication.identifier(after.text)
                    kept.append({"id": identifier, **after._asdict()})
            if kept:
                writer.write_table(pyarrow.Table.from_pylist(kept, deduplication.SCHEMA))
    stages.write_result(tallies_of_shard(unique), [tally.to_json() for tally in tallies])
    return {"seconds": round(time.perf_counter() - start, 3)}


def tallies_of_shard(unique: str) -> Path:
    """Where `write_shard` writes the tallies of each step and, last, of what is written.

    Args:
        unique: the Arrow file of the shard.
    """
    return Path(unique).with_suffix(".written.json")


def _after_corpus_steps(
    document, rank, row, steps, numbers, earlier, repeated, tallies
) -> Document | None:
    """Counts what each corpus step does to the document of a row; None if one drops it."""
    for name, rows, tally in zip(steps, numbers, tallies, strict=False):
        after = document
        if row in rows:
            is_old = name == "near_duplicates" and row in earlier
            after = "near_duplicate_of_earlier" if is_old else _REASONS[name]
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
    "mixture": "beyond_its_share",
}


def _remove_paragraphs(text: str, repeated: str) -> str:
    from roots_tf.corpus import repeated_paragraphs

    return repeated_paragraphs.remove(text, repeated)

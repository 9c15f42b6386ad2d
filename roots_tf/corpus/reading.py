"""Documents from files: plain text, JSON lines and Parquet, as a stream, whatever the file size.

What a document is in a plain text file depends on the layout:

    file         the whole file
    blank_lines  what stands between blank lines (BERT's input format: a blank line parts documents)
    line         one line
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow
import pyarrow.parquet

from roots_tf.corpus import decoding
from roots_tf.corpus.tally import Tally
from roots_tf.files import InputError

Layout = Literal["blank_lines", "file", "line"]
MAX_DOCUMENT_CHARS = 4_000_000  # about twice the longest novel; what a reader holds in memory

_SEPARATORS = {
    "blank_lines": re.compile(r"\n(?:[^\S\n]*\n)+"),
    "line": re.compile(r"\n"),
    "file": None,
}


class Document(NamedTuple):
    """A text and where it comes from: the source field of its record, or the name of its file."""

    text: str
    source: str


class Span(NamedTuple):
    """Part of a file: bytes [start, end) of text, or row groups [start, end) of Parquet.

    `end` is -1 for "to the end of the file".
    """

    path: str
    start: int = 0
    end: int = -1


def is_parquet(path: str) -> bool:
    """Whether a file is read as Parquet."""
    return path.endswith(".parquet")


def is_json_lines(path: str) -> bool:
    """Whether a file is read as JSON lines, by its suffix under any compression."""
    plain = path.removesuffix(".gz").removesuffix(".zst")
    return plain.endswith((".jsonl", ".json", ".ndjson"))


def read_documents(
    paths: Iterable[str | Path],
    layout: Layout = "blank_lines",
    *,
    text_field: str = "text",
    source_field: str = "source",
    max_chars: int = MAX_DOCUMENT_CHARS,
    tally: Tally | None = None,
) -> Iterator[Document]:
    """Documents of files, in order.

        "Call me\\nIshmael.\\n\\nSome years"  ->  "Call me\\nIshmael.", "Some years"

    Args:
        paths: files; `.parquet` is Parquet, `.jsonl`, `.json`, `.ndjson` are JSON lines, any other
            is plain text; `.gz` and `.zst` behind a suffix are decompressed.
        layout: what a document is in plain text.
        text_field: field of JSON lines, column of Parquet that holds the text.
        source_field: the one that holds the source; where there is none it is the file's name.
        max_chars: a longer document is cut at a line end into several; a longer record of JSON
            lines, which cannot be cut, is dropped.
        tally: counts what is read, dropped and repaired.

    Raises:
        InputError: a file is binary, damaged, of another encoding, or has no such field.
    """
    for path in paths:
        yield from read_span(
            Span(str(path)),
            layout,
            text_field=text_field,
            source_field=source_field,
            max_chars=max_chars,
            tally=tally,
        )


def read_span(
    span: Span,
    layout: Layout,
    *,
    text_field: str = "text",
    source_field: str = "source",
    max_chars: int = MAX_DOCUMENT_CHARS,
    tally: Tally | None = None,
) -> Iterator[Document]:
    """Documents of a part of a file that `plan` made; see `read_documents`."""
    tally = Tally() if tally is None else tally
    if is_parquet(span.path):
        records = _parquet(span, (text_field, source_field), tally)
    elif is_json_lines(span.path):
        records = _json_lines(span, (text_field, source_field), max_chars, tally)
    else:
        name = Path(span.path).name
        blocks = decoding.text_blocks(*span, tally)
        texts = split_stream(blocks, _SEPARATORS[layout], max_chars, tally)
        records = (Document(text, name) for text in texts)
    for text, source in records:
        for piece in _cut(text, max_chars, tally) if len(text) > max_chars else [text]:
            tally.read(piece)
            yield Document(piece, source)


def split_stream(
    blocks: Iterable[str], separator: re.Pattern | None, max_chars: int, tally: Tally
) -> Iterator[str]:
    """Parts of a stream of text between separators, stripped; blank parts are left out.

    The last part is cut as it grows, so that no more than `max_chars` and a block are held.
    """
    carry = ""
    for block in blocks:
        *parts, carry = separator.split(carry + block) if separator else [carry + block]
        if len(carry) > max_chars:
            *pieces, carry = _cut(carry, max_chars, tally)
            parts += pieces
        yield from filter(None, map(str.strip, parts))
    if carry := carry.strip():
        yield carry


def _cut(text: str, max_chars: int, tally: Tally) -> list[str]:
    """Cuts a long text after the last newline, else space, else anywhere that `max_chars` allows.

    The cuts depend on the text alone, not on the blocks it came in: a rest is carried on until it
    is too long itself.
    """
    pieces = []
    while len(text) > max_chars:
        half = max_chars // 2
        cut = text.rfind("\n", half, max_chars) + 1 or text.rfind(" ", half, max_chars) + 1
        pieces.append(text[: cut or max_chars])
        text = text[cut or max_chars :]
        tally.note("documents_cut_at_max_chars")
    return [*pieces, text]


def _json_lines(
    span: Span, fields: tuple[str, str], max_chars: int, tally: Tally
) -> Iterator[Document]:
    text_field, source_field = fields
    name = Path(span.path).name
    good, first_problem = 0, None

    def drop(reason, line):
        nonlocal first_problem
        first_problem = first_problem or (reason, line[:80])
        tally.read(line)
        tally.drop(reason, line, name)

    for line in _lines(decoding.text_blocks(*span, tally), 2 * max_chars):
        if len(line) > 2 * max_chars:  # a letter may be spelled with six, but hardly ever is
            drop("too_long", line)
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            drop("not_json", line)
            continue
        text = record.get(text_field) if isinstance(record, dict) else None
        if not isinstance(text, str):
            drop("no_text_field", line)
            continue
        good += 1
        source = record.get(source_field)
        yield Document(text, name if source is None else str(source))
    if first_problem and not good and first_problem[0] != "too_long":
        raise InputError(
            f"found no JSON object with a string {text_field!r} on any line of {span.path} "
            f"(first: {first_problem[1]!r}); wanted JSON lines, one object a line; "
            "name the field with --text_field, or give a plain text file another suffix"
        )


def _lines(blocks: Iterable[str], max_chars: int) -> Iterator[str]:
    """Lines that are not blank; only a head, longer than `max_chars`, of one that is too long."""
    carry, skipping = "", False
    for block in blocks:
        *lines, carry = (carry + block).split("\n")
        if lines and skipping:
            del lines[0]
            skipping = False
        yield from (line for line in lines if line and not line.isspace())
        if len(carry) > max_chars:
            if not skipping:
                yield carry
            carry, skipping = "", True
    if carry and not skipping and not carry.isspace():
        yield carry


def _parquet(span: Span, fields: tuple[str, str], tally: Tally) -> Iterator[Document]:
    text_field, source_field = fields
    name = Path(span.path).name
    with _open_parquet(span.path) as file:
        columns = file.schema_arrow.names
        if text_field not in columns:
            raise InputError(
                f"found no column {text_field!r} in {span.path}, which has {columns}; "
                "name the column of the text with --text_field"
            )
        end = file.num_row_groups if span.end < 0 else span.end
        wanted = [text_field] + [source_field] * (source_field in columns)
        try:
            for batch in file.iter_batches(256, range(span.start, end), wanted):
                texts = batch.column(0).to_pylist()
                sources = batch.column(1).to_pylist() if len(wanted) > 1 else [None] * len(texts)
                for text, source in zip(texts, sources, strict=True):
                    if isinstance(text, str):
                        yield Document(text, name if source is None else str(source))
                    else:
                        tally.read("")
                        tally.drop("no_text_field", "", name)
        except (OSError, pyarrow.ArrowException) as error:
            raise _damaged(span.path, error) from error


def _open_parquet(path: str) -> pyarrow.parquet.ParquetFile:
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise _damaged(path, error) from error


def _damaged(path: str, error: Exception) -> InputError:
    reason = str(error).splitlines()[0]
    return InputError(
        f"could not read {path} as Parquet ({reason}); copy or write it again, or leave it out"
    )


def plan(paths: Sequence[str], layout: Layout, task_bytes: int) -> list[list[Span]]:
    """Cuts files into tasks of about `task_bytes`, the same whoever runs them.

    Large plain files are cut between documents, Parquet files between row groups; a compressed
    file, one in UTF-16 and, under the layout `file`, any text file stays whole. Small files share
    a task.

    Returns:
        The spans of each task; read one after the other they are all the files in order.

    Raises:
        InputError: a file cannot be opened.
    """
    tasks, room = [], 0
    for path in paths:
        try:
            spans = list(_spans(path, layout, task_bytes))
        except OSError as error:
            raise InputError(f"could not read {path}: {error.strerror}; leave it out") from error
        for span, size in spans:
            if not tasks or size > room:
                tasks.append([])
                room = task_bytes
            tasks[-1].append(span)
            room -= size
    return tasks


def _spans(path: str, layout: Layout, task_bytes: int) -> Iterator[tuple[Span, int]]:
    """Spans of one file and their sizes in bytes."""
    size = os.path.getsize(path)
    if is_parquet(path):
        with _open_parquet(path) as file:
            start = held = 0
            for group in range(file.num_row_groups):
                held += file.metadata.row_group(group).total_byte_size
                if held >= task_bytes or group == file.num_row_groups - 1:
                    yield Span(path, start, group + 1), held
                    start, held = group + 1, 0
        return
    with open(path, "rb") as file:
        encoding = decoding.byte_order_mark(file.read(4))[1]
        whole = layout == "file" and not is_json_lines(path)
        if whole or decoding.compression(path) or encoding != "utf-8":
            yield Span(path), size
            return
        blank = layout == "blank_lines" and not is_json_lines(path)
        boundary = re.compile(rb"\r?\n[ \t]*\r?\n" if blank else rb"\n")
        start = 0
        while size - start > task_bytes * 3 // 2:  # no crumbs at the end
            file.seek(start + task_bytes)
            # No boundary here: this part becomes longer, it is not cut inside a document.
            cut = boundary.search(file.read(decoding.BLOCK_BYTES))
            offset = start + task_bytes
            while cut is None and offset + decoding.BLOCK_BYTES < size:
                offset += decoding.BLOCK_BYTES
                file.seek(offset)
                cut = boundary.search(file.read(decoding.BLOCK_BYTES))
            if cut is None:
                break
            yield Span(path, start, offset + cut.end()), offset + cut.end() - start
            start = offset + cut.end()
        if start < size:
            yield Span(path, start, size), size - start

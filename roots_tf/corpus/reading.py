"""Documents from files, as a stream, whatever the file size.

The suffix tells the format, under any suffix of compression (`.gz`, `.zst`, `.bz2`, `.xz`):

    .parquet                    Parquet, a document a row
    .jsonl .json .ndjson        JSON lines, a document a line, or an array of documents
    .html .htm .xhtml           a web page, a document
    .warc .wet                  web archives: pages and texts (see `warc`)
    .xml                        a MediaWiki dump, an article a document (see `mediawiki`)
    anything else               plain text

What a document is in a plain text file depends on the layout:

    file         the whole file
    blank_lines  what stands between blank lines (BERT's input format: a blank line parts documents)
    line         one line
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from roots_tf import spelling
from roots_tf.corpus import decoding, json_items, mediawiki, splitting, warc, web_pages
from roots_tf.corpus.documents import Document
from roots_tf.corpus.formats import format_of, warn_of_suffix
from roots_tf.corpus.tally import Tally
from roots_tf.storage import compression, encodings, parquet, ranges, urls
from roots_tf.storage.files import InputError

Layout = Literal["blank_lines", "file", "line"]
MAX_DOCUMENT_CHARS = 4_000_000  # about twice the longest novel; what a reader holds in memory

_FIRST_FILES = 64
_METADATA = ("url", "date", "title")  # fields of a record that are kept beside its text
_BINARY = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"%PDF", b"PK\3\4")  # gzip, zstd, PDF, zip
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_SEPARATORS = {
    "blank_lines": re.compile(r"\n(?:[^\S\n]*\n)+"),
    "line": re.compile(r"\n"),
    "file": None,
}


class Span(NamedTuple):
    """Part of a file: bytes [start, end) of text, or row groups [start, end) of Parquet.

    `end` is -1 for "to the end of the file". `source` is the name of the source of a mixture that
    the file belongs to, "" of none.
    """

    path: str
    start: int = 0
    end: int = -1
    source: str = ""


def read_documents(
    paths: str | Path | Iterable[str | Path],
    layout: Layout = "blank_lines",
    *,
    text_field: str = "text",
    source_field: str = "source",
    max_chars: int = MAX_DOCUMENT_CHARS,
    tally: Tally | None = None,
    encoding: str = "utf-8",
) -> Iterator[Document]:
    """Documents of files, in order.

        "Call me\\nIshmael.\\n\\nSome years"  ->  "Call me\\nIshmael.", "Some years"

    Args:
        paths: files, or one, of a format and compression that their suffixes tell.
        layout: what a document is in plain text.
        text_field: field of JSON lines, column of Parquet that holds the text.
        source_field: the one that holds the source; where there is none it is the file's name.
        max_chars: a longer document is cut at a line end into several; a longer record of JSON
            lines, page or article, which cannot be cut, is dropped.
        tally: counts what is read, dropped and repaired.
        encoding: Python's name of that of plain text and JSON lines without a byte order mark; web
            pages and archives say theirs.

    Raises:
        InputError: a file is binary, damaged, of another encoding, or has no such field.
    """
    for path in [paths] if isinstance(paths, str | Path) else paths:
        yield from read_span(
            Span(str(path)),
            layout,
            text_field=text_field,
            source_field=source_field,
            max_chars=max_chars,
            tally=tally,
            encoding=encoding,
        )


def read_span(
    span: Span,
    layout: Layout,
    *,
    text_field: str = "text",
    source_field: str = "source",
    max_chars: int = MAX_DOCUMENT_CHARS,
    tally: Tally | None = None,
    encoding: str = "utf-8",
) -> Iterator[Document]:
    """Documents of a part of a file.

    Args:
        span: the part, of `plan`.
        layout: what one document is in plain text.
        text_field: field (column) of the text in JSON (Parquet).
        source_field: field of the source.
        max_chars: longer documents are cut.
        tally: counts what is dropped and cut; None: nobody asks.
        encoding: of text files without a byte order mark.

    Raises:
        InputError: the file cannot be read; see `read_documents`.
    """
    tally = Tally() if tally is None else tally
    fields, encoding = (text_field, source_field), encodings.python_name(encoding)
    form = format_of(span.path)
    if form == "parquet":
        documents = _parquet(span, fields, tally)
    elif form == "json_lines":
        blocks = decoding.text_blocks(*span[:3], tally, encoding)
        documents = _json_lines(span, blocks, fields, max_chars, tally)
    elif form == "html":
        documents = _page(span.path, 2 * max_chars, tally)
    elif form == "warc":
        documents = warc.read(*span[:3], 2 * max_chars, tally)
    elif form == "mediawiki":
        documents = mediawiki.read(*span[:3], max_chars, tally)
    else:
        name = urls.name_of(span.path)
        blocks = decoding.text_blocks(*span[:3], tally, encoding)
        texts = splitting.split_stream(blocks, _SEPARATORS[layout], max_chars, tally)
        documents = (Document(text, name) for text in texts)
    for document in documents:
        if len(document.text) <= max_chars:
            tally.read(document.text)
            yield document
        elif document.markup:
            tally.read(document.text)
            tally.drop("too_long", document.text, document.source)
        else:
            for piece in splitting.cut(document.text, max_chars, tally):
                tally.read(piece)
                yield document._replace(text=piece)


def _json_lines(
    span: Span, blocks: Iterator[str], fields: tuple[str, str], max_chars: int, tally: Tally
) -> Iterator[Document]:
    text_field, source_field = fields
    name = urls.name_of(span.path)
    good, first_problem = 0, None

    def drop(reason, line):
        nonlocal first_problem
        first_problem = first_problem or (reason, line[:80])
        tally.read(line)
        tally.drop(reason, line, name)

    first = next(blocks, "")
    blocks = itertools.chain([first], blocks)
    if span.start == 0 and json_items.ARRAY.match(first):
        lines = json_items.texts(blocks, 2 * max_chars, span.path)
    else:
        lines = splitting.lines(blocks, 2 * max_chars)
    for line in lines:
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
        yield _from_record(text, record.get(source_field), record, name)
    if first_problem and not good and first_problem[0] != "too_long":
        raise InputError(
            "no-such-column",
            f"found no JSON object with a string {text_field!r} on any line of {span.path} "
            f"(first: {first_problem[1]!r}); wanted JSON lines, one object a line; "
            "name the field with --text_field, or give a plain text file another suffix",
        )


def _parquet(span: Span, fields: tuple[str, str], tally: Tally) -> Iterator[Document]:
    text_field, source_field = fields
    name = urls.name_of(span.path)
    with parquet.opened(span.path) as file:
        columns = file.schema_arrow.names
        if text_field not in columns:
            raise InputError(
                "no-such-column",
                f"found no column {text_field!r} in {span.path}, which has {', '.join(columns)}; "
                "name the column of the text with --text_field"
                f"{spelling.suggestion(text_field, columns)}",
            )
        end = file.num_row_groups if span.end < 0 else span.end
        wanted = {text_field, source_field, "language", "markup", "metadata", *_METADATA}
        present = sorted(wanted & {*columns})
        for record in parquet.rows(file, span.path, present, range(span.start, end)):
            if isinstance(text := record[text_field], str):
                yield _from_record(text, record.get(source_field), record, name)
            else:
                tally.read("")
                tally.drop("no_text_field", "", name)


def _from_record(text: str, source: object, record: dict, name: str) -> Document:
    """A document with what else its record says of it."""
    language, markup = record.get("language"), record.get("markup")
    metadata = record.get("metadata") or {}
    if isinstance(metadata, str):
        try:
            metadata = json.loads(metadata)
        except (ValueError, RecursionError):
            metadata = {}
    if not isinstance(metadata, dict):
        metadata = {}
    metadata |= {key: str(record[key]) for key in _METADATA if record.get(key)}
    return Document(
        text,
        name if source is None else str(source),
        language if isinstance(language, str) and _LANGUAGE.fullmatch(language) else "",
        markup if markup in ("html", "wikitext") else "",
        json.dumps(metadata, ensure_ascii=False, sort_keys=True, default=str) if metadata else "",
    )


def _page(path: str, max_bytes: int, tally: Tally) -> Iterator[Document]:
    """The one document of a web page."""
    name = urls.name_of(path)
    data, reason = b"", None
    try:
        for chunk in compression.chunks(path):
            data += chunk
            if len(data) > max_bytes:
                reason = "too_long"
                break
    except compression.DamagedFileError:
        reason = "damaged_file"
    if reason:
        text = web_pages.decode(data[:1000])
        tally.read(text)
        tally.drop(reason, text, name)
        return
    marked = encodings.byte_order_mark(data[:4])[0]
    if data.startswith(_BINARY) or (b"\0" in data[:1024] and not marked):
        raise InputError(
            "wrong-format",
            f"found a binary file in {path} ({data[:8]!r}); wanted HTML: leave it out, or give it "
            "the suffix of what it is",
        )
    if data and not data.isspace():
        yield Document(web_pages.decode(data), name, markup="html")


def check_encoding(paths: Sequence[str], encoding: str) -> None:
    """Reads the beginning of the first text files, so that a wrong encoding is seen at once.

    Args:
        paths: of all files.
        encoding: as for `read_documents`.

    Raises:
        InputError: a text is of another encoding or binary; or as for `encodings.python_name`.
    """
    encoding = encodings.python_name(encoding)
    for path in paths[:_FIRST_FILES]:
        if format_of(path) in ("text", "json_lines"):
            next(decoding.text_blocks(path, 0, -1, Tally(), encoding), None)


def plan(
    paths: Sequence[str], layout: Layout, task_bytes: int, encoding: str = "utf-8"
) -> list[list[Span]]:
    """Cuts files into tasks of about equal size, whatever the number of workers.

    Large plain files are cut between documents, MediaWiki dumps between pages, web archives between
    records, Parquet files between row groups; a compressed file, one in UTF-16, a web page and,
    under the layout `file`, any text file stays whole. Small files share a task.

    Args:
        paths: the files.
        layout: what a document is in plain text.
        task_bytes: about how many bytes a task reads.
        encoding: of plain text and JSON lines, as for `read_documents`.

    Returns:
        The spans of each task; read one after the other they are all the files in order.

    Raises:
        InputError: a file cannot be opened.
    """
    tasks, room = [], 0
    name = encodings.python_name(encoding)

    def spans_of(path: str) -> list[tuple[Span, int]]:
        try:
            return list(_spans(path, layout, task_bytes, name))
        except OSError as error:
            raise InputError(
                "unreadable-file", f"could not read {path}: {error.strerror}; leave it out"
            ) from error

    for spans in ranges.mapped(spans_of, paths):
        for span, size in spans:
            if not tasks or size > room:
                tasks.append([])
                room = task_bytes
            tasks[-1].append(span)
            room -= size
    return tasks


def _stays_whole(path: str, form: str, size: int, task_bytes: int) -> bool:
    """Whether a file behind a URL is one task, so that planning need not look into it.

    Borders of records in a web archive are found from one header to the next, each a request.
    """
    return form == "warc" or bool(compression.codec(path)) or 2 * size <= 3 * task_bytes


def _spans(path: str, layout: Layout, task_bytes: int, encoding: str) -> Iterator[tuple[Span, int]]:
    """Spans of one file and their sizes in bytes."""
    size = ranges.size(path)
    form = format_of(path)
    if form != "parquet" and urls.is_url(path) and _stays_whole(path, form, size, task_bytes):
        if size:
            yield Span(path), size
        return
    if form == "text":
        warn_of_suffix(path)
    if form == "parquet":
        with parquet.opened(path) as file:
            start = held = 0
            for group in range(file.num_row_groups):
                held += file.metadata.row_group(group).total_byte_size
                if held >= task_bytes or group == file.num_row_groups - 1:
                    yield Span(path, start, group + 1), held
                    start, held = group + 1, 0
        return
    if form == "warc" and not compression.codec(path):
        starts = warc.borders(path, task_bytes)
        for start, end in zip(starts, [*starts[1:], size], strict=True):
            yield Span(path, start, end), end - start
        return
    with ranges.opened(path) as file:
        head = file.read(compression.BLOCK_BYTES)
        mark, marked = encodings.byte_order_mark(head[:4])
        whole = form in ("html", "warc") or (form == "text" and layout == "file")
        whole |= form == "json_lines" and bool(json_items.ARRAY.match(head.decode("latin-1")))
        # Only the first part has the mark.
        whole |= bool(mark) and marked != encoding or not encodings.ends_lines_alike(encoding)
        if whole or compression.codec(path):
            yield Span(path), size
            return
        if form == "mediawiki":
            boundary = mediawiki.PAGE_BORDER
        else:
            blank = form == "text" and layout == "blank_lines"
            boundary = re.compile(rb"\r?\n[ \t]*\r?\n" if blank else rb"\n")
        start = 0
        while size - start > task_bytes * 3 // 2:  # so that the last part is not a small one
            file.seek(start + task_bytes)
            # Without a boundary here the part becomes longer: no document is cut.
            cut = boundary.search(file.read(compression.BLOCK_BYTES))
            offset = start + task_bytes
            while cut is None and offset + compression.BLOCK_BYTES < size:
                offset += compression.BLOCK_BYTES
                file.seek(offset)
                cut = boundary.search(file.read(compression.BLOCK_BYTES))
            if cut is None:
                break
            yield Span(path, start, offset + cut.end()), offset + cut.end() - start
            start = offset + cut.end()
        if start < size:
            yield Span(path, start, size), size - start

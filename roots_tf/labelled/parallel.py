"""Parallel text: sentences and their translations, as documents that `build-examples` reads.

    two text files    a sentence a line, its translation on the same line of the other file
    JSON lines        objects with `source` and `target`
    Parquet           columns `source` and `target`

A pair becomes a document of two lines. Nothing here holds more than some thousand pairs.
"""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from roots_tf.labelled.text_files import parse_json, short, suffix_of
from roots_tf.storage import claims, compression, files, parquet

TABLES = (".jsonl", ".ndjson", ".json", ".parquet")
COLUMNS = ("source", "target")
BATCH = 10_000  # pairs of a row group
SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])


def documents(paths: Sequence[str], folder: str | Path) -> str:
    """Writes the pairs as Parquet documents, each `source\\ntarget`, and gives the file's path.

    The file's name follows from what is in the inputs and from their order; one that is there
    already is left as it is. An id follows from both sentences, so that of equal pairs all or none
    are held out.

    Args:
        paths: two text files, the sources first; or tables.
        folder: where it is written.

    Raises:
        InputError: the files are no parallel text, or hold no pairs.
    """
    digits = files.fingerprint([claims.content(path) for path in paths])
    path = Path(folder, f"parallel-{digits}.parquet")
    if path.exists():
        return str(path)
    read = pairs(paths)
    first = next(read, None)  # so that nothing is written where the first line is wrong
    if first is None:
        raise files.InputError(
            "empty-input", f"found no pairs in {', '.join(paths)}; wanted at least one"
        )
    read = itertools.chain([first], read)
    with files.atomic_path(path) as temporary, pq.ParquetWriter(temporary, SCHEMA) as writer:
        while batch := list(itertools.islice(read, BATCH)):
            texts = ["\n".join(pair) for pair in batch]
            ids = [hashlib.sha256(text.encode()).hexdigest()[:24] for text in texts]
            writer.write_table(pa.table([ids, texts], schema=SCHEMA))
    return str(path)


def pairs(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Sentences and translations, each on one line; pairs without text on both sides are left out.

    Args:
        paths: as for `documents`.

    Raises:
        InputError: one file is a table and another none, text files are not two or not of as many
            lines, a line is no UTF-8 or no object with both texts.
    """
    tables = [suffix_of(path) in TABLES for path in paths]
    if any(tables) != all(tables) or (not any(tables) and len(paths) != 2):
        raise files.InputError(
            "unknown-suffix",
            f"found {', '.join(paths)} for parallel text; wanted two text files, a sentence a line "
            "and its translation on the same line of the second one, or JSON lines or Parquet with "
            "source and target",
        )
    found = (_of_tables if all(tables) else _of_texts)(paths)
    for source, target in found:
        pair = (" ".join(source.split()), " ".join(target.split()))
        if all(pair):
            yield pair


def _of_texts(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    missing = object()
    lines = itertools.zip_longest(*map(_lines, paths), fillvalue=missing)
    for number, line in enumerate(lines, 1):
        if missing in line:
            short_one = paths[line.index(missing)]
            raise files.InputError(
                "not-parallel",
                f"found {number - 1} lines in {short_one} and more in the other of "
                f"{' and '.join(paths)}; wanted as many: line by line they are translations",
            )
        yield line


def _of_tables(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    for path in paths:
        for place, row in _rows(path):
            texts = [row.get(name) if isinstance(row, dict) else None for name in COLUMNS]
            if not all(isinstance(text, str) for text in texts):
                raise files.InputError(
                    "wrong-row",
                    f"found {short(row)} in {path}, {place}; wanted a source and a target, both "
                    "texts",
                )
            yield tuple(texts)


def _rows(path: str) -> Iterator[tuple[str, object]]:
    if suffix_of(path) == ".parquet":
        with parquet.opened(path) as file:
            names = sorted(set(COLUMNS) & set(file.schema_arrow.names))
            if names != sorted(COLUMNS):
                raise files.InputError(
                    "no-such-column",
                    f"found the columns {', '.join(file.schema_arrow.names)} in {path}; wanted "
                    "source and target",
                )
            rows = parquet.rows(file, path, names, range(file.num_row_groups))
            yield from ((f"row {number}", row) for number, row in enumerate(rows, 1))
        return
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            yield f"line {number}", parse_json(line, f"{path}, line {number}", "a JSON object")


def _lines(path: str) -> Iterator[str]:
    """Lines of a UTF-8 file, compressed or not, without their ends."""
    left, number = b"", 0
    for chunk in itertools.chain(compression.chunks(path), [None]):
        *whole, left = (left + chunk).split(b"\n") if chunk is not None else (left, b"")
        for line in whole:
            number += 1
            if chunk is None and not line:  # what follows the last end of a line
                return
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise files.InputError(
                    "not-text",
                    f"found bytes that are no UTF-8 in {path}, line {number}; wanted UTF-8: "
                    "convert it with iconv",
                ) from error
            yield text.removesuffix("\r")

"""Dropped documents, kept beside the output with the step and the reason."""

from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet

from roots_tf.corpus.documents import Document
from roots_tf.storage import files

FOLDER = "_dropped"  # programs that read the output skip names that begin with "_"
HELD_CHARS = 8_000_000  # before a row group is written

_NAMES = ("text", "source", "language", "metadata", "step", "reason")
SCHEMA = pyarrow.schema([(name, pyarrow.string()) for name in _NAMES])


class Writer:
    """Writes what steps drop to a Parquet file, or does nothing.

    As a context manager it returns a function: given a step's name, it returns the `on_drop` of
    that step's `Tally`, or None where nothing is written.

    Args:
        path: the file; "" to write none.
    """

    def __init__(self, path: str | Path):
        self._path = path
        self._rows, self._chars = [], 0

    def __enter__(self) -> Callable[[str], Callable[[Document, str], None] | None]:
        if not self._path:
            return lambda step: None
        self._file = files.atomic_path(self._path)
        self._writer = pyarrow.parquet.ParquetWriter(
            self._file.__enter__(), SCHEMA, compression="zstd"
        )
        return lambda step: lambda document, reason: self._add(document, step, reason)

    def _add(self, document: Document, step: str, reason: str) -> None:
        text, source, language, _, metadata = (
            value.encode("utf-8", "replace").decode() for value in document
        )
        self._rows.append(
            dict(zip(_NAMES, (text, source, language, metadata, step, reason), strict=True))
        )
        self._chars += len(text)
        if self._chars >= HELD_CHARS:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pyarrow.Table.from_pylist(self._rows, SCHEMA))
        self._rows, self._chars = [], 0

    def __exit__(self, *exception):
        if not self._path:
            return
        if self._rows and not exception[0]:
            self._flush()
        self._writer.close()
        self._file.__exit__(*exception)

"""Exact de-duplication in bounded memory: documents go to files, split by hash, and meet there.

Texts that differ only in case and in where lines break count as equal. A task writes its documents
in groups, one a range of hashes; then each range is read from the files of all tasks in their
order, the first of equal documents is kept, and the range is a shard of the output. Memory holds a
part of a task, and then the hashes, not the texts, of one shard.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

from roots_tf import files
from roots_tf.corpus.tally import Tally

SPILL_CHARS = 32_000_000  # that a writer holds before it writes a group
ROW_GROUP_CHARS = 8_000_000  # that a reader of the output holds

SCHEMA = pyarrow.schema(
    [("id", pyarrow.string()), ("text", pyarrow.string()), ("source", pyarrow.string())]
)
_SPILLED = pyarrow.schema(
    [("key", pyarrow.binary(16)), ("text", pyarrow.string()), ("source", pyarrow.string())]
)


def key(text: str) -> bytes:
    """Sixteen bytes that equal documents share."""
    same = " ".join(text.casefold().split())
    return hashlib.blake2b(same.encode(), digest_size=16).digest()


def identifier(text: str) -> str:
    """The id of a document: 32 hexadecimal digits that follow from its text alone."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def shard_of(document_key: bytes, num_shards: int) -> int:
    """The shard that a document belongs to: ranges of keys of equal size.

    >>> [shard_of(bytes([first]) + bytes(15), 4) for first in (0, 127, 128, 255)]
    [0, 1, 2, 3]
    """
    return int.from_bytes(document_key[:4], "big") * num_shards >> 32


class SpillWriter:
    """Writes documents to one file, grouped by the shard that they belong to.

    Group `i` of the file belongs to shard `i % num_shards`. Use it as a context manager.
    """

    def __init__(self, path: str | Path, num_shards: int):
        self._path = path
        self._groups = [([], [], []) for _ in range(num_shards)]
        self._chars = 0

    def __enter__(self):
        options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
        self._file = pyarrow.ipc.new_file(str(self._path), _SPILLED, options=options)
        return self

    def add(self, text: str, source: str) -> None:
        """Adds one document."""
        document_key = key(text)
        group = self._groups[shard_of(document_key, len(self._groups))]
        for column, value in zip(group, (document_key, text, source), strict=True):
            column.append(value)
        self._chars += len(text)
        if self._chars >= SPILL_CHARS:
            self._spill()

    def _spill(self) -> None:
        for group in self._groups:
            columns = [
                pyarrow.array(values, field.type)
                for values, field in zip(group, _SPILLED, strict=True)
            ]
            self._file.write_batch(pyarrow.record_batch(columns, schema=_SPILLED))
            for column in group:
                column.clear()
        self._chars = 0

    def __exit__(self, exception_type, *_):
        if exception_type is None and self._chars:
            self._spill()
        self._file.close()


def spilled(paths: Sequence[str], shard: int, num_shards: int) -> Iterator[tuple[bytes, str, str]]:
    """Keys, texts and sources of one shard's documents, in the order of the files."""
    for path in paths:
        with pyarrow.memory_map(path) as raw, pyarrow.ipc.open_file(raw) as file:
            for group in range(shard, file.num_record_batches, num_shards):
                batch = file.get_batch(group)
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def write_shard(paths: Sequence[str], shard: int, num_shards: int, output: str) -> dict:
    """Writes one shard of the documents that are unlike any earlier one; a stage's task.

    Args:
        paths: files of `SpillWriter`, in the order of the input.
        shard: which shard, from 0.
        num_shards: of how many; as the files were written.
        output: the Parquet file.

    Returns:
        The tally as JSON; the reason of what was dropped is `duplicate`.
    """
    tally = Tally()
    seen: set[bytes] = set()
    rows, chars = [], 0
    with (
        files.atomic_path(output) as temporary,
        pyarrow.parquet.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
    ):
        for document_key, text, source in spilled(paths, shard, num_shards):
            tally.read(text)
            if document_key in seen:
                tally.drop("duplicate", text, source)
                continue
            seen.add(document_key)
            tally.keep(text)
            rows.append({"id": identifier(text), "text": text, "source": source})
            chars += len(text)
            if chars >= ROW_GROUP_CHARS:
                writer.write_table(pyarrow.Table.from_pylist(rows, SCHEMA))
                rows, chars = [], 0
        if rows:
            writer.write_table(pyarrow.Table.from_pylist(rows, SCHEMA))
    return tally.to_json()

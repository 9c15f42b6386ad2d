"""Exact de-duplication in bounded memory: equal documents meet in a file, by their hash.

Texts that differ only in case and in where lines break count as equal. A task writes its documents
in groups by ranges of hashes, which the levels of `exchange` split where tasks and shards are many;
then each range is read and sorted. Of equal documents the one whose text sorts last is kept, which
has fewer capitals and line breaks; of documents of one text, the one whose source sorts first. So
the result depends on the set of documents, not on the file or task that each came from. Memory
holds a part of a task, and later one range of hashes, which is a shard of the output.
"""

import dataclasses
import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.compute
import pyarrow.ipc

from roots_tf import stages
from roots_tf.corpus import dropped, exchange
from roots_tf.corpus.decoding import REPLACEMENT
from roots_tf.corpus.documents import Document
from roots_tf.corpus.tally import SAMPLES, Tally
from roots_tf.storage import files

SPILL_CHARS = 32_000_000  # that a writer holds before it writes a group
COMPACT_BYTES = 64_000_000  # of documents that are held before equal ones are looked for
PART = "part"  # files of documents that come from the input
BATCH_BYTES = 8_000_000  # of text in a record batch, which is what a later stage holds

SCHEMA = pyarrow.schema(
    [(name, pyarrow.string()) for name in ("id", "text", "source", "language", "metadata")]
)
_SPILLED = pyarrow.schema([("key", pyarrow.binary(16)), *SCHEMA])
# Offsets of 64 bits: a shard may be more than the 2 GB that those of 32 bits can reach.
_HELD = pyarrow.schema(
    [("key", pyarrow.binary(16)), *((n, pyarrow.large_string()) for n in SCHEMA.names)]
)
_SURROGATES = re.compile("[\ud800-\udfff]")  # JSON can spell them, UTF-8 cannot


def key(text: str) -> bytes:
    """Sixteen bytes that equal documents share."""
    same = " ".join(text.casefold().split())
    return hashlib.blake2b(same.encode(), digest_size=16).digest()


def identifier(text: str) -> str:
    """The id of a document: 32 hexadecimal digits that follow from its text alone."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def shard_of(document_key: bytes, num_shards: int) -> int:
    """The shard that a document belongs to; each shard has an equal range of keys.

    >>> [shard_of(bytes([first]) + bytes(15), 4) for first in (0, 127, 128, 255)]
    [0, 1, 2, 3]

    Args:
        document_key: hash of the document's text.
        num_shards: shards of the output.
    """
    return int.from_bytes(document_key[:4], "big") * num_shards >> 32


@dataclasses.dataclass(frozen=True)
class ExactDuplicates:
    """Drops all but one of the documents that share a `key`."""


class SpillWriter:
    """Writes documents to one file, grouped by the shard that they belong to.

    Of G groups, batch `i` of the file belongs to group `i % G`. Use it as a context manager.

    Args:
        path: the file.
        num_shards: shards of the output.
        width: shards of a group; the last one may have fewer.
    """

    def __init__(self, path: str | Path, num_shards: int, width: int = 1):
        self._path, self._num_shards, self._width = path, num_shards, width
        self._groups = [[[] for _ in _SPILLED] for _ in range(-(-num_shards // width))]
        self._chars = 0

    def __enter__(self):
        options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
        self._file = pyarrow.ipc.new_file(str(self._path), _SPILLED, options=options)
        return self

    def add(self, document: Document) -> None:
        """Adds one document; lone surrogates become U+FFFD."""
        text, source, language, _, metadata = map(_encodable, document)
        document_key = key(text)
        group = self._groups[shard_of(document_key, self._num_shards) // self._width]
        values = (document_key, identifier(text), text, source, language, metadata)
        for column, value in zip(group, values, strict=True):
            column.append(value)
        self._chars += len(text) + len(metadata)
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


def _encodable(text: str) -> str:
    return text if text.isascii() else _SURROGATES.sub(REPLACEMENT, text)


def part_path(folder: str | Path, part: int) -> str:
    """The file in `folder` that `SpillWriter` writes for the number `part` of the input."""
    return exchange.path(str(folder), PART, ".arrow", part)


def spilled(
    folder: str, num_parts: int, shard: int, num_shards: int
) -> Iterator[pyarrow.RecordBatch]:
    """The documents of one shard, with their keys, in the order of the parts.

    Args:
        folder: of the files of `SpillWriter` and of what `exchange` made of them.
        num_parts: number of these files.
        shard: number of the shard.
        num_shards: shards of the output.
    """
    way = exchange.route(num_parts, num_shards)
    for batch in exchange.batches(folder, PART, way, way.levels, shard):
        yield batch.cast(_HELD)


def write_unique(
    folder: str,
    num_parts: int,
    shard: int,
    num_shards: int,
    drop: bool,
    output: str,
    kept_dropped: str,
    earlier: int = 0,
) -> dict:
    """Writes one shard of the documents, sorted by id, without equal ones; a stage's task.

    Args:
        folder: of the files of `SpillWriter`, which are named by `part_path`.
        num_parts: how many there are.
        shard: which shard, from 0.
        num_shards: of how many; as the files were written.
        drop: whether equal documents are dropped.
        output: the Arrow file, columns as in `SCHEMA`. Beside it, with the suffix `.json`, is the
            tally, where the reasons of what was dropped are `duplicate` and `duplicate_of_earlier`.
        kept_dropped: the Parquet file of the dropped documents; "" for none.
        earlier: shards of earlier runs, whose keys `earlier.keys` has brought to the folder.

    Returns:
        `seconds`.
    """
    start = time.perf_counter()
    with dropped.Writer(kept_dropped) as on_drop:
        tally = Tally(on_drop("exact_duplicates"))
        held, num_bytes, limit = [], 0, COMPACT_BYTES
        for batch in spilled(folder, num_parts, shard, num_shards):
            tally.documents_in += len(batch)
            tally.bytes_in += _num_bytes(batch)
            held.append(batch)
            num_bytes += batch.nbytes
            if drop and num_bytes > limit:  # a page that is there a million times needs no room
                held = _without_equal(pyarrow.Table.from_batches(held), tally).to_batches()
                num_bytes = sum(batch.nbytes for batch in held)
                limit = max(COMPACT_BYTES, 2 * num_bytes)
        table = pyarrow.Table.from_batches(held, _HELD)
        del held
        table = _without_equal(table, tally) if drop else table.combine_chunks()
        if earlier:
            table = _without_known(table, _known(folder, earlier, shard, num_shards), tally)
    table = table.select(SCHEMA.names)
    sizes = pyarrow.compute.binary_length(table["text"])
    tally.documents_out, tally.bytes_out = len(table), _num_bytes(table)
    order = _order(table, *SCHEMA.names)
    for row in table.take(order[:SAMPLES]).to_pylist():
        tally.sample("kept", "", _document(row), {}, row["id"])
    options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
    with (
        files.atomic_path(output) as temporary,
        pyarrow.ipc.new_file(str(temporary), SCHEMA, options=options) as file,
    ):
        for begin, end in _ranges(sizes.take(order).to_pylist()):
            batch = table.take(order[begin:end]).cast(SCHEMA).combine_chunks()
            file.write_batch(batch.to_batches()[0])
    tally.seconds = time.perf_counter() - start
    stages.write_result(Path(output).with_suffix(".json"), tally.to_json())
    return {"seconds": round(time.perf_counter() - start, 3)}


def _num_bytes(table: pyarrow.Table | pyarrow.RecordBatch) -> int:
    return pyarrow.compute.sum(pyarrow.compute.binary_length(table["text"])).as_py() or 0


def _without_equal(table: pyarrow.Table, tally: Tally) -> pyarrow.Table:
    """Documents of different keys; the others are counted as dropped."""
    table = table.combine_chunks()
    table = table.take(_order(table, "key", "-text", "source", "language", "metadata"))
    keys = table["key"]
    first = pyarrow.compute.not_equal(keys[1:], keys[:-1]).to_pylist()
    return _without(table, [False, *(not new for new in first)][: len(table)], "duplicate", tally)


def _known(folder: str, earlier: int, shard: int, num_shards: int) -> set[bytes]:
    """Keys of a shard that earlier runs have kept."""
    way = exchange.route(earlier, num_shards)
    ends = (exchange.by_key(end, num_shards) for end in (shard, shard + 1))
    keys = exchange.gathered(folder, "earlier", way, way.levels, shard, *ends)
    return {row.tobytes() for row in keys.astype(">u8")}


def _without_known(table: pyarrow.Table, known: set[bytes], tally: Tally) -> pyarrow.Table:
    """Documents whose keys earlier runs do not have; the others are counted as dropped."""
    gone = [document_key in known for document_key in table["key"].to_pylist()]
    return _without(table.combine_chunks(), gone, "duplicate_of_earlier", tally)


def _without(table: pyarrow.Table, gone: list[bool], reason: str, tally: Tally) -> pyarrow.Table:
    """The rows that are not gone; the others are counted as dropped for that reason."""
    again = [row for row, is_gone in enumerate(gone) if is_gone]
    for begin in range(0, len(again), 100):
        rows = pyarrow.array(again[begin : begin + 100], pyarrow.int64())
        for row in table.take(rows).to_pylist():
            tally.drop_document(reason, _document(row))
    return table.filter(pyarrow.array([not is_gone for is_gone in gone], pyarrow.bool_()))


def _document(row: dict[str, str]) -> Document:
    return Document(row["text"], row["source"], row["language"], "", row["metadata"])


def _order(table: pyarrow.Table, *names: str) -> pyarrow.Array:
    """Row numbers that sort a table by columns; a name that begins with "-" is descending."""
    keys = [(name.strip("-"), ("ascending", "descending")[name[0] == "-"]) for name in names]
    return pyarrow.compute.sort_indices(table, keys)


def _ranges(sizes: list[int]) -> Iterator[tuple[int, int]]:
    """Ranges of rows of `BATCH_BYTES` together, or of one row that has more.

    >>> list(_ranges([5_000_000, 2_000_000, 2_000_000, 9_000_000, 1]))
    [(0, 2), (2, 3), (3, 4), (4, 5)]
    """
    begin = held = 0
    for row, size in enumerate(sizes):
        if row > begin and held + size > BATCH_BYTES:
            yield begin, row
            begin, held = row, 0
        held += size
    if sizes:
        yield begin, len(sizes)

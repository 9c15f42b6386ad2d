"""Runs that reach targets through files, in steps of bounded width: reads grow with the data.

If each of R runs (say the tasks that read the input) wrote a block for each of T targets (the
shards), R x T blocks would be read: with the corpus both grow, and the blocks with its square. So
where both are above `FAN`, a run writes at most `FAN` groups, one for a bucket of many targets, and
a level of tasks splits buckets into smaller ones until each holds one target:

    level 1    runs           -> for FAN runs and a bucket one file, grouped by smaller buckets
    level 2    these          -> for FAN of them and a smaller bucket one file, grouped likewise
    ...
    target     the files of its last bucket, in the order of the runs

A task reads `FAN` blocks at most and writes as many groups. A level reads R x FAN blocks at most,
and there are log T / log FAN of them: two from 128 shards on, three from 16,384. Parts of a target
arrive in the order of the runs, as they would without levels.

Two things go this way: record batches in Arrow files, whose batch `i` belongs to the group `i % G`
of G, and arrays [n, columns] of uint64, sorted by the first column, of which a range is read.
"""

import bisect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow
import pyarrow.ipc

from roots_tf.corpus import shard_rows
from roots_tf.storage import files

FAN = 128  # blocks that a task reads, groups that it writes: half a megabyte each of 64
HELD_BYTES = 64_000_000  # of record batches, before a splitting task writes them


class Route(NamedTuple):
    """How runs reach targets.

    Attributes:
        runs: their number.
        targets: their number.
        side: smaller buckets in a bucket.
        levels: of buckets; those of the last hold one target.
    """

    runs: int
    targets: int
    side: int
    levels: int

    def width(self, level: int) -> int:
        """Targets in a bucket of a `level`, from 1."""
        return self.side ** (self.levels - level)

    def buckets(self, level: int) -> int:
        """How many buckets a `level` has."""
        return -(-self.targets // self.width(level))

    def sources(self, level: int) -> int:
        """How many files hold parts of a bucket of a `level`."""
        return -(-self.runs // FAN ** (level - 1))

    def tasks(self, level: int) -> list[tuple[int, int]]:
        """Group of sources and bucket of each task that splits the buckets of a `level`."""
        groups = range(-(-self.sources(level) // FAN))
        return [(group, bucket) for group in groups for bucket in range(self.buckets(level))]


def route(runs: int, targets: int) -> Route:
    """The way of the fewest levels, of equal width.

    >>> [route(1_000, targets)[2:] for targets in (100, 1_000, 100_000)]
    [(100, 1), (32, 2), (47, 3)]

    Args:
        runs: their number.
        targets: their number.
    """
    levels = 1
    while min(runs, targets) > FAN and FAN**levels < targets:
        levels += 1
    side = 1
    while side**levels < targets:
        side += 1
    return Route(runs, targets, side, levels)


def source_paths(
    work: str, stem: str, suffix: str, way: Route, level: int, bucket: int, group: int = -1
) -> list[str]:
    """The files that hold the parts of a bucket, in the order of the runs.

    Args:
        work: their folder.
        stem: the beginning of their names.
        suffix: the end of their names.
        way: of the runs to the targets.
        level: of the bucket.
        bucket: its number.
        group: of `FAN` files, that are wanted; -1: all.
    """
    numbers = range(way.sources(level))
    if group >= 0:
        numbers = numbers[group * FAN : (group + 1) * FAN]
    if level == 1:
        return [path(work, stem, suffix, number) for number in numbers]
    parent = bucket // way.side
    return [path(work, f"{stem}-level", suffix, level - 1, number, parent) for number in numbers]


def path(work: str, stem: str, suffix: str, *numbers: int) -> str:
    """The file of a run (one number), or of a level, a group of runs and a bucket (three).

    Args:
        work: its folder.
        stem: the beginning of its name.
        suffix: the end of its name.
        *numbers: of the run; or of the level, the group and the bucket.
    """
    return str(Path(shard_rows.name(work, stem, *numbers)).with_suffix(suffix))


def run(
    stage: Callable[[str, Callable, list], list],
    function: Callable,
    way: Route,
    forget: Callable[[int, int, int], None] = lambda level, group, bucket: None,
    arguments: Callable[[int, int], tuple] = lambda level, bucket: (),
) -> float:
    """Runs the levels of tasks between runs and targets; none where they are few.

    Args:
        stage: runs a stage: its name, its function and the tasks.
        function: the task, called with the way, level, group, bucket and further arguments.
        way: of the runs to the targets.
        forget: called with the level, group and bucket of each task of a finished level.
        arguments: further arguments, by level and bucket.

    Returns:
        Seconds of processor time.
    """
    seconds = 0.0
    for level in range(1, way.levels):
        tasks = [
            (list(way), level, group, bucket, *arguments(level, bucket))
            for group, bucket in way.tasks(level)
        ]
        results = stage(f"exchange {level}", function, tasks)
        seconds += sum(result["seconds"] for result in results)
        for group, bucket in way.tasks(level):
            forget(level, group, bucket)
    return seconds


class BatchWriter:
    """Writes record batches to an Arrow file, grouped. Use it as a context manager.

    Args:
        where: the file.
        schema: of the batches.
        num_groups: batch `i` of the file belongs to the group `i % num_groups`.
    """

    def __init__(self, where: str | Path, schema: pyarrow.Schema, num_groups: int):
        self._where, self._schema = where, schema
        self._groups: list[list[pyarrow.RecordBatch]] = [[] for _ in range(num_groups)]
        self._bytes = 0

    def __enter__(self):
        options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
        self._file = pyarrow.ipc.new_file(str(self._where), self._schema, options=options)
        return self

    def add(self, batch: pyarrow.RecordBatch, groups: np.ndarray) -> None:
        """Adds the rows of a `batch`, each to its group among `groups`, and keeps their order."""
        order = np.argsort(groups, kind="stable")
        borders = np.searchsorted(groups[order], np.arange(len(self._groups) + 1))
        sorted_batch = batch.take(pyarrow.array(order))
        for group in np.flatnonzero(np.diff(borders)):
            begin, end = borders[group : group + 2].tolist()
            self._groups[group].append(sorted_batch.slice(begin, end - begin))
        self._bytes += sorted_batch.nbytes
        if self._bytes >= HELD_BYTES:
            self._spill()

    def _spill(self) -> None:
        for held in self._groups:
            table = pyarrow.Table.from_batches(held, self._schema).combine_chunks()
            whole = table.to_batches()
            empty = pyarrow.RecordBatch.from_pylist([], self._schema)
            self._file.write_batch(whole[0] if whole else empty)
            held.clear()
        self._bytes = 0

    def __exit__(self, exception_type, *_):
        if exception_type is None and self._bytes:
            self._spill()
        self._file.close()


def blocks(where: str, group: int, num_groups: int) -> Iterator[pyarrow.RecordBatch]:
    """The record batches of a group in a file.

    Args:
        where: the Arrow file.
        group: number of the group.
        num_groups: how many the file has.
    """
    with pyarrow.memory_map(where) as raw, pyarrow.ipc.open_file(raw) as file:
        for index in range(group, file.num_record_batches, num_groups):
            yield file.get_batch(index)


def batches(
    work: str, stem: str, way: Route, level: int, bucket: int, group: int = -1
) -> Iterator[pyarrow.RecordBatch]:
    """The record batches of a bucket, in the order of the runs.

    Arguments are as for `source_paths`.
    """
    number_of = way.buckets(1) if level == 1 else way.side
    for where in source_paths(work, stem, ".arrow", way, level, bucket, group):
        yield from blocks(where, bucket % way.side if level > 1 else bucket, number_of)


def forgetter(work: str, stem: str, way: Route) -> Callable[[int, int, int], None]:
    """A function for `run` that removes what a finished task of record batches has read.

    Several tasks of a level read one file: the last of them removes it.

    Args:
        work: folder of the files.
        stem: the beginning of their names.
        way: of the runs to the targets.
    """

    def forget(level: int, group: int, bucket: int) -> None:
        last = way.buckets(level) - 1
        if bucket == last or (level > 1 and bucket % way.side == way.side - 1):
            for where in source_paths(work, stem, ".arrow", way, level, bucket, group):
                Path(where).unlink(missing_ok=True)

    return forget


@shard_rows.timed
def split_batches(way: list, level: int, group: int, bucket: int, work: str, stem: str) -> dict:
    """Splits the batches of a bucket from a group of files into smaller buckets; a level's task.

    Holds `HELD_BYTES` and a block.

    Args:
        way: a `Route`.
        level: of the bucket.
        group: of `FAN` files.
        bucket: its number.
        work: folder of the files.
        stem: the beginning of their names.
    """
    way = Route(*way)
    output = path(work, f"{stem}-level", ".arrow", level, group, bucket)
    writer, rows = None, 0
    with files.atomic_path(output) as temporary:
        for batch in batches(work, stem, way, level, bucket, group):
            if writer is None:
                writer = BatchWriter(temporary, batch.schema, way.side).__enter__()
            smaller = targets_of(batch, way.targets) // way.width(level + 1)
            writer.add(batch, smaller - bucket * way.side)
            rows += len(batch)
        if writer is None:  # nothing came: a file without batches
            writer = BatchWriter(temporary, pyarrow.schema([]), way.side).__enter__()
        writer.__exit__(None)
    return {"rows": rows}


def targets_of(batch: pyarrow.RecordBatch, targets: int) -> np.ndarray:
    """The target of each row: its column `target`, or the range of hashes that `key` lies in.

    Args:
        batch: record batch with a column `target` or `key`.
        targets: how many there are; each has an equal range of the hashes.
    """
    if "target" in batch.schema.names:
        return batch.column("target").to_numpy().astype(np.int64)
    column = batch.column("key")
    keys = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, column.type.byte_width)
    heads = keys[column.offset : column.offset + len(column), :4].copy().view(">u4")[:, 0]
    return (heads.astype(np.uint64) * np.uint64(targets) >> np.uint64(32)).astype(np.int64)


def rows_between(where: str, low: int, high: int) -> np.ndarray:
    """A copy of the rows of a sorted array whose first column is in a range.

    Args:
        where: the `.npy` file of an array [n, columns].
        low: lowest value.
        high: from this value on no more; 2^64 for all.
    """
    array = shard_rows.load(where)
    begin = bisect.bisect_left(array[:, 0], low)
    end = bisect.bisect_left(array[:, 0], high, begin) if high < 1 << 64 else len(array)
    return np.array(array[begin:end])


def gathered(
    work: str, stem: str, way: Route, level: int, bucket: int, low: int, high: int, group: int = -1
) -> np.ndarray:
    """The rows of a bucket from sorted arrays, sorted; of equal ones those of earlier runs first.

    Args:
        work: folder of the files.
        stem: the beginning of their names.
        way: of the runs to the targets.
        level: of the bucket; the last one's buckets are targets.
        bucket: its number.
        low: lowest value of the first column that is in the bucket.
        high: from this value on no more; 2^64 for all.
        group: of `FAN` files; -1: all.
    """
    paths = source_paths(work, stem, ".npy", way, level, bucket, group)
    rows = np.concatenate([rows_between(where, low, high) for where in paths])
    return rows[np.argsort(rows[:, 0], kind="stable")]


@shard_rows.timed
def merge_arrays(
    way: list, level: int, group: int, bucket: int, low: int, high: int, work: str, stem: str
) -> dict:
    """Merges what a group of sorted arrays has of a bucket; a level's task.

    Arguments are as for `gathered`.
    """
    rows = gathered(work, stem, Route(*way), level, bucket, low, high, group)
    shard_rows.save(path(work, f"{stem}-level", ".npy", level, group, bucket), rows)
    return {"rows": len(rows)}


def merge(
    stage: Callable, work: str, stem: str, way: Route, border: Callable[[int, int], int]
) -> float:
    """Runs the levels for sorted arrays; seconds of processor time.

    Args:
        stage: runs a stage: its name, its function and the tasks.
        work: folder of the files.
        stem: the beginning of their names.
        way: of the runs to the targets.
        border: given a target and how many there are, the value of the first column from which on
            rows are its own.
    """

    def arguments(level: int, bucket: int) -> tuple:
        ends = (min(b * way.width(level), way.targets) for b in (bucket, bucket + 1))
        low, high = (min(border(end, way.targets), 1 << 64) for end in ends)
        return low, high, work, stem

    return run(stage, merge_arrays, way, arguments=arguments)


def by_hash(part: int, parts: int) -> int:
    """The lowest 64-bit hash of a `part` of so many `parts` of equal size; of the end 2^64."""
    return (part << 64) // parts


def by_shard(shard: int, shards: int) -> int:
    """The lowest number of a document in a `shard` of so many `shards`; of the end 2^64."""
    return shard_rows.number_of(shard, 0) if shard < shards else 1 << 64


def by_key(shard: int, shards: int) -> int:
    """The lowest first half of a key in a `shard` of `shards` (`deduplication.shard_of`)."""
    return -(-(shard << 32) // shards) << 32

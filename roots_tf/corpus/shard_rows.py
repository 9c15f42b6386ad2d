"""Rows of shards between the corpus steps, and arrays of row numbers on disk.

A shard is an Arrow file. A corpus step does not write it again without the documents that it drops:
it writes a sorted array of their row numbers. `read` takes these arrays and gives the rows that are
left. Nothing here holds more than one record batch of a shard.

A document's number has the shard in its upper 32 bits and the row in its lower ones, so that the
order of the numbers is that of the shards and their rows, and nobody has to know how many rows the
other shards have.
"""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.ipc
import pyarrow.parquet

from roots_tf.storage import files


def name(folder: str, stem: str, *numbers: int) -> str:
    """The file in `folder` of the array `stem`, by the numbers of a shard, band, ....

    >>> name("work", "pairs", 3, 14)
    'work/pairs-00003-00014.npy'
    """
    return str(Path(folder, "-".join([stem, *(f"{number:05d}" for number in numbers)]) + ".npy"))


def save(path: str | Path, array: np.ndarray) -> None:
    """Writes an array atomically, as `.npy`."""
    with files.atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def load(path: str | Path) -> np.ndarray:
    """The array of a `.npy` file, as a memory map: only what is used is read."""
    try:
        return np.load(path, mmap_mode="r")
    except ValueError:  # an array of size 0 cannot be mapped
        return np.load(path)


def number_of(shard: int, row: int) -> int:
    """The number of the document in a `row` of a `shard`.

    >>> hex(number_of(3, 20))
    '0x300000014'
    """
    return shard << 32 | row


def read(
    path: str, dropped: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[np.ndarray, list[list]]]:
    """The rows of a shard that no step has dropped, a record batch at a time.

    Args:
        path: the Arrow file.
        dropped: `.npy` files of the rows that steps have dropped, each sorted.
        columns: names of the columns to read.

    Yields:
        Row numbers, ascending, and for each column the values of these rows.
    """
    dropped_rows = [load(file) for file in dropped]
    first = 0
    with pyarrow.memory_map(path) as raw, pyarrow.ipc.open_file(raw) as file:
        for index in range(file.num_record_batches):
            batch = file.get_batch(index)
            left = np.ones(batch.num_rows, bool)
            for rows in dropped_rows:
                begin, end = np.searchsorted(rows, (first, first + batch.num_rows))
                left[rows[begin:end] - first] = False
            rows = np.flatnonzero(left)
            if len(rows):
                taken = batch.select(columns).take(pyarrow.array(rows))
                yield first + rows, [column.to_pylist() for column in taken.columns]
            first += batch.num_rows


def pick(
    path: str, wanted: np.ndarray, columns: Sequence[str]
) -> Iterator[tuple[np.ndarray, list[list]]]:
    """Chosen rows of a shard, a record batch at a time.

    Args:
        path: the Arrow file, or the Parquet file of a shard that a run has written.
        wanted: row numbers, ascending.
        columns: names of the columns to read.

    Yields:
        Places in `wanted`, ascending, and for each column the values of these rows.
    """
    first = 0
    for batch in _batches(path, columns) if len(wanted) else ():
        begin, end = np.searchsorted(wanted, (first, first + batch.num_rows))
        if begin < end:
            places = pyarrow.array(wanted[begin:end].astype(np.int64) - first)
            taken = batch.select(columns).take(places)
            yield np.arange(begin, end), [column.to_pylist() for column in taken.columns]
        first += batch.num_rows


def _batches(path: str, columns: Sequence[str]) -> Iterator[pyarrow.RecordBatch]:
    if path.endswith(".parquet"):
        with pyarrow.parquet.ParquetFile(path) as file:
            yield from file.iter_batches(columns=columns, batch_size=1000)
        return
    with pyarrow.memory_map(path) as raw, pyarrow.ipc.open_file(raw) as file:
        for index in range(file.num_record_batches):
            yield file.get_batch(index)


def timed(task: Callable[..., dict]) -> Callable[..., dict]:
    """A decorator of a stage's task: adds the `seconds` that it took to its result."""

    @functools.wraps(task)
    def run(*arguments):
        start = time.perf_counter()
        result = task(*arguments)
        return {**result, "seconds": round(time.perf_counter() - start, 3)}

    return run

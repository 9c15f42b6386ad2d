"""Rows of shards between stages: which are left, what they hold, and arrays of their numbers.

A shard is an Arrow file; a step that needs other documents names those it drops by their row, in a
sorted array on disk. Nothing here holds more than one record batch of a shard.
"""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.ipc

from roots_tf import files


def name(folder: str, stem: str, *numbers: int) -> str:
    """The file of an array.

    >>> name("work", "pairs", 3, 14)
    'work/pairs-00003-00014.npy'
    """
    return str(Path(folder, "-".join([stem, *(f"{number:05d}" for number in numbers)]) + ".npy"))


def save(path: str | Path, array: np.ndarray) -> None:
    """Writes an array atomically, as `.npy`."""
    with files.atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def load(path: str | Path) -> np.ndarray:
    """An array of a `.npy` file, whose pages are read when they are looked at."""
    try:
        return np.load(path, mmap_mode="r")
    except ValueError:  # there are no pages in an array of size 0
        return np.load(path)


def number(path: str) -> int:
    """Rows of a shard, dropped or not."""
    with pyarrow.memory_map(path) as raw, pyarrow.ipc.open_file(raw) as file:
        return sum(file.get_batch(index).num_rows for index in range(file.num_record_batches))


def read(
    path: str, dropped: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[np.ndarray, list[list]]]:
    """What no step has dropped of a shard, a record batch at a time.

    Args:
        path: the Arrow file.
        dropped: `.npy` files of the rows that steps have dropped, each sorted.
        columns: names of the columns to read.

    Yields:
        Row numbers, ascending, and for each column the values of these rows.
    """
    gone = [load(file) for file in dropped]
    first = 0
    with pyarrow.memory_map(path) as raw, pyarrow.ipc.open_file(raw) as file:
        for index in range(file.num_record_batches):
            batch = file.get_batch(index)
            left = np.ones(batch.num_rows, bool)
            for rows in gone:
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
        path: the Arrow file.
        wanted: row numbers, ascending.
        columns: names of the columns to read.

    Yields:
        Places in `wanted`, ascending, and for each column the values of these rows.
    """
    first = 0
    with pyarrow.memory_map(path) as raw, pyarrow.ipc.open_file(raw) as file:
        for index in range(file.num_record_batches):
            batch = file.get_batch(index)
            begin, end = np.searchsorted(wanted, (first, first + batch.num_rows))
            if begin < end:
                places = pyarrow.array(wanted[begin:end].astype(np.int64) - first)
                taken = batch.select(columns).take(places)
                yield np.arange(begin, end), [column.to_pylist() for column in taken.columns]
            first += batch.num_rows


def timed(task: Callable[..., dict]) -> Callable[..., dict]:
    """A stage's task whose result tells how many `seconds` it took."""

    @functools.wraps(task)
    def run(*arguments):
        start = time.perf_counter()
        result = task(*arguments)
        return {**result, "seconds": round(time.perf_counter() - start, 3)}

    return run

"""Rows of Parquet files, some at a time, in bounded memory."""

import os
from collections.abc import Iterator, Sequence

import pyarrow
import pyarrow.parquet

from roots_tf.storage import ranges, urls
from roots_tf.storage.files import InputError

_ROWS_AT_ONCE = 256
# A row of documents or examples takes bytes. Runs of equal values take next to none, so a small
# file can hold more rows than any memory.
_MANY_ROWS = 1 << 22
_ROWS_A_BYTE = 8
# As for compressed files: text shrinks to a fifth.
_GROWTH = 200
_LARGE_GROUP = 1 << 28


def opened(path: str | os.PathLike) -> pyarrow.parquet.ParquetFile:
    """A Parquet file, to be closed.

    Raises:
        InputError: it is missing, damaged, or made to fill memory: it has more than eight rows a
            byte, or columns that grow by more than 200.
    """
    try:
        file = file_of(path)
    except InputError:
        raise
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise damaged(path, error) from error
    rows, size = file.metadata.num_rows, ranges.size(path)
    if rows > max(_MANY_ROWS, _ROWS_A_BYTE * size):
        file.close()
        raise InputError(
            "file-too-large",
            f"found {rows} rows in the {size} bytes of {path}; wanted examples or documents, of "
            "which a row takes bytes: write those that differ",
        )
    groups = (file.metadata.row_group(i) for i in range(file.num_row_groups))
    largest = max((group.total_byte_size for group in groups), default=0)
    if largest > max(_LARGE_GROUP, _GROWTH * size):
        file.close()
        raise InputError(
            "file-too-large",
            f"found {size} bytes in {path} that grow to {largest}; wanted text, which grows less: "
            "leave it out, or write it again with smaller row groups",
        )
    return file


def file_of(path: str | os.PathLike) -> pyarrow.parquet.ParquetFile:
    """A Parquet file, local or behind a URL, without a look at its size.

    Raises:
        OSError, ArrowException: it is no Parquet file that can be read here.
        InputError: its store cannot be asked for it.
    """
    if not urls.is_url(path):
        return pyarrow.parquet.ParquetFile(path)
    # Columns of a row group that stand side by side are asked for at once.
    return pyarrow.parquet.ParquetFile(ranges.opened(path), pre_buffer=True)


def rows(
    file: pyarrow.parquet.ParquetFile,
    path: str | os.PathLike,
    columns: Sequence[str],
    groups: Sequence[int] | None = None,
) -> Iterator[dict]:
    """Rows of some columns, by name, as Python values.

    Args:
        file: that `opened` gave.
        path: of it, for messages.
        columns: names.
        groups: numbers of the row groups; None: all.

    Raises:
        InputError: the file is damaged.
    """
    columns = list(dict.fromkeys(columns))
    try:
        for batch in file.iter_batches(_ROWS_AT_ONCE, groups, columns):
            yield from batch.to_pylist()
    except InputError:
        raise
    except (OSError, UnicodeDecodeError, pyarrow.ArrowException) as error:
        raise damaged(path, error) from error


def damaged(path: str | os.PathLike, error: Exception) -> InputError:
    """What to say of a file that cannot be read; `path` and the `error` say which and why."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(
        "file-damaged",
        f"could not read {urls.shown(str(path))} as Parquet ({reason}); copy or write it again, or "
        "leave it out",
    )

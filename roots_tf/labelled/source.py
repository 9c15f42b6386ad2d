"""Rows of a labelled file as a table: all of them, or some at a time."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from roots_tf.labelled import lazy_text
from roots_tf.labelled.text_files import Room, read_text, suffix_of
from roots_tf.storage.files import InputError

ROWS_AT_ONCE = 8192
CHARS_AT_ONCE = 1 << 26


class Table(NamedTuple):
    """Columns of equal length by name, and where each row stands in the file.

    A place that is no number, such as `pos/1.txt, line 7`, says it itself.
    """

    columns: dict[str, list]
    lines: list[int | str]
    path: str

    def where(self, row: int) -> str:
        """Place of a row, counted from 0, for messages.

        >>> Table({"text": ["good"]}, [7], "train.tsv").where(0)
        'train.tsv, line 7'
        """
        place = self.lines[row]
        if isinstance(place, str):
            return place
        unit = "row" if suffix_of(self.path) == ".parquet" else "line"
        return f"{self.path}, {unit} {place}"


@dataclasses.dataclass(frozen=True)
class Source:
    """A file whose rows can be read.

    Attributes:
        path: of the file.
        rows: gives places and values by name, at least one row; its argument reads the text of a
            path and an encoding.
        names: of the columns.
        optional: those of them that are no columns where no row has a value.
    """

    path: str
    rows: Callable[[Callable], Iterator[tuple[int | str, dict]]]
    names: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def read(self) -> Table:
        """All rows.

        Raises:
            InputError: something is wrong with the file; or it is more than memory holds.
        """
        table, room = Table({name: [] for name in self.names}, [], self.path), Room(self.path)
        for line, row in self.rows(read_text):
            room.take(row)
            _add(table, line, row)
        for name in self.optional:
            if all(value is None for value in table.columns[name]):
                del table.columns[name]
        return table

    def parts(self, check: Callable[[Table], object], size: int) -> Iterator[Table]:
        """All rows, `size` at a time, fewer where they are long; the file is read twice.

        The first time nothing is kept: what is wrong with a row is said before any work is done,
        and all of the file says which optional columns there are.

        Args:
            check: is shown each part before the first is given.
            size: rows at once at most.

        Raises:
            InputError: as for `read`, or what `check` raises; or the file changes meanwhile.
        """
        state, there = _state(self.path), set(self.names) - set(self.optional)
        for table in self._tables(self.names, size):
            there |= {n for n in self.names if any(v is not None for v in table.columns[n])}
            check(table)
        for table in self._tables([name for name in self.names if name in there], size):
            self._check_unchanged(state)
            yield table
        self._check_unchanged(state)

    def _check_unchanged(self, state) -> None:
        if _state(self.path) != state:
            raise InputError(
                "inputs-changed",
                f"found {self.path} changed while it was read; wanted one content to the end: run "
                "the same command again once nothing writes the file",
            )

    def _tables(self, names, size: int) -> Iterator[Table]:
        """The rows as they come, with the columns of some names."""
        table, chars = Table({name: [] for name in names}, [], self.path), 0
        for line, row in self.rows(lazy_text.text_of):
            _add(table, line, row)
            chars += sum(len(cell) for cell in row.values() if isinstance(cell, str))
            if len(table.lines) == size or chars > CHARS_AT_ONCE:
                yield table
                table, chars = Table({name: [] for name in names}, [], self.path), 0
        if table.lines:
            yield table


def _state(path: str) -> tuple | None:
    """What changes with a file; of what is none, such as a list of several, None."""
    if not os.path.isfile(path):
        return None
    about = os.stat(path)
    return about.st_ino, about.st_size, about.st_mtime_ns


def _add(table: Table, line: int | str, row: dict) -> None:
    """Adds a row to a table, of which it may have more columns."""
    table.lines.append(line)
    for name, values in table.columns.items():
        values.append(row.get(name))

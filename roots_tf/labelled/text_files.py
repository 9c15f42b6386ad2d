"""Text of labelled files, whatever their encoding and compression, and what is said of bad ones."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from roots_tf import memory, spelling
from roots_tf.storage import compression, encodings, neighbours
from roots_tf.storage.files import InputError

TABLES = (".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".parquet")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN = 80  # characters of a found value that a message shows
# Memory that a row takes until its answer is written: a cell, ids and places of tokens, the answer.
_CELL_BYTES = 64
_ROW_BYTES = 1000
_TEXT_BYTES = 6  # a byte of a file as text, as lines, as cells and as tokens


class Room:
    """The memory that rows of a file may take, counted as they are read.

    Args:
        path: of the file.
    """

    def __init__(self, path: str | Path):
        self._path, self._free, self._taken, self._rows = path, memory.available(), 0, 0

    def check(self, num_bytes: int, what: str) -> None:
        """Refuses what will not fit.

        Args:
            num_bytes: that it takes.
            what: it is.

        Raises:
            InputError: more than is free.
        """
        if num_bytes > self._free:
            raise InputError(
                "no-memory",
                f"found {what} in {self._path}, which take {num_bytes >> 20} MiB of memory; "
                f"wanted no more than the {self._free >> 20} MiB that are free: divide the file, "
                "or take a machine with more memory",
            )

    def check_rows(self, rows: int, columns: int) -> None:
        """Refuses `rows` of so many `columns` that will not fit, before they are read."""
        self.check(rows * (_ROW_BYTES + columns * _CELL_BYTES), f"{rows} rows")

    def check_text(self, num_bytes: int) -> None:
        """Refuses a text of so many bytes."""
        self.check(num_bytes * _TEXT_BYTES, f"at least {num_bytes} bytes of text")

    def take(self, cells: dict) -> None:
        """Counts the `cells` of one more row."""
        self._rows += 1
        self._taken += _ROW_BYTES + _CELL_BYTES * len(cells)
        self._taken += sum(len(cell) for cell in cells.values() if isinstance(cell, str | list))
        if not self._rows % 4096:
            self.check(self._taken, f"more than {self._rows} rows")


def suffix_of(path: str | Path) -> str:
    """The suffix that tells a file's format: in lower case, before that of a compression.

    >>> suffix_of("Train.CSV.gz")
    '.csv'
    """
    return Path(compression.without_compression(str(path))).suffix.lower()


def read_text(path: str | Path, encoding: str = "utf-8") -> str:
    """Text of a file, without a byte order mark; lines end in line feeds, with CR before or not.

    Args:
        path: the file, compressed as its suffix says.
        encoding: name of its encoding; a byte order mark goes before it.

    Raises:
        InputError: the file cannot be read, is not of the encoding, or does not fit in memory; the
            message names the offset in bytes.
    """
    encoding = encodings.python_name(encoding)
    content = _content(path)
    mark, marked = encodings.byte_order_mark(content[:4])
    encoding = marked if mark else encoding
    encodings.check_not_utf8(str(path), content[len(mark) :], encoding)
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        start = len(mark) + error.start
        line = content.count(b"\n", 0, start) + 1
        near = max(0, start - encodings.GUESSED_BYTES // 2)
        around = content[content.rfind(b"\n", 0, near) + 1 :]
        raise InputError(
            "not-text",
            f"found bytes that are not {encodings.shown_name(encoding)} in {path}, line {line}, at "
            f"offset {start} of the file; {encodings.advice(str(path), around)}",
        ) from error
    if "\0" in text and (encodings.guess(content) or "").startswith("utf-16"):
        raise InputError(
            "not-text",
            f"found a NUL byte in {path}, line {text.count(chr(10), 0, text.find(chr(0))) + 1}; "
            f"wanted text; {encodings.advice(str(path), content)}",
        )
    # Excel for the old Macintosh ends lines with CR alone.
    return text.replace("\r", "\n") if "\r" in text and "\n" not in text else text


def _content(path: str | Path) -> bytes:
    """Bytes of a file, decompressed."""
    room, parts, size = Room(path), [], 0
    try:
        if compression.codec(str(path)) is None:
            with Path(path).open("rb") as file:
                room.check_text(Path(path).stat().st_size)
                return file.read()
    except FileNotFoundError as error:
        raise no_file(path) from error
    except OSError as error:
        raise InputError(
            "unreadable-file",
            f"could not read {path}: {error.strerror}; wanted a file of labelled examples",
        ) from error
    for part in compression.chunks(str(path)):
        parts.append(part)
        size += len(part)
        room.check_text(size)
    return b"".join(parts)


def lines_of(text) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1, without LF or CRLF.

    Args:
        text: of a file, or a `LazyText`.

    `str.splitlines` would also cut at characters that real text holds inside a line, such as
    U+0085 and U+2028.
    """
    lines = text.split("\n") if isinstance(text, str) else text.opened("\n")
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, line.removesuffix("\n").removesuffix("\r")


def parse_json(text: str, where: str, wanted: str = "JSON"):
    """The value that a JSON `text` holds; `where` and `wanted` are named in messages.

    Raises:
        InputError: the text is no JSON, or a string in it is no Unicode (a surrogate without its
            other half), which no tokenizer could encode.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            "not-json",
            f"found {short(text)} in {where}, which is no JSON ({error}); wanted {wanted}",
        ) from error
    if "\\ud" in text.lower() and (
        found := _SURROGATE.search(json.dumps(value, ensure_ascii=False))
    ):
        raise InputError(
            "not-text",
            f"found half a surrogate pair, \\u{ord(found[0]):04x}, in {where}; wanted Unicode text",
        )
    return value


def short(value) -> str:
    """A value for a message: at most 80 characters of it."""
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def no_file(path: str | Path) -> InputError:
    """What to say where a labelled file is not there."""
    meant = neighbours.suggestion(path)
    return InputError("no-such-file", f"found no file {path}; wanted labelled examples{meant}")


def no_column(names: dict[str, str], expected, found, where: str) -> InputError:
    """What to say where the expected columns are not all there.

    Args:
        names: what the file calls each column.
        expected: the names of those that must be there.
        found: the columns of the file.
        where: it is, for the message.
    """
    missing = next(name for name in expected if names[name] not in found)
    near = spelling.nearest(names[missing], map(str, found))
    own = near[0] if len(near) == 1 else "ITS_NAME"
    return InputError(
        "no-such-column",
        f"found no column {names[missing]!r} in {where}, which has: "
        f"{', '.join(map(str, list(found)[:20])) or 'none'}; rename it there, or say which it is: "
        f"--columns={missing}={own}",
    )

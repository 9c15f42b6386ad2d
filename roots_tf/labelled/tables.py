"""Labelled examples from files: TSV, CSV, JSON lines or Parquet, as columns by name."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow
import pyarrow.parquet

from roots_tf.files import InputError

_JSON_LINES = (".jsonl", ".ndjson", ".json")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN = 80  # characters of a found value that a message shows


class Table(NamedTuple):
    """Columns of equal length by name, and where each row stands in the file."""

    columns: dict[str, list]
    lines: list[int]
    path: str

    def where(self, row: int) -> str:
        """Place of a row, counted from 0, for messages.

        >>> Table({"text": ["good"]}, [7], "train.tsv").where(0)
        'train.tsv, line 7'
        """
        unit = "row" if self.path.lower().endswith(".parquet") else "line"
        return f"{self.path}, {unit} {self.lines[row]}"


def read(
    path: str | Path,
    required: tuple[str, ...],
    optional: tuple[str, ...] = (),
    columns: dict[str, str] | None = None,
) -> Table:
    """Reads a table; the suffix tells its format.

        .tsv                     a line a row, tabs between fields, no quotes
        .csv                     commas between fields, quotes as in RFC 4180
        .jsonl .ndjson .json     a JSON object a line
        .parquet

    A first row of TSV or CSV that holds the names of all required columns is a header. Without one
    the columns stand in the order of `required`:

        "good film\\tpos\\n"  ->  {"text": ["good film"], "label": ["pos"]}

    Blank lines are skipped; so are columns that nobody asked for.

    Args:
        path: the file, UTF-8.
        required: names of columns that must be there, with no empty cell; 0 is not empty.
        optional: names of columns that may be there; an empty cell of theirs is None.
        columns: of some names, what the file calls that column.

    Returns:
        The required columns and those optional ones that are there. Values are strings from TSV and
        CSV, as they are from JSON and Parquet. Lines count from 1; of Parquet they are rows.

    Raises:
        InputError: the file is missing, damaged, of another format or holds no row; a row lacks a
            required cell or has another number of fields. The message names file and line.
    """
    path, columns = Path(path), columns or {}
    if unknown := sorted(columns.keys() - {*required, *optional}):
        raise InputError(
            f"found a name for column {unknown[0]!r}; wanted names for: "
            f"{', '.join((*required, *optional))}"
        )
    names = {name: columns.get(name, name) for name in (*required, *optional)}
    expected = tuple(name for name in names if name in required or name in columns)
    suffix = path.suffix.lower()
    if suffix in (".tsv", ".csv"):
        rows = _delimited(path, names, expected, has_header=bool(columns))
    elif suffix in _JSON_LINES:
        rows = _json_lines(path, names, expected)
    elif suffix == ".parquet":
        rows = _parquet(path, names, expected)
    else:
        raise InputError(
            f"found {path}, with suffix {path.suffix!r}; wanted .tsv, .csv, .jsonl or .parquet"
        )
    table = Table({name: [] for name in names}, [], str(path))
    for line, row in rows:
        table.lines.append(line)
        for name in names:
            value = row.get(name)
            value = None if _is_empty(value) else value
            if value is None and name in required:
                raise InputError(
                    f"found no {name} in {table.where(-1)} (column {names[name]!r} is empty); "
                    "wanted one in every row"
                )
            table.columns[name].append(value)
    if not table.lines:
        raise InputError(f"found no rows in {path}; wanted rows of {', '.join(required)}")
    for name in optional:
        if all(value is None for value in table.columns[name]):
            del table.columns[name]
    return table


def column_names(texts: Sequence[str]) -> dict[str, str]:
    """What a file calls its columns, as the flag `--columns` says it.

    >>> column_names(["text=sentence", "label=gold"])
    {'text': 'sentence', 'label': 'gold'}

    Raises:
        InputError: a text is not of the form NAME=ITS_NAME, or a column is named twice.
    """
    names = {}
    for text in texts:
        name, equals, own = text.partition("=")
        if not (name and equals and own) or name in names:
            twice = f", and {name!r} twice" if name in names else ""
            raise InputError(
                f"found {text!r} in --columns={','.join(texts)}{twice}; wanted NAME=ITS_NAME, each "
                "name once, such as text=sentence,label=gold"
            )
        names[name] = own
    return names


def first(examples, count: int):
    """The first examples of a file.

    Args:
        examples: a named tuple of lists, or of lists by name, such as a `Table`; what is neither
            stays as it is.
        count: how many.
    """

    def cut(part):
        if isinstance(part, dict):
            return {name: values[:count] for name, values in part.items()}
        return part[:count] if isinstance(part, list) else part

    return type(examples)(*map(cut, examples))


def refuse_columns(columns: dict[str, str], path: str | Path) -> None:
    """Refuses names of columns for a file that has no named columns.

    Args:
        columns: from `column_names`.
        path: of a CoNLL or SQuAD file.

    Raises:
        InputError: there are names.
    """
    if columns:
        given = ",".join(f"{name}={own}" for name, own in columns.items())
        raise InputError(
            f"found --columns={given} and {path}, whose layout has no named columns; wanted it "
            "without --columns"
        )


def strings(table: Table, name: str) -> list[str]:
    """A column of texts or of names of classes: strings as they are, numbers as JSON writes them.

    Args:
        table: that has the column.
        name: of the column.

    Raises:
        InputError: a value is neither; the message names file and line.
    """
    texts = []
    for row, value in enumerate(table.columns[name]):
        if not isinstance(value, str | int | float):
            raise InputError(
                f"found {_short(value)} as {name} in {table.where(row)}; wanted a string"
            )
        texts.append(value if isinstance(value, str) else json.dumps(value))
    return texts


def numbers(table: Table, name: str) -> np.ndarray:
    """A column as numbers, float32 [rows].

    Args:
        table: that has the column.
        name: of the column.

    Raises:
        InputError: a value is no finite number; the message names file and line.
    """
    values = np.zeros(len(table.lines), np.float32)
    for row, value in enumerate(table.columns[name]):
        try:
            with np.errstate(over="ignore"):
                values[row] = float(value)
        except (TypeError, ValueError, OverflowError):
            values[row] = np.nan
        if not np.isfinite(values[row]):
            raise InputError(
                f"found {_short(value)} as {name} in {table.where(row)}; wanted a finite number"
            )
    return values


def read_text(path: str | Path) -> str:
    """Text of a UTF-8 file, without a byte order mark.

    Raises:
        InputError: the file cannot be read, or is not UTF-8; the message names the offset in bytes.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"found no file {path}; wanted labelled examples") from error
    except OSError as error:
        raise InputError(
            f"could not read {path}: {error.strerror}; wanted a file of labelled examples"
        ) from error
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"found bytes that are not UTF-8 in {path}, line {line}, at offset {error.start} of "
            "the file; convert it to UTF-8 first"
        ) from error


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1, without LF or CRLF.

    `str.splitlines` would also cut at characters that real text holds inside a line, such as
    U+0085 and U+2028.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.removesuffix("\r")


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
            f"found {_short(text)} in {where}, which is no JSON ({error}); wanted {wanted}"
        ) from error
    if "\\ud" in text.lower() and (
        found := _SURROGATE.search(json.dumps(value, ensure_ascii=False))
    ):
        raise InputError(
            f"found half a surrogate pair, \\u{ord(found[0]):04x}, in {where}; wanted Unicode text"
        )
    return value


def _is_empty(value) -> bool:
    """Whether a cell holds nothing: null, NaN (as pandas writes null), blank text, no items."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or value != value or (isinstance(value, list | dict) and not value)


def _short(value) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def _no_column(names: dict[str, str], expected, found, where: str) -> InputError:
    """What to say where the expected columns are not all there."""
    missing = next(name for name in expected if names[name] not in found)
    return InputError(
        f"found no column {names[missing]!r} in {where}, which has: "
        f"{', '.join(map(str, list(found)[:20])) or 'none'}; rename it there, or say which it is: "
        f"--columns={missing}=ITS_NAME"
    )


def _delimited(path: Path, names, expected, has_header: bool) -> Iterator[tuple[int, dict]]:
    is_csv = path.suffix.lower() == ".csv"
    rows = _csv_rows(path) if is_csv else _tsv_rows(path)
    header = None
    for line, fields in rows:
        if header is None:
            header = _header(fields, names, expected, has_header, f"{path}, line {line}")
            if header:
                continue
            header = [names[name] for name in expected]
        if len(fields) != len(header):
            raise InputError(
                f"found {len(fields)} fields in {path}, line {line}: {_short(fields)}; wanted "
                f"{len(header)} ({', '.join(header)}), parted by {'commas' if is_csv else 'tabs'}; "
                "a file of other columns starts with a line of their names"
            )
        own = dict(zip(header, fields, strict=True))
        yield line, {name: own.get(names[name]) for name in names}


def _header(fields, names, expected, has_header: bool, where: str) -> list[str] | None:
    """Names of the file's columns where its first row holds them; None where that row is data.

    A row with some of the names but not all is a header of other names, not data.
    """
    header = [field.strip() for field in fields]
    if all(names[name] in header for name in expected):
        if twice := sorted({field for field in header if header.count(field) > 1}):
            raise InputError(f"found column {twice[0]!r} twice in {where}; rename one of them")
        return header
    folded = {field.casefold() for field in header}
    if has_header or any(name.casefold() in folded for name in names.values()):
        raise _no_column(names, expected, header, where)
    return None


def _tsv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.split("\t")) for number, line in lines_of(read_text(path)))


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    text = read_text(path)
    limit = csv.field_size_limit(len(text) + 1)  # 131,072 by default; a novel in a cell is fine
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for fields in rows:
            if "".join(fields).strip() or len(fields) > 1:
                yield line, fields
            line = rows.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"found broken quotes in the row of {path} that begins at line {line} ({error}); "
            'wanted CSV: quotes around a field that holds commas, and "" for a quote inside'
        ) from error
    finally:
        csv.field_size_limit(limit)


def _json_lines(path: Path, names, expected) -> Iterator[tuple[int, dict]]:
    for line, text in lines_of(read_text(path)):
        where = f"{path}, line {line}"
        row = parse_json(text, where, wanted="JSON lines: an object a line")
        if not isinstance(row, dict):
            raise InputError(f"found {_short(row)} in {where}; wanted JSON lines: an object a line")
        if any(names[name] not in row for name in expected):
            raise _no_column(names, expected, row, where)
        yield line, {name: row.get(names[name]) for name in names}


def _parquet(path: Path, names, expected) -> Iterator[tuple[int, dict]]:
    if not path.is_file():
        raise InputError(f"found no file {path}; wanted labelled examples")
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            there = file.schema_arrow.names
            if any(names[name] not in there for name in expected):
                raise _no_column(names, expected, there, str(path))
            asked = {name: names[name] for name in names if names[name] in there}
            read = file.read(list(dict.fromkeys(asked.values())))
            values = {name: read.column(own).to_pylist() for name, own in asked.items()}
    except (OSError, UnicodeDecodeError, pyarrow.ArrowException) as error:
        raise InputError(
            f"could not read {path} as Parquet ({str(error).splitlines()[0]}); write it again"
        ) from error
    for row in range(read.num_rows):
        yield row + 1, {name: column[row] for name, column in values.items()}

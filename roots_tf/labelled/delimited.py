"""Rows of TSV and CSV, as people and spreadsheets write them."""

import csv
import itertools
import re
from collections.abc import Iterator, Sequence

from roots_tf import spelling
from roots_tf.labelled.lazy_text import LazyText, opened
from roots_tf.labelled.text_files import lines_of, no_column, short
from roots_tf.storage.files import InputError

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_SEPARATOR = re.compile(r"sep=([,;\t])\r?\n", re.IGNORECASE)  # a first line for Excel alone
_QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)"(?=[\t\n]|\Z)|([^"\t\n]*)(?=[\t\n]|\Z)')
_NEED_QUOTES = re.compile(r'["\t\n,]')
_LONGEST = (1 << 31) - 1  # characters of a field: what a C long of 32 bits can say

Row = tuple[int, list[str]]


class ColumnOrder(dict):
    """Places of columns, from 0, in a file without a line of names; `width` columns in all."""

    def __init__(self, names: Sequence[str]):
        super().__init__((name, place) for place, name in enumerate(names) if name != "-")
        self.names, self.width = list(names), len(names)


def read(
    path: str, suffix: str, text: str | LazyText, names: dict[str, str], expected, columns: dict
) -> Iterator[tuple[int, dict]]:
    """Rows as columns by name, each with its line; arguments as `tables.read` knows them.

    Args:
        path: of the file, for messages.
        suffix: `.csv` or `.tsv`.
        text: of the file.
        names: what the file calls each column.
        expected: names of the columns that must be there.
        columns: that were named, or their order.
    """
    skipped = 0
    delimiter = "\t"
    if suffix == ".csv":
        if match := _SEPARATOR.match(text if isinstance(text, str) else text.head):
            skipped = 1
        delimiter = match[1] if match else _delimiter(path, text, names, expected, columns)
    rows = _tsv_rows(text) if suffix == ".tsv" else _csv_rows(path, text, delimiter, skipped)
    first = next(rows, None)
    if first is None:
        return
    where = f"{path}, line {first[0] + skipped}"
    header = _header(first[1], names, expected, columns, where)
    if header is None:
        header = columns.names if columns else [names[name] for name in expected]
        rows = itertools.chain([first], rows)
    for line, fields in rows:
        line += skipped
        if len(fields) != len(header):
            raise InputError(
                "wrong-row",
                f"found {len(fields)} fields in {path}, line {line}: {short(fields)}; wanted "
                f"{len(header)} ({', '.join(header)}), parted by {_DELIMITERS[delimiter]}; a file "
                "of other columns starts with a line of their names, or say their order, - for one "
                "that is not needed: --columns=label,-,text",
            )
        own = dict(zip(header, fields, strict=True))
        yield line, {name: own.get(names[name]) for name in names}


def _delimiter(path: str, text, names, expected, columns) -> str:
    """What parts the fields of a CSV: that which gives the first row the columns it should have."""
    first = {}
    for delimiter in _DELIMITERS:
        try:
            first[delimiter] = next(_csv_rows(path, text, delimiter), (0, []))[1]
        except InputError:
            continue
    for delimiter, fields in first.items():
        header = {field.strip() for field in fields}
        if all(str(names[name]) in header for name in expected):
            return delimiter
    wanted = columns.width if isinstance(columns, ColumnOrder) else len(expected)
    fitting = (d for d, fields in first.items() if len(fields) == wanted > 1)
    return next(fitting, ",")


def _header(fields, names, expected, columns: dict, where: str) -> list[str] | None:
    """Names of the file's columns where its first row holds them; None where that row is data.

    A row with some of the names but not all, or with all of them misspelt, is a header of other
    names, not data.
    """
    header = [field.strip() for field in fields]
    if isinstance(columns, ColumnOrder):
        return columns.names if header == columns.names else None
    if all(names[name] in header for name in expected):
        asked = [field for field in header if field in names.values()]
        if twice := sorted({field for field in asked if header.count(field) > 1}):
            raise InputError(
                "named-twice", f"found column {twice[0]!r} twice in {where}; rename one of them"
            )
        return header
    folded = {field.casefold() for field in header}
    named = any(name.casefold() in folded for name in names.values())
    if columns or named or _is_misspelt(header, [names[name] for name in expected]):
        raise no_column(names, expected, header, where)
    return None


def _is_misspelt(header: list[str], names: list[str]) -> bool:
    """Whether a row has a word for each of several names that is nearly it: `txt`, `lable`."""
    words = [field for field in header if 0 < len(field) < 2 * max(map(len, names), default=0)]
    return len(names) > 1 and all(spelling.nearest(name, words) for name in names)


def _tsv_rows(text: str | LazyText) -> Iterator[Row]:
    """Rows of TSV; quotes are part of a text unless all of the file has them as Excel writes."""
    plain = ((number, line.split("\t")) for number, line in lines_of(text))
    if isinstance(text, LazyText):  # in which there are no quotes
        return plain
    quoted = _quoted_rows(text.replace("\r\n", "\n")) if '"' in text else None
    if quoted is None or _is_joined(text, quoted):
        return plain
    return iter(quoted)


def _is_joined(text: str, quoted: list[Row]) -> bool:
    """Whether quotes would join lines that are rows as they stand.

        1\t"fine\n0\tbad"  ->  two rows of two fields, whose texts begin and end with a quote

    A field that does hold a line end leaves lines of fewer fields, as no row has its tabs just so.
    """
    lines = [line.count("\t") for _, line in lines_of(text)]
    return len(lines) > len(quoted) and {*lines} == {len(quoted[0][1]) - 1}


def _quoted_rows(text: str) -> list[Row] | None:
    """Rows of a table whose fields stand in quotes; None where the quotes are part of the texts.

        "He said ""hi"", and left"\\tpos  ->  ['He said "hi", and left', 'pos']

    They are no part where all of the file agrees: a quote within a field is doubled and its field
    in quotes, rows have one number of fields, and quotes stand around nothing but what needs them
    (a quote, a tab, a line end or a comma, as Excel and pandas write) or around whole columns (R).
    """
    rows, fields, needed, place, line, begun = [], [], [], 0, 1, 1
    while place < len(text):
        match = _QUOTED.match(text, place)
        if match is None:
            return None
        fields.append(match[2] if match[1] is None else match[1].replace('""', '"'))
        needed.append(None if match[1] is None else bool(_NEED_QUOTES.search(match[1])))
        line += text.count("\n", place, match.end())
        place = match.end() + 1
        if text[match.end() : place] != "\t":
            if any(map(str.strip, fields)):
                rows.append((begun, fields, needed))
            line += 1
            fields, needed, begun = [], [], line
    if fields:  # the text ends with a tab
        rows.append((begun, [*fields, ""], [*needed, None]))
    if not rows or {len(fields) for _, fields, _ in rows} != {len(rows[0][1])}:
        return None
    for column in zip(*(needed for _, _, needed in rows), strict=True):
        if False in column and None in column:
            return None
    return [(begun, fields) for begun, fields, _ in rows]


def _csv_rows(path: str, text, delimiter: str, skipped: int = 0) -> Iterator[Row]:
    """Rows behind some lines that are skipped, and not counted."""
    lines = itertools.islice(opened(text, ""), skipped, None)
    rows = csv.reader(lines, strict=True, delimiter=delimiter)
    line = 1
    try:
        while (fields := _next_row(rows)) is not None:
            if "".join(fields).strip():
                yield line, fields
            line = rows.line_num + 1
    except csv.Error as error:
        raise InputError(
            "wrong-row",
            f"found broken quotes in the row of {path} that begins at line {line} ({error}); "
            'wanted CSV: quotes around a field that holds commas, and "" for a quote inside',
        ) from error


def _next_row(rows) -> list[str] | None:
    """The next row of a `csv.reader`, with fields of up to `_LONGEST`; None at the end.

    The limit is the whole process's, 131,072 by default where a novel in a cell is fine: it is
    raised for one row at a time, since files may be read in turn, and one of them not to its end.
    """
    limit = csv.field_size_limit(_LONGEST)
    try:
        return next(rows, None)
    finally:
        csv.field_size_limit(limit)

"""Labelled examples from files: TSV, CSV, JSON lines, Parquet and others, as columns by name."""

import collections
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from roots_tf import spelling
from roots_tf.labelled import delimited, label_files, parquet_rows, sampling
from roots_tf.labelled.lazy_text import LazyText
from roots_tf.labelled.source import Source, Table
from roots_tf.labelled.text_files import (
    lines_of,
    no_column,
    parse_json,
    read_text,
    short,
    suffix_of,
)
from roots_tf.storage.files import InputError

_JSON = (".jsonl", ".ndjson", ".json")
_WHOLE = re.compile(r"([+-]?)(0|[1-9]\d{0,14})\.0+")  # a float with more digits is another number
_TRUTH = {"false": 0.0, "true": 1.0}


def read(
    path: str | Path,
    required: tuple[str, ...],
    optional: tuple[str, ...] = (),
    columns: dict[str, str] | None = None,
    *,
    may_be_blank: tuple[str, ...] = (),
    encoding: str = "utf-8",
) -> Table:
    """Reads a table; the suffix tells its format, under any suffix of compression (`.gz`, `.xz`).

        .tsv                     tabs between fields; quotes only where all of the file has them
        .csv                     commas between fields, or semicolons, quotes as in RFC 4180
        .jsonl .ndjson .json     a JSON object a line, or an array of objects
        .parquet                 numbers of classes whose names the schema has are these names
        .label .txt              a label before each text: see `label_files.rows_of_lines`
        several, folders         a file or a folder a label: see `label_files.rows_of_parts`

    A first row of TSV or CSV that holds the names of all required columns is a header. Without one
    the columns stand in the order of `required`, or in that of `columns`:

        "good film\\tpos\\n"  ->  {"text": ["good film"], "label": ["pos"]}

    Blank lines are skipped; so are columns that nobody asked for.

    Args:
        path: the file, or files that commas or a pattern name, or a folder.
        required: names of columns that must be there, with no empty cell; 0 is not empty.
        optional: names of columns that may be there; an empty cell of theirs is None.
        columns: of some names, what the file calls that column; or the order of all columns, as
            `column_names` gives it.
        may_be_blank: the required columns that may have empty cells; these are None.
        encoding: name of that of a text without a byte order mark.

    Returns:
        The required columns and those optional ones that are there. Values are strings from TSV and
        CSV, as they are from JSON and Parquet. Lines count from 1; of Parquet they are rows.

    Raises:
        InputError: the file is missing, damaged, of another format, holds no row or more rows than
            memory; a row lacks a required cell or has another number of fields. The message names
            file and line.
    """
    return source(
        path, required, optional, columns, may_be_blank=may_be_blank, encoding=encoding
    ).read()


def source(
    path: str | Path,
    required: tuple[str, ...],
    optional: tuple[str, ...] = (),
    columns: dict[str, str] | None = None,
    *,
    may_be_blank: tuple[str, ...] = (),
    encoding: str = "utf-8",
) -> Source:
    """The table that `read` reads; arguments as for it, and errors, as rows are read.

    Raises:
        InputError: columns are named that nobody asked for.
    """
    columns = columns or {}
    is_order = isinstance(columns, delimited.ColumnOrder)
    if (unknown := sorted(columns.keys() - {*required, *optional})) and not is_order:
        raise InputError(
            "no-such-column",
            f"found a name for column {unknown[0]!r}; wanted names for: "
            f"{', '.join((*required, *optional))}"
            f"{spelling.suggestion(unknown[0], (*required, *optional))}",
        )
    names = {name: name if is_order else columns.get(name, name) for name in required + optional}
    expected = tuple(name for name in names if name in required or name in columns)
    filled = {name for name in required if name not in may_be_blank}

    def rows(text_of):
        line = None
        for line, row in _rows(str(path), names, expected, columns, encoding, text_of):
            row = {name: None if _is_empty(row.get(name)) else row[name] for name in names}
            for name in names:
                if row[name] is None and name in filled:
                    raise InputError(
                        "wrong-row",
                        f"found no {name} in {Table({}, [line], str(path)).where(0)} (column "
                        f"{names[name]!r} is empty); wanted one in every row",
                    )
            yield line, row
        if line is None:
            wanted = ", ".join(required or optional)
            raise InputError("empty-input", f"found no rows in {path}; wanted rows of {wanted}")

    return Source(str(path), rows, tuple(names), optional)


def _rows(
    path: str, names: dict[str, str], expected, columns: dict, encoding: str, text_of
) -> Iterator[tuple[int | str, dict]]:
    """Rows of a file by its format, each with its place; `text_of` reads a text."""
    parts = label_files.parts_of(path)
    if len(parts) > 1 or (os.path.isdir(parts[0]) and not suffix_of(parts[0])):
        refuse_order(columns, path)
        rows = label_files.rows_of_parts(parts, encoding)
        yield from _named(rows, names, expected, path)
        return
    (path,) = parts
    suffix = suffix_of(path)
    if suffix in (".tsv", ".csv"):
        text = text_of(path, encoding)
        yield from delimited.read(path, suffix, text, names, expected, columns)
        return
    refuse_order(columns, path)
    if suffix in _JSON:
        yield from _json_rows(path, text_of(path, encoding), names, expected)
    elif suffix == ".parquet":
        yield from parquet_rows.rows(path, names, expected, is_held=text_of is read_text)
    elif suffix in (label_files.LABEL_FIRST, ".txt"):
        rows = label_files.rows_of_lines(path, suffix, text_of(path, encoding))
        yield from _named(rows, names, expected, path)
    else:
        raise label_files.other_format(path, suffix)


def _named(rows, names: dict[str, str], expected, path: str) -> Iterator[tuple[int | str, dict]]:
    """Rows with the names that columns have here."""
    for line, row in rows:
        if any(names[name] not in row for name in expected):
            raise no_column(names, expected, row, path)
        yield line, {name: row.get(names[name]) for name in names}


def column_names(texts: str | Sequence[str]) -> dict[str, str]:
    """What a file calls its columns, as the flag `--columns` says it; or their order.

    >>> column_names(["text=sentence", "label=gold"])
    {'text': 'sentence', 'label': 'gold'}
    >>> column_names(["label", "-", "text"])  # of a file without a line of names
    {'label': 0, 'text': 2}

    Args:
        texts: NAME=ITS_NAME, or names in order with `-` for columns that are not needed; or one.

    Raises:
        InputError: texts are of both forms, or a column is named twice.
    """
    texts = texts.split(",") if isinstance(texts, str) else list(texts)
    if texts and all(texts) and not any("=" in text for text in texts):
        if twice := [
            t for t, count in collections.Counter(texts).items() if count > 1 and t != "-"
        ]:
            raise InputError(
                "named-twice",
                f"found {twice[0]!r} twice in --columns={','.join(texts)}; wanted once",
            )
        return delimited.ColumnOrder(texts)
    names = {}
    for text in texts:
        name, equals, own = text.partition("=")
        if not (name and equals and own) or name in names:
            twice = f", and {name!r} twice" if name in names else ""
            raise InputError(
                "wrong-value",
                f"found {text!r} in --columns={','.join(texts)}{twice}; wanted NAME=ITS_NAME, each "
                "name once, such as text=sentence,label=gold, or the names of all columns in order "
                "for a file without a line of names, such as label,text",
            )
        names[name] = own
    return names


def read_examples(kind, path: str, flags, labelled: bool = True):
    """Examples of a file, as the flags of a program say that it is written.

    Args:
        kind: of task, which reads them.
        path: of the file.
        flags: have `columns` and `encoding`.
        labelled: whether the answers must be there.

    Raises:
        InputError: as for `kind.read`, or as for `column_names`.
    """
    return kind.read(path, column_names(flags.columns), labelled, flags.encoding)


def read_in_parts(kind, path: str, flags, size: int) -> Iterator:
    """Examples of a file without answers, some at a time, of which memory holds no more.

    A file of which all must be seen before a row is read is held, but not its tokens and answers:
    see `lazy_text.text_of` and `kind.source`.

    Args:
        kind: of task, which reads them.
        path: of the file, which is read twice.
        flags: have `columns` and `encoding`.
        size: examples at a time at most.

    Raises:
        InputError: as for `read_examples`, before the first are given.
    """
    found = kind.source(path, column_names(flags.columns), flags.encoding)
    if found is None:
        yield from sampling.parts(read_examples(kind, path, flags, labelled=False), size)
        return
    yield from map(kind.of_table, found.parts(kind.check_table, size))


def is_read_once(path: str) -> bool:
    """Whether a `path` of examples names a pipe, or another place that is not read again."""
    there = filter(os.path.exists, label_files.parts_of(path))
    return any(not (os.path.isfile(part) or os.path.isdir(part)) for part in there)


def refuse_order(columns: dict, path: str | Path) -> None:
    """Refuses an order of columns for a file that is neither CSV nor TSV.

    Args:
        columns: from `column_names`.
        path: of the file.

    Raises:
        InputError: there is an order.
    """
    if isinstance(columns, delimited.ColumnOrder):
        given = ",".join(columns.names)
        raise InputError(
            "no-such-column",
            f"found --columns={given}, an order of columns, and {path}, whose columns have names; "
            f"wanted what it calls them: --columns={columns.names[0]}=ITS_NAME",
        )


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
            "flags-conflict",
            f"found --columns={given} and {path}, whose layout has no named columns; wanted it "
            "without --columns",
        )


def strings(table: Table, name: str) -> list[str]:
    """A column of texts or of names: strings as they are, numbers as JSON writes them, blanks "".

    Args:
        table: that has the column.
        name: of the column.

    Raises:
        InputError: a value is neither; the message names file and line.
    """
    texts = []
    for row, value in enumerate(table.columns[name]):
        value = "" if value is None else value
        if not isinstance(value, str | int | float):
            raise InputError(
                "wrong-row",
                f"found {short(value)} as {name} in {table.where(row)}; wanted a string",
            )
        texts.append(value if isinstance(value, str) else json.dumps(value))
    return texts


def numbers(table: Table, name: str) -> np.ndarray:
    """A column as numbers, float32 [rows]; true is 1 and false is 0.

    Args:
        table: that has the column.
        name: of the column.

    Raises:
        InputError: a value is no finite number; the message names file and line.
    """
    values = np.zeros(len(table.lines), np.float32)
    for row, value in enumerate(table.columns[name]):
        truth = _TRUTH.get(label_name(value)) if isinstance(value, str) else None
        try:
            with np.errstate(over="ignore"):
                values[row] = float(value) if truth is None else truth
        except (TypeError, ValueError, OverflowError):
            values[row] = np.nan
        if not np.isfinite(values[row]):
            raise InputError(
                "wrong-row",
                f"found {short(value)} as {name} in {table.where(row)}; wanted a finite number",
            )
    return values


def labels(table: Table, name: str) -> list[str]:
    """A column of names of classes, each spelled one way: `False` as `false`, 1.0 and "1.0" as `1`.

    So classes are the same in CSV, JSON and Parquet, whose booleans and numbers differ.

    Args:
        table: that has the column.
        name: of the column.

    Raises:
        InputError: a value is no class; the message names file and line.
    """
    found = strings(table, name)
    spelled = {text: label_name(text) for text in dict.fromkeys(found)}
    if len(spelled) > len(set(spelled.values())):
        by_label = collections.defaultdict(list)
        for text, label in spelled.items():
            by_label[label].append(repr(text))
        several = next(texts for texts in by_label.values() if len(texts) > 1)
        logging.warning("%s: %s are one label", table.path, " and ".join(several))
    return [spelled[text] for text in found]


def label_name(text: str) -> str:
    """The one spelling of a class's name.

    >>> [label_name(text) for text in ("True", " pos ", "1.0", "-0.0", "2.50")]
    ['true', 'pos', '1', '0', '2.50']
    """
    text = text.strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    if match := _WHOLE.fullmatch(text):
        return match[2] if match[2] == "0" else match[1] + match[2]
    return text


def _is_empty(value) -> bool:
    """Whether a cell holds nothing: null, NaN (as pandas writes null), blank text, no items."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or value != value or (isinstance(value, list | dict) and not value)


def _json_rows(
    path: str, text: str | LazyText, names, expected
) -> Iterator[tuple[int | str, dict]]:
    """Objects of JSON lines, or of one array."""
    wanted = "JSON lines, an object a line, or an array of objects"
    for line, value in _json_values(path, text, wanted):
        where = line if isinstance(line, str) else f"{path}, line {line}"
        if not isinstance(value, dict):
            raise InputError("wrong-row", f"found {short(value)} in {where}; wanted {wanted}")
        if any(names[name] not in value for name in expected):
            raise no_column(names, expected, value, where)
        yield line, {name: value.get(names[name]) for name in names}


def _json_values(path: str, text, wanted: str) -> Iterator[tuple[int | str, object]]:
    """Values of lines, with their numbers, or those of one array, with their places."""
    if isinstance(text, str) and text.lstrip()[:1] == "[":
        try:
            is_array = isinstance(json.loads(text), list)
        except (ValueError, RecursionError):
            is_array = False  # the line that is no JSON will say so
        if is_array:
            for number, value in enumerate(parse_json(text, path), 1):
                yield f"{path}, item {number}", value
            return
    for line, content in lines_of(text):
        yield line, parse_json(content, f"{path}, line {line}", wanted)

"""Rows of Parquet files by the names of their columns, with the names of classes that they keep.

`datasets` writes a class as its number, and the names of all to the schema's metadata, where the
data sets of the Hugging Face hub have them:

    {"info": {"features": {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}}

A list of classes, such as the tags of a text, has that under `feature`. -1 is no class: data sets
have it where the answers of a test file are kept back.
"""

import decimal
import json
import os
from collections.abc import Collection, Iterator, Mapping

import pyarrow

from roots_tf.labelled.text_files import Room, no_column, no_file
from roots_tf.storage import parquet
from roots_tf.storage.files import InputError

_KEY = b"huggingface"


def rows(
    path: str, names: Mapping[str, str], expected: Collection[str], is_held: bool = True
) -> Iterator[tuple[int, dict]]:
    """Rows, counted from 1, as values by our names.

    Args:
        path: of the file.
        names: what the file calls each column; `translation.en` is the field `en` of a column
            `translation`, where there is no column of that whole name.
        expected: of our names those of columns that must be there.
        is_held: whether all rows are to be in memory together.

    Raises:
        InputError: the file is missing or damaged, lacks a column, does not fit in memory, or holds
            the number of a class that has no name.
    """
    if not os.path.isfile(path):
        raise no_file(path)
    with parquet.opened(path) as file:
        schema = file.schema_arrow
        there = [*schema.names, *_fields(schema)]
        if any(names[name] not in there for name in expected):
            raise no_column(names, expected, there, path)
        asked = {name: own for name, own in names.items() if own in there}
        classes = class_names(schema, path)
        if is_held:
            Room(path).check_rows(file.metadata.num_rows, len(asked))
        for number, row in enumerate(parquet.rows(file, path, list(asked.values())), 1):
            values = {name: _plain(_value(row, own)) for name, own in asked.items()}
            for name, own in asked.items():
                if own in classes:
                    values[name] = _named(values[name], classes[own], f"{path}, row {number}")
            yield number, values


def columns(path: str) -> list[str]:
    """Names of the columns of a file; `path` and errors as for `rows`."""
    if not os.path.isfile(path):
        raise no_file(path)
    with parquet.opened(path) as file:
        return list(file.schema_arrow.names)


def class_names(schema: pyarrow.Schema, path: str) -> dict[str, list[str]]:
    """Names of the classes in columns of numbers, by column, where the file has them.

    Args:
        schema: of the file.
        path: of the file, for messages.

    Raises:
        InputError: what it says of them is damaged.
    """
    text = (schema.metadata or {}).get(_KEY)
    if text is None:
        return {}
    try:
        features = json.loads(text)["info"]["features"]
        found = {column: _feature(feature) for column, feature in features.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            "file-damaged",
            f"found no features in the `huggingface` metadata of {path} ({type(error).__name__}); "
            "wanted them as `datasets` writes them: write the file again",
        ) from error
    return {column: names for column, names in found.items() if names}


def _feature(feature) -> list[str] | None:
    """The names of a class, or of those in a list; None of what is no class."""
    while isinstance(feature, list) or "feature" in feature:
        feature = feature[0] if isinstance(feature, list) else feature["feature"]
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    return [str(name) for name in names] if names else None


def _named(value, names: list[str], where: str):
    """The name of a class for its number, and in lists; None for -1."""
    if isinstance(value, list):
        return [_named(each, names, where) for each in value]
    if value is None or isinstance(value, str) or value == -1:
        return value if isinstance(value, str) else None
    if not isinstance(value, int) or not 0 <= value < len(names):
        raise InputError(
            "wrong-row",
            f"found the class {value!r:.60} in {where}, and names for 0 to {len(names) - 1}; wanted"
            " one of these: write the file again",
        )
    return names[value]


def _fields(schema: pyarrow.Schema) -> list[str]:
    """Names of the fields in columns that are structures: `translation.en`."""
    structures = [field for field in schema if pyarrow.types.is_struct(field.type)]
    return [f"{field.name}.{inner.name}" for field in structures for inner in field.type]


def _value(row: dict, own: str):
    """The value of a column, or of a field of one."""
    if own in row:
        return row[own]
    column, _, field = own.partition(".")
    return (row.get(column) or {}).get(field)


def _plain(value):
    """A value as JSON would have it."""
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value

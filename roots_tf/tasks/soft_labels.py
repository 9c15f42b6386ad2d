"""Probabilities of labels as what a classifier learns: the column that `predict` writes.

Of an ensemble of templates they are what a classifier learns of texts that nobody has labelled
(Schick & Schütze 2021, arXiv:2001.07676, section 3.4). A table of them has the columns that a
labelled one has, its `label` the likeliest one, and `probabilities` beside.
"""

import json
import math

import numpy as np

from roots_tf import spelling
from roots_tf.labelled import delimited, tables
from roots_tf.labelled.tables import Table
from roots_tf.labelled.text_files import short
from roots_tf.storage.files import InputError

COLUMN = "probabilities"
TOLERANCE = 0.01  # of a sum, such as that of ten numbers of three digits


def read(path: str, columns: dict[str, str], encoding: str = "utf-8") -> Table:
    """Reads texts with probabilities of their labels: an object, of label and number, a row.

        {"text": "a fine film", "probabilities": {"bad": 0.2, "good": 0.8}}

    In TSV and CSV the cell holds the object as JSON. `label` is not read.

    Args:
        path: as for `tables.read`.
        columns: as there.
        encoding: as there.

    Raises:
        InputError: as there; or a cell holds no probabilities, they do not sum to 1, or are of
            other labels than those of the first row.
    """
    if not isinstance(columns, delimited.ColumnOrder):
        columns = {name: own for name, own in columns.items() if name != "label"}
    pair = ("text_pair",)
    table = tables.read(path, ("text", COLUMN), pair, columns, may_be_blank=pair, encoding=encoding)
    rows = [_probabilities(table, row) for row in range(len(table.lines))]
    for row, found in enumerate(rows):
        _check_labels(found, rows[0], table.where(row))
    likeliest = [max(found, key=found.get) for found in rows]
    return table._replace(columns=table.columns | {COLUMN: rows, "label": likeliest})


def are_in(examples: Table) -> bool:
    """Whether a table has probabilities, from `read`."""
    return COLUMN in examples.columns


def names(examples: Table) -> set[str]:
    """The labels of a table from `read`."""
    return set(examples.columns[COLUMN][0])


def matrix(examples: Table, labels: tuple[str, ...]) -> np.ndarray:
    """Probabilities, float32 [examples, labels], each row of which sums to 1.

    Args:
        examples: from `read`.
        labels: in the order of the columns.
    """
    rows = [[found[label] for label in labels] for found in examples.columns[COLUMN]]
    values = np.array(rows, np.float64)
    return (values / values.sum(1, keepdims=True)).astype(np.float32)


def _probabilities(table: Table, row: int) -> dict[str, float]:
    """The probabilities of a row, by label.

    Raises:
        InputError: they are none.
    """
    given, where = table.columns[COLUMN][row], table.where(row)
    wanted = 'an object of labels and probabilities, such as {"bad": 0.2, "good": 0.8}'
    found = given
    if isinstance(given, str):
        try:
            found = json.loads(given)
        except (ValueError, RecursionError):
            found = None
    if not isinstance(found, dict):
        raise InputError(
            "wrong-row", f"found {short(given)} as {COLUMN} in {where}; wanted {wanted}"
        )
    named = {tables.label_name(str(label)): value for label, value in found.items()}
    if len(named) < len(found):
        raise InputError(
            "named-twice", f"found a label twice in {COLUMN} of {where}; wanted each once"
        )
    for label, value in named.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and math.isfinite(value) and 0 <= value <= 1 + TOLERANCE):
            raise InputError(
                "wrong-row",
                f"found {short(value)} as the probability of {label} in {where}; wanted a number "
                "of 0 to 1",
            )
    total = math.fsum(named.values())
    if abs(total - 1) > TOLERANCE:
        raise InputError(
            "wrong-row",
            f"found {COLUMN} that sum to {total:.6g} in {where}; wanted 1: divide them by that",
        )
    return named


def _check_labels(found: dict, first: dict, where: str) -> None:
    """Refuses labels that the first row of a file lacks, and a row that lacks one of these."""
    for label in found:
        if label not in first:
            raise InputError(
                "no-such-label",
                f"found a probability of {label!r} in {where}; wanted those of the labels of the "
                f"first row: {', '.join(first)}{spelling.suggestion(label, first)}",
            )
    for label in first:
        if label not in found:
            raise InputError(
                "wrong-row",
                f"found no probability of {label!r} in {where}; wanted one of each label of the "
                "first row, 0 where it cannot be",
            )

"""Texts to score from labelled files: by themselves, as answers to prompts, or as pairs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from roots_tf.labelled import tables, text_files
from roots_tf.labelled.text_files import short
from roots_tf.storage.files import InputError

# Columns of a form, by its name; the first form of which a file has all columns is taken.
FORMS = {
    "pairs": ("good", "bad"),
    "choices": ("prompt", "choices"),
    "answers": ("prompt", "answer"),
    "texts": ("text",),
}


class Question(NamedTuple):
    """What is scored of one row of a file.

    Attributes:
        prompt: that the texts continue; None: they stand by themselves.
        texts: one; or several that are compared.
        right: index of the one that should have the highest score; None: not said.
        groups: of the row, by the name of the column: what accuracies are grouped by.
        where: the row stands.
    """

    prompt: str | None
    texts: tuple[str, ...]
    right: int | None
    groups: dict[str, str]
    where: str


def read(
    path: str | Path,
    columns: dict[str, str] | None = None,
    groups: Sequence[str] = (),
    encoding: str = "utf-8",
) -> tuple[str, list[Question]]:
    """Reads a file, and which of `FORMS` it is of.

        {"good": "Who sleeps?", "bad": "Who sleep?", "paradigm": "agreement"}
        {"prompt": "The sky is", "choices": [" blue", " loud"], "label": 0}
        {"prompt": "The sky is", "answer": " blue"}
        {"text": "The sky is blue."}

    Args:
        path: a table as `tables.read` takes it, or `.txt` with a text a line.
        columns: what the file calls some columns, by their names here.
        groups: columns that accuracies are grouped by, where they are there.
        encoding: name of that of a text without a byte order mark.

    Raises:
        InputError: something is wrong with the file; names the line.
    """
    if text_files.suffix_of(path) == ".txt":
        lines = list(text_files.lines_of(text_files.read_text(path, encoding)))
        if not lines:
            raise InputError("empty-input", f"found no text in {path}; wanted a text a line")
        return "texts", [Question(None, (t,), None, {}, f"{path}, line {n}") for n, t in lines]
    known = {name for form in FORMS.values() for name in form}
    names = (*sorted(known), "label", *(name for name in groups if name not in known))
    table = tables.read(path, (), names, columns, encoding=encoding)
    there = table.columns.keys()
    form = next((form for form, names in FORMS.items() if {*names} <= there), None)
    if form is None:
        wanted = "; ".join(" and ".join(names) for names in FORMS.values())
        raise InputError(
            "no-such-column",
            f"found the columns {', '.join(sorted(there)) or 'none'} in {path}; wanted {wanted}",
        )
    for name in FORMS[form]:
        for row, value in enumerate(table.columns[name]):
            if value is None:
                raise InputError(
                    "wrong-row", f"found no {name} in {table.where(row)}; wanted one in every row"
                )
    return form, [_question(table, form, row, groups) for row in range(len(table.lines))]


def _question(table: tables.Table, form: str, row: int, groups: Sequence[str]) -> Question:
    """What a row asks."""
    cells = {name: values[row] for name, values in table.columns.items()}
    where, right = table.where(row), None
    if form == "choices":
        texts, label = cells["choices"], cells.get("label")
        if not isinstance(texts, list) or not texts:
            raise InputError(
                "wrong-row", f"found {short(texts)} as choices in {where}; wanted a list of texts"
            )
        if label is not None:
            right = int(label) if str(label).isdecimal() else -1
            if not 0 <= right < len(texts):
                raise InputError(
                    "no-such-label",
                    f"found label {short(label)} in {where}; wanted the index of the right choice, "
                    f"0 to {len(texts) - 1}",
                )
    else:
        texts = [cells[name] for name in FORMS[form] if name != "prompt"]
        right = 0 if form == "pairs" else None
    prompt = cells["prompt"] if form in ("choices", "answers") else None
    for text in [*texts, *([] if prompt is None else [prompt])]:
        if not isinstance(text, str) or not text.strip():
            raise InputError("wrong-row", f"found {short(text)} in {where}; wanted a text")
    of_row = {name: str(cells[name]) for name in groups if cells.get(name) is not None}
    return Question(prompt, tuple(texts), right, of_row, where)

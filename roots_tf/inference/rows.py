"""Texts, pairs and rows in memory as the examples that a kind of task answers."""

from collections.abc import Mapping, Sequence

from roots_tf.storage.files import InputError

Row = str | Sequence[str] | Mapping[str, object]


def answer_rows(kind, rows: Sequence[Row]):
    """Examples of a kind of task without answers, as `kind.read` gives those of a file.

    Args:
        kind: a `tasks.FineTuning`.
        rows: each a text; or texts in the order of the task's columns, such as a pair; or texts by
            the names of columns, such as `{"question": ..., "context": ...}`. Further names are
            passed over, as further columns of a file are.

    Raises:
        InputError: a row is none of these, or lacks a column or text in it.
    """
    # A kind of pairs has been fine-tuned on both; `kind.rows` says so where one has none.
    names = (*kind.texts, "text_pair") if getattr(kind, "pairs", False) else kind.texts
    named = [_named(row, kind, names, number) for number, row in enumerate(rows, 1)]
    columns = {name: [row.get(name) for row in named] for name in names}
    columns |= {"id": [str(row.get("id", n)) for n, row in enumerate(named, 1)]}
    if "text_pair" not in kind.texts and not any("text_pair" in row for row in named):
        columns.pop("text_pair", None)
    return kind.unlabelled(columns)


def _named(row: Row, kind, names: tuple[str, ...], number: int) -> Mapping[str, object]:
    """The texts of a row by the names of its columns."""
    wanted = " and ".join(kind.texts)
    if isinstance(row, str):
        row = [row]
    if not isinstance(row, Mapping):
        if not isinstance(row, Sequence) or not len(kind.texts) <= len(row) <= len(names):
            raise InputError(
                "wrong-row",
                f"found {row!r:.80} as row {number} for a model of {kind.name}; wanted "
                f"{wanted}: a dictionary with these keys",
            )
        row = dict(zip(names, row, strict=False))
    for name in kind.texts:
        value = row.get(name)
        if name == "choices":
            _check_choices(value, kind, number)
        elif not isinstance(value, str) or not value.strip():
            raise InputError(
                "wrong-row",
                f"found {value!r:.80} as {name} of row {number} for a model of {kind.name}; wanted "
                f"a text in each of {wanted}",
            )
    if not isinstance(row.get("text_pair", ""), str | None):
        raise InputError(
            "wrong-row",
            f"found {row['text_pair']!r:.80} as text_pair of row {number}; wanted a text",
        )
    return row


def _check_choices(choices: object, kind, number: int) -> None:
    """Refuses what is no list of as many texts as the model was trained on."""
    is_list = isinstance(choices, Sequence) and not isinstance(choices, str)
    if not is_list or len(choices) != kind.num_choices or not all(map(_is_text, choices)):
        raise InputError(
            "wrong-row",
            f"found {choices!r:.80} as choices of row {number}; wanted a list of "
            f"{kind.num_choices} texts, as in training",
        )


def _is_text(value: object) -> bool:
    return isinstance(value, str)

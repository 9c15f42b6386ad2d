"""Files of predictions in, and of what is right: of any system, ours or another's.

    JSON lines     as `predict` writes them, and `finetune` with what is right as `gold`
    plain text     an answer a line; an empty line is an empty answer

No model is needed to read them.
"""

from collections.abc import Sequence
from typing import NamedTuple

from roots_tf.labelled import label_files, tables
from roots_tf.labelled.text_files import (
    TABLES,
    lines_of,
    parse_json,
    read_text,
    short,
    suffix_of,
)
from roots_tf.storage.files import InputError

JSON_LINES = (".jsonl", ".ndjson")
# What a prediction may hold as its answer, and of which types.
FIELDS = {"target": str, "label": (str, int), "choice": int, "answer": str}


class Predictions(NamedTuple):
    """Answers of one system.

    Attributes:
        path: of the file.
        field: one of `FIELDS`.
        answers: one an example.
        golds: what is right, where the file says it; of questions a list each.
        sources: what the answers were made from, where the file says it.
    """

    path: str
    field: str
    answers: list
    golds: list | None = None
    sources: list[str] | None = None

    def first(self, count: int) -> "Predictions":
        """Those of the first examples only, of which it is told how many: `count`."""
        return self._replace(**{name: each[:count] for name, each in self._asdict().items()
                                if isinstance(each, list)})  # fmt: skip


def read(path: str, encoding: str = "utf-8") -> Predictions:
    """Reads the answers of one system.

    Args:
        path: JSON lines, or text (any suffix that is none of a table's), compressed or not.
        encoding: name of that of a text without a byte order mark.

    Raises:
        InputError: the file is missing or of another format, holds no answers, or some of its lines
            lack what others have.
    """
    if suffix_of(path) not in TABLES:
        return Predictions(path, "target", _answered(read_lines(path, encoding), path))
    if suffix_of(path) not in JSON_LINES:
        raise InputError(
            "unknown-suffix",
            f"found {path} for predictions; wanted JSON lines (.jsonl), or text with an answer a "
            "line (.txt, .hyp)",
        )
    rows = [
        (f"{path}, line {number}", parse_json(line, f"{path}, line {number}", "a JSON object"))
        for number, line in lines_of(read_text(path, encoding))
    ]
    _, first = _answered(rows, path)[0]
    field = next((name for name in FIELDS if isinstance(first, dict) and name in first), "")
    if not field:
        raise InputError(
            "wrong-row",
            f"found {short(first)} in {path}; wanted predictions with one of {', '.join(FIELDS)}, "
            "which can be scored without their model",
        )
    answers = _column(rows, field, FIELDS[field])
    gold_type = list if field == "answer" else FIELDS[field]
    golds = _column(rows, "gold", gold_type) if "gold" in first else None
    sources = _column(rows, "source", str) if "source" in first else None
    return Predictions(path, field, answers, golds, sources)


def with_right(
    predictions: Predictions, name: str, columns: dict[str, str], encoding: str = "utf-8"
) -> Predictions:
    """The predictions with what is right, and what it is made from, as another file says it.

    Args:
        predictions: texts that were generated.
        name: as for `read_right`.
        columns: as for `read_right`.
        encoding: as for `read`.

    Raises:
        InputError: as for `read_right`; or the answers are no texts, not as many, or of other
            sources.
    """
    if predictions.field != "target":
        raise InputError(
            "flags-conflict",
            f"found --input={name} and a {predictions.field} in {predictions.path}; wanted no "
            "--input, and what is right as `gold` in the file, as finetune writes it",
        )
    targets, sources = read_right(name, columns, encoding)
    check_as_many(predictions.path, predictions.answers, name, targets)
    _check_sources(predictions.path, predictions.sources, name, sources)
    return predictions._replace(golds=targets, sources=sources or predictions.sources)


def check_same(one: Predictions, other: Predictions) -> None:
    """Refuses predictions that are not of the same examples, as far as the files tell.

    Args:
        one: with what is right.
        other: perhaps with what is right.

    Raises:
        InputError: they are of different kinds or numbers, or of different golds or sources.
    """
    if one.field != other.field:
        raise InputError(
            "wrong-row",
            f"found a {one.field} in {one.path} and a {other.field} in {other.path}; wanted "
            "predictions of one kind",
        )
    check_as_many(one.path, one.answers, other.path, other.answers)
    _check_sources(other.path, other.sources, one.path, one.sources)
    pairs = zip(one.golds, other.golds or one.golds, strict=True)
    for number, (gold, another) in enumerate(pairs, 1):
        if gold != another:
            raise InputError(
                "not-parallel",
                f"found {short(another)} as what is right of prediction {number} of {other.path}, "
                f"and {short(gold)} of {one.path}; wanted predictions of the same examples in the "
                "same order",
            )


def _check_sources(
    path: str, sources: list[str] | None, other_path: str, others: list[str] | None
) -> None:
    """Refuses files in which a line is of another source, where both say it.

    Raises:
        InputError: names the first such line.
    """
    for number, (source, other) in enumerate(zip(sources or (), others or (), strict=False), 1):
        if source.strip() != other.strip():
            raise InputError(
                "not-parallel",
                f"found {short(source)} as source {number} of {path} and {short(other)} of "
                f"{other_path}; wanted the same examples in the same order",
            )


def read_right(
    name: str, columns: dict[str, str], encoding: str = "utf-8"
) -> tuple[list[str], list[str] | None]:
    """Reads right texts, and what they are made from where that is there.

    Args:
        name: a table with the column `target`, perhaps `source`; or text, a line each; or two such
            files with a comma between, the sources first.
        columns: of these two, what the table calls them (`tables.column_names`).
        encoding: name of that of a text without a byte order mark.

    Returns:
        Targets and sources; those without text are "".

    Raises:
        InputError: a file is missing, of another format or empty, or the two have different numbers
            of lines.
    """
    parts = label_files.parts_of(name)
    if any(suffix_of(part) in TABLES for part in parts):
        table = tables.read(name, ("target",), ("source",), columns, may_be_blank=("target",),
                            encoding=encoding)  # fmt: skip
        sources = tables.strings(table, "source") if "source" in table.columns else None
        return tables.strings(table, "target"), sources
    tables.refuse_columns(columns, name)
    if len(parts) > 2:
        raise InputError(
            "wrong-value",
            f"found {len(parts)} files in {name}; wanted one of right texts, or two, the sources "
            "first",
        )
    texts = [_answered(read_lines(part, encoding), part) for part in parts]
    if len(texts) == 2:
        check_as_many(parts[0], texts[0], parts[1], texts[1])
    return texts[-1], texts[0] if len(texts) == 2 else None


def check_as_many(path: str, rows: Sequence, other_path: str, others: Sequence) -> None:
    """Refuses files of which not each line has one that goes with it.

    Args:
        path: of one.
        rows: of it.
        other_path: of the other.
        others: its rows.

    Raises:
        InputError: the numbers differ; says both.
    """
    if len(rows) != len(others):
        raise InputError(
            "not-parallel",
            f"found {len(rows)} lines in {path} and {len(others)} in {other_path}; wanted as many: "
            "line by line they are of the same examples",
        )


def read_lines(path: str, encoding: str = "utf-8") -> list[str]:
    """Lines of a text, empty ones too, without their ends.

    Args:
        path: of the file.
        encoding: as for `read`.

    Raises:
        InputError: as for `text_files.read_text`.
    """
    lines = read_text(path, encoding).split("\n")
    if not lines[-1]:  # what follows the last end of a line
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _answered(rows: list, path: str) -> list:
    if not rows:
        raise InputError("empty-input", f"found no lines in {path}; wanted a text a line")
    return rows


def _column(rows: list[tuple[str, dict]], name: str, wanted: type | tuple[type, ...]) -> list:
    for where, row in rows:
        if not isinstance(row, dict) or not isinstance(row.get(name), wanted):
            raise InputError(
                "wrong-row",
                f"found {short(row)} in {where}; wanted {name} in every line, of the same type",
            )
    return [row[name] for _, row in rows]

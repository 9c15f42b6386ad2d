"""What a fine-tuned model answers beside what is right, from its `dev_predictions.jsonl`.

label             confusion matrix, wrong texts by probability
tags              the same of words, wrong texts by the number of wrong words
choice, answer    wrong texts by probability
value             predicted against right values, the largest errors
target            wrong texts by what their answers are ranked by
log_probability   the answers that surprise the model most
"""

import collections
import heapq
import itertools
import json
from pathlib import Path

from roots_tf.metrics.answer_words import tokens
from roots_tf.pages.axes import drawable
from roots_tf.pages.charts import Curve, chart
from roots_tf.pages.page import Cell, number, table, text

MOST_CLASSES = 20  # of a whole confusion matrix
MOST_PAIRS = 30
MOST_WRONG = 25
MOST_ROWS = 200_000
MOST_DOTS = 1500
MOST_CHARACTERS = 400
_FIELDS = ("label", "tags", "choice", "answer", "target", "value", "log_probability")


class Answers:
    """What is kept of predictions: counts, and those that are most wrong.

    Args:
        language: that answers to questions are compared in.
    """

    def __init__(self, language: str = "en"):
        self.rows = self.damaged = self.without_gold = self.wrong = 0
        self.is_cut = False
        self.field = ""
        self.pairs: collections.Counter = collections.Counter()  # (right, predicted)
        self.values: list[tuple[float, float]] = []
        self._language = language
        self._worst: list[tuple[float, int, tuple]] = []

    @property
    def worst(self) -> list[tuple]:
        """Text, right, predicted and how sure, of wrong answers; the surest first."""
        return [cells for _, _, cells in sorted(self._worst, reverse=True)]

    def add(self, row: dict) -> None:
        """Takes the prediction of one example."""
        self.rows += 1
        self.field = self.field or next((name for name in _FIELDS if name in row), "")
        if "log_probability" in row:
            self._add_completion(row)
        elif "gold" not in row or self.field not in row:
            self.without_gold += 1
        elif self.field == "value":
            self._add_value(row)
        elif self.field == "tags":
            self._add_tags(row)
        else:
            self._add_choice(row)

    def _keep(self, how_wrong: float, *cells) -> None:
        self.wrong += 1
        how_wrong = drawable(how_wrong) or 0.0
        heapq.heappush(self._worst, (how_wrong, -self.rows, cells))
        if len(self._worst) > MOST_WRONG:
            heapq.heappop(self._worst)

    def _add_choice(self, row: dict) -> None:
        right, found = row["gold"], row[self.field]
        score = row.get("score")
        if self.field == "answer":
            compared = [tokens(str(answer), self._language) for answer in right]
            is_right = tokens(str(found), self._language) in (list(filter(None, compared)) or [[]])
            right = " | ".join(dict.fromkeys(map(str, right))) or "(no answer)"
            found = found or "(no answer)"
        else:
            is_right = right == found
            self.pairs.update([(str(right), str(found))] * (self.field != "target"))
        if self.field == "choice":
            score = max(row.get("probabilities") or [0.0])
            found = f"{found}: {row.get('choice_text', '')}"
        if not is_right:
            shown = row.get("question", _texts(row))
            score = drawable(score)
            self._keep(score or 0.0, shown, str(right), str(found), score)

    def _add_value(self, row: dict) -> None:
        right, found = drawable(row["gold"]), drawable(row["value"])
        if right is None or found is None:
            self.damaged += 1
            return
        self.values.append((right, found))
        self._keep(abs(found - right), _texts(row), right, found, found - right)

    def _add_tags(self, row: dict) -> None:
        right, found, whole = row["gold"], row["tags"], row.get("text", "")
        self.pairs.update(zip(map(str, right), map(str, found), strict=False))
        wrong = [i for i, (a, b) in enumerate(zip(right, found, strict=False)) if a != b]
        if wrong:
            words = whole.split() if len(whole.split()) == len(right) else []
            words = words or (list(whole) if len(whole) == len(right) else [])
            names = [words[i] if words else f"word {i + 1}" for i in wrong[:12]]
            golds, others = (
                ", ".join(f"{name} {tags[i]}" for name, i in zip(names, wrong, strict=False))
                for tags in (right, found)
            )
            self._keep(len(wrong), whole, golds, others, len(wrong))

    def _add_completion(self, row: dict) -> None:
        if row.get("tokens"):
            *before, last = (row.get("messages") or [{}])[-2:]
            mean = (drawable(row["log_probability"]) or 0.0) / row["tokens"]
            share = f"{row.get('right', 0):,} of {row['tokens']:,}"
            asked = before[0].get("content", "") if before else ""
            self._keep(-mean, asked, last.get("content", ""), share, -mean)


def read(path: str | Path, language: str = "en") -> Answers:
    """Reads predictions, a JSON object a line.

    Args:
        path: of the file.
        language: that answers to questions are compared in.
    """
    answers = Answers(language)
    with Path(path).open(encoding="utf-8", errors="replace") as lines:
        for line in itertools.islice(lines, MOST_ROWS):
            try:
                answers.add(dict(json.loads(line)))
            except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
                answers.damaged += 1
        answers.is_cut = bool(next(lines, ""))
    return answers


def _texts(row: dict) -> str:
    return " ▸ ".join(str(row[name]) for name in ("text", "text_pair", "source") if row.get(name))


def shown(answers: Answers) -> str:
    """The answers as HTML.

    Args:
        answers: of `read`.
    """
    notes = []
    if answers.without_gold:
        notes.append(
            f"{answers.without_gold:,} of {answers.rows:,} predictions do not hold the right "
            "answer, as older versions wrote them: of them nothing is shown here. "
            "evaluate scores the model on a labelled file."
        )
    if answers.damaged:
        notes.append(f"{answers.damaged:,} damaged predictions are left out.")
    if answers.is_cut:
        notes.append(f"These are the first {MOST_ROWS:,} predictions; the others are left out.")
    parts = [f"<p class=notice>{text(note)}</p>" for note in notes]
    if answers.values:
        dots = answers.values[:: 1 + len(answers.values) // MOST_DOTS]
        parts.append(
            chart("Predicted against right", [Curve("example", sorted(dots), 0, is_dots=True)],
                  "right value", "predicted", diagonal=True)
        )  # fmt: skip
        parts += [f"<p class=soft>{len(dots):,} of {len(answers.values):,} examples.</p>"] * (
            len(dots) < len(answers.values)
        )
    if answers.pairs:
        parts.append(f"<h3>Confusion matrix</h3>{confusion(answers.pairs)}")
    if answers.worst:
        parts.append(_worst(answers))
    elif answers.field and not answers.without_gold:
        parts.append("<p>None is wrong.</p>")
    return "".join(parts)


def _worst(answers: Answers) -> str:
    title, head = {
        "value": ("Largest errors", ("right", "predicted", "error", "text")),
        "tags": ("Texts with most wrong words", ("right", "predicted", "wrong words", "text")),
        "log_probability": (
            "Answers that surprise the model most",
            ("answer", "likeliest tokens", "nats a token", "before"),
        ),
    }.get(answers.field, ("Wrong, the surest first", ("right", "predicted", "score", "text")))
    rows = [
        (*(_long(cell) if isinstance(cell, str) else cell for cell in cells), _long(shown))
        for shown, *cells in answers.worst
    ]
    of = "" if answers.field in ("value", "log_probability") else " wrong"
    about = f"{len(rows):,} of {answers.wrong:,}{of} among {answers.rows:,}."
    return f"<h3>{title}</h3><p class=soft>{about}</p>{table(head, rows)}"


def _long(value: str) -> Cell:
    """A cell of a text that may be long: it wraps anywhere, and what is too long is cut off."""
    value = " ".join(value.split())
    if len(value) > MOST_CHARACTERS:
        value = f"{value[:MOST_CHARACTERS]} […]"
    kind = "long" if len(value) > 24 else "short"
    return Cell(f'<td class="{kind}" dir="auto">{text(value)}</td>')


def confusion(pairs: collections.Counter) -> str:
    """A confusion matrix as HTML; of many classes only the pairs that are confused most.

    Args:
        pairs: counts by right and predicted class.
    """
    classes = sorted({name for pair in pairs for name in pair})
    if len(classes) <= MOST_CLASSES:
        return _matrix(pairs, classes)
    confused = [(pair, count) for pair, count in pairs.most_common() if pair[0] != pair[1]]
    of_class: collections.Counter = collections.Counter()
    for (right, _), count in pairs.items():
        of_class[right] += count
    rows = [
        (_long(right), _long(found), count, 100 * count / of_class[right])
        for (right, found), count in confused[:MOST_PAIRS]
    ]
    note = (
        f"There are {len(classes):,} classes: the {len(rows)} pairs that are confused most of "
        f"{len(confused):,} stand here."
    )
    head = ("right", "predicted", "examples", "% of the right class")
    return f"<p class=soft>{note}</p>{table(head, rows)}"


def _matrix(pairs: collections.Counter, classes: list[str]) -> str:
    """A row a right class, a column a predicted one; the darker, the larger a share of its row."""
    heads = "".join(f'<th scope="col"><div>{text(name)}</div></th>' for name in classes)
    rows = []
    for right in classes:
        total = max(sum(pairs[right, found] for found in classes), 1)
        cells = []
        for found in classes:
            count = pairs[right, found]
            kind = "right" if right == found else "wrong"
            share = f"{100 * count / total:.0f}%"
            cells.append(
                f'<td class="n {kind}" style="--share:{share}" title="{share}">'
                f"{number(count) if count else '·'}</td>"
            )
        rows.append(f'<tr><th scope="row"><div>{text(right)}</div></th>{"".join(cells)}</tr>')
    return (
        '<p class="soft">A row a right class, a column a predicted one; shares of the row are '
        'shaded.</p><div class="scroll"><table class="confusion"><thead><tr><td></td>'
        f"{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )

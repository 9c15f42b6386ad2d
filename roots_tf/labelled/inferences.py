"""Pairs of premise and hypothesis with what follows from what, as texts with their positives.

What a premise entails belongs to it, and what contradicts it is a hard negative (Gao et al. 2021,
SimCSE, arXiv:2104.08821, section 4). Neutral hypotheses say neither, and are left out.
"""

from collections import Counter, defaultdict

from absl import logging

from roots_tf.labelled import tables
from roots_tf.labelled.tables import Table
from roots_tf.storage.files import InputError

LABELS = ("entailment", "neutral", "contradiction")
UNDECIDED = "-"  # SNLI's label of pairs about which its readers did not agree


def triplets(table: Table) -> Table:
    """Rows of text, positive and negative, one for each entailed hypothesis.

    A premise with several contradictions gives them to its rows by turns; one without has None.

    >>> columns = {"text": ["He runs."] * 3, "text_pair": ["He moves.", "He sits.", "He is Al."]}
    >>> columns["label"] = ["entailment", "contradiction", "neutral"]
    >>> triplets(Table(columns, [1, 2, 3], "nli.tsv")).columns
    {'text': ['He runs.'], 'positive': ['He moves.'], 'negative': ['He sits.']}

    Args:
        table: with `text`, the premise, `text_pair`, the hypothesis, and `label`, one of `LABELS`.

    Raises:
        InputError: a label is another one, or no hypothesis is entailed.
    """
    labels = [label.lower() for label in tables.labels(table, "label")]
    rows = list(zip(table.columns["text"], table.columns["text_pair"], labels, strict=True))
    against = defaultdict(list)
    for row, (text, hypothesis, label) in enumerate(rows):
        if label not in (*LABELS, UNDECIDED):
            raise InputError(
                "no-such-label",
                f"found label {table.columns['label'][row]!r} beside text and text_pair in "
                f"{table.where(row)}; wanted {', '.join(LABELS)}, of which the first makes a "
                "positive; or a column positive",
            )
        if label == "contradiction":
            against[text].append(hypothesis)
    columns, lines, turns = {"text": [], "positive": [], "negative": []}, [], Counter()
    for line, (text, hypothesis, label) in zip(table.lines, rows, strict=True):
        if label == "entailment":
            negatives = against.get(text, [None])
            negative = negatives[turns[text] % len(negatives)]
            for name, value in zip(columns, (text, hypothesis, negative), strict=True):
                columns[name].append(value)
            turns[text] += 1
            lines.append(line)
    if not lines:
        raise InputError(
            "empty-input",
            f"found no pair labelled entailment in {table.path}; wanted some, to learn from",
        )
    logging.info("%s: %d of %d pairs are positives", table.path, len(lines), len(rows))
    if all(value is None for value in columns["negative"]):
        del columns["negative"]
    return Table(columns, lines, table.path)

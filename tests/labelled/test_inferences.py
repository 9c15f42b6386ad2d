"""Pairs of inference become texts with positives and hard negatives."""

import json

import pytest

from roots_tf.labelled import inferences
from roots_tf.labelled.tables import Table
from roots_tf.storage.files import InputError
from roots_tf.tasks.contrastive import Contrastive

ROWS = [
    ("A dog runs.", "An animal moves.", "entailment"),
    ("A dog runs.", "It is brown.", "neutral"),
    ("A dog runs.", "A dog sleeps.", "contradiction"),
    ("Rain falls.", "It is wet.", "Entailment"),
    ("A dog runs.", "A cat runs.", "contradiction"),
    ("A dog runs.", "It is awake.", "entailment"),
    ("A dog runs.", "Legs are used.", "entailment"),
    ("Snow falls.", "It is hot.", "contradiction"),
    ("Snow falls.", "It is cold.", "-"),
]
WANTED = [
    ("A dog runs.", "An animal moves.", "A dog sleeps."),
    ("Rain falls.", "It is wet.", None),
    ("A dog runs.", "It is awake.", "A cat runs."),
    ("A dog runs.", "Legs are used.", "A dog sleeps."),
]


def table(rows):
    names = ("text", "text_pair", "label")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    return Table(columns, list(range(1, len(rows) + 1)), "nli.tsv")


def test_what_is_entailed_is_a_positive_and_contradictions_take_turns():
    found = inferences.triplets(table(ROWS))
    assert list(zip(*found.columns.values(), strict=True)) == WANTED
    assert list(found.columns) == ["text", "positive", "negative"]
    assert found.lines == [1, 4, 6, 7]
    without = inferences.triplets(table(ROWS[:2]))
    assert list(without.columns) == ["text", "positive"]


def test_other_labels_and_none_entailed_are_refused():
    for label in ("1", "yes", "entails"):
        with pytest.raises(
            InputError, match=f"found label '{label}' .*nli.tsv, line 2; wanted ent"
        ):
            inferences.triplets(table([ROWS[0], ("a", "b", label)]))
    with pytest.raises(InputError, match="found no pair labelled entailment in nli.tsv"):
        inferences.triplets(table(ROWS[1:3]))


def test_the_task_reads_them_beside_its_other_forms(tmp_path):
    path = tmp_path / "nli.jsonl"
    names = ("sentence1", "sentence2", "gold_label")
    path.write_text("".join(json.dumps(dict(zip(names, r, strict=True))) + "\n" for r in ROWS))
    columns = dict(zip(("text", "text_pair", "label"), names, strict=True))
    kind = Contrastive()
    found = kind.read(path, columns)
    assert list(zip(*found.columns.values(), strict=True)) == WANTED
    assert kind.learn(found).positives
    with pytest.raises(InputError, match="found text_pair and no positive"):
        kind.read(path, {"text": "sentence1", "text_pair": "sentence2"})
    rows = [{"text": "a", "positive": "b", "text_pair": "c", "label": "no"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert list(kind.read(path, {}).columns) == ["text", "positive"]

"""Entities and their scores against every span tried, and against seqeval."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.labelled import conll
from roots_tf.metrics import tagging

TAGS = st.sampled_from(["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-MISC"])
PAIRS = st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=8), min_size=1, max_size=5)


def sides(pairs):
    gold = [[a for a, _ in sentence] for sentence in pairs]
    return gold, [[b for _, b in sentence] for sentence in pairs]


def every_span(tags):
    """Tries each span: it begins an entity, goes on with its type, and cannot be longer."""
    found = []
    for start in range(len(tags)):
        kind = tags[start][2:]
        goes_on = f"I-{kind}"
        before = tags[start - 1][2:] if start else ""
        for end in range(start + 1, len(tags) + 1):
            begins = tags[start][0] == "B" or (tags[start][0] == "I" and before != kind)
            inside = all(tag == goes_on for tag in tags[start + 1 : end])
            longest = end == len(tags) or tags[end] != goes_on
            if begins and inside and longest:
                found.append((kind, start, end))
    return found


@settings(deadline=None)
@given(st.lists(TAGS, max_size=10))
def test_entities_are_those_of_every_span_tried(tags):
    assert tagging.entities(tags) == every_span(tags)


def test_a_worked_example():
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "I-ORG"]]
    predicted = [["B-PER", "I-PER", "O", "B-PER"], ["B-ORG", "O"]]
    scores = tagging.scores(gold, predicted)
    third = pytest.approx(1 / 3)
    assert (scores["precision"], scores["recall"], scores["f1"]) == (third, third, third)
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert list(scores["by_type"]) == ["LOC", "ORG", "PER"]
    nothing = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert scores["by_type"]["LOC"] == scores["by_type"]["ORG"] == nothing
    assert scores["by_type"]["PER"] == {
        "precision": 0.5,
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
        "support": 1,
    }


@settings(deadline=None)
@given(PAIRS)
def test_scores_are_those_of_every_span_tried(pairs):
    gold, predicted = sides(pairs)
    scores = tagging.scores(gold, predicted)
    wanted = {(i, *span) for i, tags in enumerate(gold) for span in every_span(tags)}
    found = {(i, *span) for i, tags in enumerate(predicted) for span in every_span(tags)}
    right = len(wanted & found)
    assert scores["precision"] == (right / len(found) if found else 0)
    assert scores["recall"] == (right / len(wanted) if wanted else 0)
    both = scores["precision"] + scores["recall"]
    product = scores["precision"] * scores["recall"]
    assert scores["f1"] == pytest.approx(2 * product / both if both else 0)
    assert sum(row["support"] for row in scores["by_type"].values()) == len(wanted)


@settings(deadline=None)
@given(PAIRS)
def test_scores_are_those_of_seqeval(pairs):
    seqeval = pytest.importorskip("seqeval.metrics")
    gold, predicted = sides(pairs)
    scores = tagging.scores(gold, predicted)
    assert scores["accuracy"] == pytest.approx(seqeval.accuracy_score(gold, predicted))
    for name in ("precision", "recall", "f1"):
        theirs = getattr(seqeval, f"{name}_score")(gold, predicted, zero_division=0)
        assert scores[name] == pytest.approx(theirs)
    if scores["by_type"]:  # seqeval's report fails on texts without any entity
        report = seqeval.classification_report(gold, predicted, output_dict=True, zero_division=0)
        for kind, row in scores["by_type"].items():
            theirs = report[kind] | {"f1": report[kind]["f1-score"]}
            assert row == {name: pytest.approx(theirs[name]) for name in row}


def test_real_tags_score_one_against_themselves(tagged):
    tags = [sentence.tags for sentence in conll.read(tagged)]
    scores = tagging.scores(tags, tags)
    assert [scores[name] for name in ("precision", "recall", "f1", "accuracy")] == [1.0] * 4
    begins = [tag[2:] for sentence in tags for tag in sentence if tag[0] == "B"]
    assert {kind: row["support"] for kind, row in scores["by_type"].items()} == {
        kind: begins.count(kind) for kind in ("LOC", "ORG", "PER")
    }


def test_sequences_of_other_lengths_are_refused():
    for gold, predicted in (([["O", "O"]], [["O"]]), ([["O"]], [])):
        with pytest.raises(ValueError, match="zip"):
            tagging.scores(gold, predicted)

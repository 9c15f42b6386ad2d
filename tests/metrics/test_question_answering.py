"""Exact match and F1 against worked examples, and against SQuAD's rules written out slowly."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.labelled import squad
from roots_tf.metrics import question_answering as metric

WORDS = st.sampled_from(["the", "An", "a", "Paris", "paris.", "in", "U.S.", "-", "2,000", "été"])
ANSWERS = st.lists(WORDS, max_size=4).map(" ".join)


@pytest.mark.parametrize(
    ("predicted", "right", "exact", "f1"),
    [
        ("the Denver Broncos!", ["Denver Broncos"], 1, 1),
        ("Denver", ["Denver Broncos"], 0, 2 / 3),
        ("Denver Denver Broncos", ["Denver Broncos"], 0, 0.8),  # words count as often as they are
        ("Carolina", ["Denver", "Carolina Panthers", "Panthers"], 0, 2 / 3),
        ("co-operation", ["cooperation"], 1, 1),
        ("", [], 1, 1),
        ("Denver", [], 0, 0),
        ("", ["Denver"], 0, 0),
        ("the", ["Denver", "a"], 0, 0),  # of "a" nothing is left, so it does not count
    ],
)
def test_worked_examples(predicted, right, exact, f1):
    scores = metric.scores({"q": predicted}, {"q": right})
    assert scores == {"exact_match": exact, "f1": pytest.approx(f1)}


def slow_words(answer):
    letters = "".join(c for c in answer.lower() if c not in string.punctuation)
    return [word for word in letters.split() if word not in ("a", "an", "the")]


def slow_f1(predicted, right):
    rest, same = list(right), 0
    for word in predicted:
        if word in rest:
            rest.remove(word)
            same += 1
    if not predicted or not right:
        return float(predicted == right)
    precision, recall = same / len(predicted), same / len(right)
    return 2 * precision * recall / (precision + recall) if same else 0.0


@settings(deadline=None)
@given(st.lists(st.tuples(ANSWERS, st.lists(ANSWERS, max_size=3)), min_size=1, max_size=5))
def test_against_the_rules_written_out(questions):
    exact, f1 = [], []
    for predicted, answers in questions:
        right = [words for words in map(slow_words, answers) if words] or [[]]
        exact.append(slow_words(predicted) in right)
        f1.append(max(slow_f1(slow_words(predicted), words) for words in right))
    scores = metric.scores(
        {str(i): predicted for i, (predicted, _) in enumerate(questions)},
        {str(i): answers for i, (_, answers) in enumerate(questions)},
    )
    assert scores["exact_match"] == pytest.approx(sum(exact) / len(exact))
    assert scores["f1"] == pytest.approx(sum(f1) / len(f1))


def test_real_answers_score_one_against_themselves(questions):
    gold = {
        question.id: [answer.text for answer in question.answers]
        for question in squad.read(questions)
    }
    first = {name: answers[0] for name, answers in gold.items()}
    assert metric.scores(first, gold) == {"exact_match": 1.0, "f1": 1.0}
    shorter = metric.scores({name: answer.split()[0] for name, answer in first.items()}, gold)
    assert 0.2 < shorter["exact_match"] < shorter["f1"] < 1


def test_a_question_without_a_prediction_is_an_error():
    with pytest.raises(KeyError):
        metric.scores({}, {"q": ["Denver"]})

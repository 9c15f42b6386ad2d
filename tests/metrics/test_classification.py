"""Scores of classification against their definitions, counted one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.metrics import classification

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


def test_accuracy_and_majority():
    assert classification.accuracy([0, 1, 1, 2], [0, 1, 2, 2]) == 0.75
    train, labels = np.array([2, 1, 1]), np.array([0, 1, 1, 1])
    assert classification.majority_baseline(train, labels) == 0.75


def test_a_worked_example():
    labels, predictions = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 2]
    scores = classification.scores(labels, predictions, 3)
    assert scores["accuracy"] == scores["f1_micro"] == pytest.approx(4 / 6)
    assert scores["f1_macro"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    # Gorodkin 2004, eq. 2, with counts: 6 examples, 4 right, both sides [3, 2, 1]
    assert scores["matthews"] == pytest.approx((4 * 6 - 14) / (36 - 14))
    matrix = classification.confusion(labels, predictions, 3)
    assert matrix.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert classification.by_class(labels, predictions, 4)[1:] == [
        {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2},
        {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1},
        {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0},
    ]


@settings(deadline=None)
@given(PAIRS)
def test_against_counts(pairs):
    labels, predictions = map(np.array, zip(*pairs, strict=True))
    found = classification.by_class(labels, predictions, 4)
    f1 = []
    for of_class in range(4):
        right = sum(a == b == of_class for a, b in pairs)
        there, given_ = sum(labels == of_class), sum(predictions == of_class)
        assert found[of_class]["support"] == there
        assert found[of_class]["precision"] == pytest.approx(right / given_ if given_ else 0)
        assert found[of_class]["recall"] == pytest.approx(right / there if there else 0)
        if there + given_:
            f1.append(2 * right / (there + given_))
    scores = classification.scores(labels, predictions, 4)
    assert scores["f1_macro"] == pytest.approx(np.mean(f1))
    assert scores["f1_micro"] == pytest.approx(scores["accuracy"])
    matrix = classification.confusion(labels, predictions, 4)
    assert matrix.shape == (4, 4)
    assert matrix.sum() == len(pairs)
    assert all(matrix[a, b] == pairs.count((a, b)) for a, b in pairs)


def test_a_single_class_is_no_error():
    scores = classification.scores([1, 1], [1, 1], 3)
    assert scores == {"accuracy": 1.0, "f1_macro": 1.0, "f1_micro": 1.0, "matthews": 0.0}

"""Scores on literals."""

import numpy as np

from roots_tf.metrics import classification


def test_accuracy_and_the_majority_baseline():
    assert classification.accuracy(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])) == 0.75
    train, test = np.array([0, 1, 1]), np.array([0, 1, 1, 1])
    assert classification.majority_baseline(train, test) == 0.75

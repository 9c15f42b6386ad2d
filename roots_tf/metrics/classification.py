"""Scores of single-label classification."""

import numpy as np


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of right predictions.

    >>> accuracy(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))
    0.75
    """
    return float(np.mean(np.asarray(labels) == np.asarray(predictions)))


def majority_baseline(train_labels: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of always answering the class that is most frequent in training.

    >>> majority_baseline(np.array([0, 1, 1]), np.array([0, 1, 1, 1]))
    0.75
    """
    return accuracy(labels, np.bincount(train_labels).argmax())

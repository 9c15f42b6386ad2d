"""Scores of single-label classification."""

import numpy as np
import sklearn.metrics


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of right predictions. Arguments as for `scores`.

    >>> accuracy(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))
    0.75
    """
    return float(np.mean(np.asarray(labels) == np.asarray(predictions)))


def majority_baseline(train_labels: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of always answering the class that is most frequent in training.

    Args:
        train_labels: classes of the training examples, integers.
        labels: right classes, integers.

    >>> majority_baseline(np.array([0, 1, 1]), np.array([0, 1, 1, 1]))
    0.75
    """
    return accuracy(labels, np.bincount(train_labels).argmax())


def scores(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> dict[str, float]:
    """Scores over all classes.

    Args:
        labels: right classes, integers [examples] in [0, num_classes).
        predictions: predicted ones, likewise.
        num_classes: number of classes.

    Returns:
        `accuracy` (share), `f1_macro` (mean F1 of the classes that occur among labels or
        predictions), `f1_micro` (F1 of all decisions together; with one label an example it equals
        the accuracy) and `matthews` (Matthews 1975; of several classes: Gorodkin 2004; from -1 to
        1, and 0 where either side is a single class).
    """
    f1 = {
        average: sklearn.metrics.f1_score(
            labels,
            predictions,
            labels=np.arange(num_classes),
            average=average,
            zero_division=np.nan,  # leaves a class that does not occur out of the mean
        )
        for average in ("macro", "micro")
    }
    several = len(np.union1d(labels, predictions)) > 1  # else it is 0, with a warning
    return {
        "accuracy": accuracy(labels, predictions),
        "f1_macro": float(f1["macro"]),
        "f1_micro": float(f1["micro"]),
        "matthews": float(sklearn.metrics.matthews_corrcoef(labels, predictions))
        if several
        else 0.0,
    }


def by_class(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> list[dict]:
    """`precision`, `recall`, `f1` (shares; 0 where undefined) and `support` of each class in turn.

    Arguments as for `scores`; support is the number of labels.
    """
    columns = sklearn.metrics.precision_recall_fscore_support(
        labels, predictions, labels=np.arange(num_classes), zero_division=0.0
    )
    return [
        {
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "support": int(support),
        }
        for precision, recall, f1, support in zip(*columns, strict=True)
    ]


def confusion(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Number of examples by label (row) and prediction (column), int64 [classes, classes].

    Arguments as for `scores`.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2)
    array([[1, 0],
           [1, 1]])
    """
    return sklearn.metrics.confusion_matrix(labels, predictions, labels=np.arange(num_classes))

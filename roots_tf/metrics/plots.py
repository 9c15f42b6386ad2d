"""Predictions as pictures: confusion matrices, and precision and recall over the threshold."""

from collections.abc import Sequence

import numpy as np

_LARGE = 480  # pixels of a side that the cells of a matrix about fill
_BLUE = np.array([8, 48, 107])
_GRID = np.array([200, 200, 200], np.uint8)


def confusion_image(matrix: np.ndarray) -> np.ndarray:
    """A confusion matrix as a grid of cells from white, no example of the row, to blue, all.

    Args:
        matrix: counts by label (row) and prediction (column), [classes, classes].

    Returns:
        uint8 [H, W, 3]; cells of equal size with grey lines of one pixel around.
    """
    matrix = np.asarray(matrix, np.float64)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)  # a row without labels stays white
    colours = np.rint(255 + share[..., None] * (_BLUE - 255)).astype(np.uint8)  # [rows, columns, 3]
    cell = max(4, _LARGE // len(matrix))
    image = np.pad(
        colours.repeat(cell, 0).repeat(cell, 1), ((0, 1), (0, 1), (0, 0))
    )  # room for the last lines
    image[::cell], image[:, ::cell] = _GRID, _GRID
    return image


def confusion_markdown(matrix: np.ndarray, names: Sequence[str]) -> str:
    """A confusion matrix as a Markdown table, a row a label and a column a prediction.

    Args:
        matrix: counts by label (row) and prediction (column), [classes, classes].
        names: of the classes.

    >>> print(confusion_markdown(np.array([[5, 1], [0, 4]]), ["neg", "pos"]))
    | label / prediction | neg | pos |
    | :-- | --: | --: |
    | neg | 5 | 1 |
    | pos | 0 | 4 |
    """
    escaped = [" ".join(name.replace("|", r"\|").split()) for name in names]
    rows = [["label / prediction", *escaped], [":--", *["--:"] * len(names)]]
    rows += [[name, *map(str, counts)] for name, counts in zip(escaped, matrix, strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def pr_curve(labels: np.ndarray, scores: np.ndarray, num_thresholds: int = 127) -> np.ndarray:
    """Counts, precision and recall at thresholds from 0 to 1, as TensorBoard's PR curves hold them.

    An example is positive at a threshold if its score is not below it.

    Args:
        labels: whether each example is positive, bool [examples].
        scores: between 0 and 1, [examples]; others count as the nearer of these.
        num_thresholds: number of evenly spaced thresholds, at least 2.

    Returns:
        float32 [6, thresholds]: true positives, false positives, true negatives, false negatives,
        precision and recall, the last two 0 where undefined.
    """
    labels = np.asarray(labels, bool)
    thresholds = np.linspace(0.0, 1.0, num_thresholds)
    passed = np.searchsorted(thresholds, np.clip(scores, 0.0, 1.0), side="right") - 1

    def positives(buckets):  # at each threshold: examples whose score reaches it
        return np.bincount(buckets, minlength=num_thresholds)[::-1].cumsum()[::-1]

    true, false = positives(passed[labels]), positives(passed[~labels])
    missed, rejected = true[0] - true, false[0] - false
    precision, recall = true / np.maximum(true + false, 1), true / max(true[0], 1)
    return np.stack([true, false, rejected, missed, precision, recall]).astype(np.float32)

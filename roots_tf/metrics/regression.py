"""Scores of predicted numbers."""

import numpy as np
import scipy.stats


def scores(values: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """Correlations and mean errors.

    Args:
        values: right numbers, [examples].
        predictions: predicted ones, [examples].

    Returns:
        `pearson` (linear correlation), `spearman` (that of the ranks, equal numbers sharing their
        mean rank), both from -1 to 1 and 0 where either side is constant, which leaves them
        undefined; `mean_squared_error` (in squared units) and `mean_absolute_error` (in units).
        A NaN among the numbers makes them all NaN.
    """
    values, predictions = np.asarray(values, np.float64), np.asarray(predictions, np.float64)
    errors = predictions - values
    return {
        "pearson": _correlation(values, predictions),
        "spearman": _correlation(scipy.stats.rankdata(values), scipy.stats.rankdata(predictions)),
        "mean_squared_error": float(np.mean(np.square(errors))),
        "mean_absolute_error": float(np.mean(np.abs(errors))),
    }


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    # Scaled to 1 first: the squares of tiny numbers would be 0.
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1.0, 1.0))

"""Correlations and errors against SciPy, and where they are undefined."""

import math

import numpy as np
import pytest
import scipy.stats

from roots_tf.metrics import regression


def test_a_worked_example():
    scores = regression.scores([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0])
    assert scores == {
        "pearson": pytest.approx(0.8),
        "spearman": pytest.approx(0.8),
        "mean_squared_error": 0.5,
        "mean_absolute_error": 0.5,
    }
    assert regression.scores([1, 2, 3], [1, 10, 100])["spearman"] == pytest.approx(1)
    assert regression.scores([1, 2, 3], [3, 2, 1])["pearson"] == pytest.approx(-1)


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e6])
def test_against_scipy(scale):
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.integers(0, 6, 40).astype(float)  # with ties
        predictions = scale * (values + rng.normal(0, 2, 40))
        scores = regression.scores(values, predictions)
        unscaled = predictions / scale
        assert scores["pearson"] == pytest.approx(scipy.stats.pearsonr(values, unscaled)[0])
        assert scores["spearman"] == pytest.approx(scipy.stats.spearmanr(values, unscaled)[0])


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9])
def test_a_constant_side_has_no_correlation(constant):
    for pair in (([constant] * 3, [1, 2, 3]), ([1, 2, 3], [constant] * 3), ([1], [2])):
        scores = regression.scores(*pair)
        assert (scores["pearson"], scores["spearman"]) == (0.0, 0.0)


def test_nan_is_not_hidden():
    scores = regression.scores([1.0, 2.0, 3.0], [1.0, math.nan, 3.0])
    assert all(math.isnan(score) for score in scores.values())

"""Places of what is relevant, and their scores, by hand and beside scikit-learn's nDCG."""

import numpy as np
import pytest
from sklearn import metrics

from roots_tf.metrics import ranking


def test_a_tie_is_lost():
    cosines = np.array([0.9, 0.1, 0.5, 0.5])
    assert ranking.ranks(cosines, [2, 0]).tolist() == [1, 3]
    assert ranking.ranks(cosines, [1]).tolist() == [4]
    assert ranking.ranks(np.ones(5), [3]).tolist() == [5]
    assert ranking.ranks(cosines, [0, 1, 2, 3]).tolist() == [1, 2, 3, 4]


def test_scores_of_literal_places():
    found = ranking.scores([np.array([1, 3]), np.array([20])])
    assert found["recall@1"] == 0.25 and found["recall@10"] == 0.5 and found["recall@100"] == 1.0
    assert found["mean_reciprocal_rank"] == pytest.approx((1 + 1 / 20) / 2)
    best = 1 + 1 / np.log2(3)
    assert found["ndcg@10"] == pytest.approx((1 + 1 / np.log2(4)) / best / 2)


def test_ndcg_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    cosines, relevant = rng.normal(size=[20, 50]), rng.random([20, 50]) < 0.3
    places = [
        ranking.ranks(row, np.flatnonzero(right))
        for row, right in zip(cosines, relevant, strict=True)
    ]
    wanted = metrics.ndcg_score(relevant.astype(float), cosines, k=10)
    assert ranking.scores(places)["ndcg@10"] == pytest.approx(wanted)

"""Clusters of vectors and their scores, beside slow definitions and scikit-learn."""

import collections

import numpy as np
import pytest
from sklearn import metrics

from roots_tf.metrics import clustering


def test_vectors_that_lie_together_are_one_cluster():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    vectors = np.eye(4, 8)[labels] + rng.normal(size=[200, 8]) * 0.05
    clusters = clustering.k_means(vectors, 4, seed=-1)
    assert (clusters == clustering.k_means(vectors, 4, seed=-1)).all()
    assert clustering.scores(labels, clusters) == pytest.approx(
        dict.fromkeys(("purity", "v_measure", "homogeneity", "completeness"), 1.0)
        | {"most_frequent_label": np.bincount(labels).max() / 200}
    )


def test_scores_are_those_of_their_definitions():
    rng = np.random.default_rng(0)
    labels = ["abc"[i] for i in rng.integers(0, 3, 60)]
    clusters = rng.integers(0, 5, 60).tolist()
    right = sum(
        collections.Counter(a for a, c in zip(labels, clusters, strict=True) if c == number)
        .most_common(1)[0][1]
        for number in set(clusters)
    )  # fmt: skip
    found = clustering.scores(labels, clusters)
    assert found["purity"] == right / 60
    assert found["v_measure"] == pytest.approx(
        metrics.normalized_mutual_info_score(labels, clusters)
    )
    one = clustering.scores(labels, [0] * 60)
    assert one["purity"] == one["most_frequent_label"] and one["v_measure"] == 0


def test_vectors_that_are_all_the_same_are_one_cluster():
    clusters = clustering.k_means(np.ones([6, 3]), 2, seed=0)
    assert len(set(clusters.tolist())) == 1

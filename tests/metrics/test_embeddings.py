"""What is nearest to what, and how vectors lie, beside slow definitions and literal numbers."""

import numpy as np
import pytest

from roots_tf.metrics import embeddings


def unit(values) -> np.ndarray:
    values = np.asarray(values, np.float32)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def test_positives_are_sought_among_all_of_the_file():
    vectors = unit([[[1, 0], [1, 0.1]], [[0, 1], [1, 1]], [[1, 1], [0.2, 1]]])
    found = embeddings.search(vectors, np.array([[0, 1], [2, 3], [4, 5]]))
    assert found.ranks.tolist() == [1, 2, 2]
    assert found.nearest.tolist() == [[0, 1], [2, 1], [1, 1]]
    assert found.count == 3
    assert embeddings.retrieval(found.ranks) == pytest.approx(
        {"accuracy": 1 / 3, "mean_reciprocal_rank": 2 / 3}
    )


def test_what_is_no_wrong_answer_is_left_out():
    """Row 0 and 1 are of one text, row 2 has that text as its positive; a blank is no text."""
    vectors = unit(
        [
            [[1, 0], [0, 1], [1, 0.2]],
            [[1, 0], [1, 0.1], [1, 0.3]],
            [[0, 1], [1, 0], [1, 0.05]],
        ]
    )
    numbers = np.array([[0, 1, 2], [0, 3, -1], [4, 0, 5]])
    found = embeddings.search(vectors, numbers)
    assert found.count == 5
    assert found.ranks.tolist() == [3, 2, 5]  # behind the negatives 2 and 5; 5; all
    assert found.nearest.tolist() == [[2, 2], [2, 2], [0, 1]]


def test_vectors_that_are_all_the_same_find_nothing():
    numbers = np.arange(20).reshape(10, 2)
    found = embeddings.search(np.ones([10, 2, 4], np.float32) / 2, numbers)
    assert found.ranks.tolist() == [10] * 10


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    vectors = unit(rng.normal(size=[50, 3, 8]))
    numbers = rng.integers(0, 60, [50, 3])
    whole = embeddings.search(vectors, numbers), embeddings.potentials(vectors[:, 0], numbers[:, 0])
    monkeypatch.setattr(embeddings, "_CELLS", 100)
    cut = embeddings.search(vectors, numbers), embeddings.potentials(vectors[:, 0], numbers[:, 0])
    assert (whole[0].ranks == cut[0].ranks).all()
    np.testing.assert_allclose(whole[1], cut[1], rtol=1e-6)


def test_alignment_and_uniformity_are_means_over_pairs():
    rng = np.random.default_rng(0)
    x, y = unit(rng.normal(size=[2, 9, 5]))
    squares = ((x - y) ** 2).sum(1)
    assert embeddings.alignment((x * y).sum(1)) == pytest.approx(squares.mean(), rel=1e-5)
    pairs = [np.exp(-2 * ((a - b) ** 2).sum()) for i, a in enumerate(x) for b in x[:i]]
    of_each = embeddings.potentials(x, np.arange(9))
    assert embeddings.uniformity(of_each) == pytest.approx(np.log(np.mean(pairs)), rel=1e-5)
    assert embeddings.uniformity(embeddings.potentials(x, np.zeros(9))) == 0.0  # no other text
    opposite = embeddings.potentials(unit([[1, 0], [-1, 0]]), np.arange(2))
    assert opposite.tolist() == pytest.approx([np.exp(-8)] * 2)


def test_a_random_order_finds_what_chance_does():
    rng = np.random.default_rng(0)
    drawn = [embeddings.retrieval(rng.integers(1, 6, 20_000)) for _ in range(2)]
    for name, value in embeddings.at_random(5).items():
        assert np.mean([scores[name] for scores in drawn]) == pytest.approx(value, abs=0.02)

"""The compiled loss beside TensorFlow's own, and what follows from means."""

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import losses
from roots_tf.losses import base_rate, cross_entropy, perplexity, projected_cross_entropy, weighted


def test_loss_and_gradient_are_those_of_tensorflow():
    rng = np.random.default_rng(0)
    logits = tf.constant(rng.normal(size=[50, 301]) * 20, tf.float32)
    labels = tf.constant(rng.integers(0, 301, 50), tf.int32)
    weights = tf.constant(rng.uniform(size=50), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        loss, right = cross_entropy(logits, labels)
        plain = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        sums = [tf.reduce_sum(x * weights) for x in (loss, plain)]
    np.testing.assert_allclose(loss, plain, rtol=1e-5, atol=1e-5)
    gradients = [tape.gradient(total, logits) for total in sums]
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-6)
    best = tf.argmax(logits, -1, tf.int32)
    np.testing.assert_array_equal(right, tf.cast(best == labels, tf.float32))
    np.testing.assert_array_equal(cross_entropy(logits, best)[1], 1.0)


def test_a_tie_is_not_right():
    logits = tf.constant([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0], [0.0, 0.0, 0.0]])
    loss, right = cross_entropy(logits, tf.constant([0, 1, 2]))
    assert right.numpy().tolist() == [0.0, 1.0, 0.0]
    np.testing.assert_allclose(loss, [0.8620, 0.4076, 1.0986], atol=5e-5)


def test_huge_logits_stay_finite():
    loss, _ = cross_entropy(tf.constant([[3e38, -3e38], [1e4, 0.0]]), tf.constant([0, 1]))
    assert loss.numpy().tolist() == [0.0, 1e4]


def test_sums_and_what_follows_from_their_means():
    total, weight = weighted(tf.constant([2.0, 5.0, 9.0]), tf.constant([1.0, 1.0, 0.0]))
    assert (float(total), float(weight)) == (7.0, 2.0)
    assert (perplexity(0.0), perplexity(699.0) > 1e300, perplexity(700.0)) == (1.0, True, None)
    assert (base_rate(0.25), base_rate(0.75)) == (0.75, 0.75)


def projected(blocks, dtype, monkeypatch, compiled=False):
    """Loss, right answers and gradients, in so many blocks; and the same by one plain product."""
    rng = np.random.default_rng(0)
    rows = tf.cast(tf.constant(rng.normal(size=[13, 8]), tf.float32), dtype)
    table = tf.constant(rng.normal(size=[31, 8]), tf.float32)
    labels = tf.constant(rng.integers(0, 31, 13), tf.int32)
    weights = tf.constant(rng.choice([0.0, 0.5, 1.0], 13), tf.float32)
    monkeypatch.setattr(losses, "BLOCK_BYTES", -(-4 * 13 * 31 // blocks))

    def plain():
        logits = tf.cast(tf.matmul(rows, tf.cast(table, dtype), transpose_b=True), tf.float32)
        each, right = cross_entropy(logits, labels)
        return tf.reduce_sum(each * weights), tf.reduce_sum(right * weights)

    found = []
    for make in (lambda: projected_cross_entropy(rows, table, labels, weights), plain):

        @tf.function(jit_compile=compiled)
        def run(make=make):
            with tf.GradientTape() as tape:
                tape.watch([rows, table])
                loss, right = make()
                scaled = loss * 3.0
            return [loss, right, *tape.gradient(scaled, [rows, table])]

        found.append(run())
    return found


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("blocks", [1, 2, 3, 13, 100])
def test_the_loss_of_blocks_is_that_of_one_product(blocks, compiled, monkeypatch):
    found, wanted = projected(blocks, tf.float32, monkeypatch, compiled)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-6)
    assert float(found[0]) > 1.0


def test_products_of_blocks_may_be_of_half_precision(monkeypatch):
    found, wanted = projected(3, tf.bfloat16, monkeypatch)
    assert [x.dtype for x in found] == [tf.float32, tf.float32, tf.bfloat16, tf.float32]
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-6)
    for one, other in zip(found[2:], wanted[2:], strict=True):
        difference = np.abs(tf.cast(one, tf.float32) - tf.cast(other, tf.float32))
        assert difference.max() < 0.02 * np.abs(tf.cast(other, tf.float32)).max()


def test_a_block_without_weight_gives_nothing():
    rows, table = tf.ones([4, 3]), tf.ones([7, 3])
    with tf.GradientTape() as tape:
        tape.watch([rows, table])
        loss, right = projected_cross_entropy(rows, table, tf.zeros([4], tf.int32), tf.zeros([4]))
    assert (float(loss), float(right)) == (0.0, 0.0)
    for gradient in tape.gradient(loss, [rows, table]):
        assert not gradient.numpy().any()


def info_nce_by_hand(vectors, numbers, temperature, symmetric=False):
    """The loss row by row, text by text."""
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    total, found = 0.0, 0
    for row in range(len(unit)):
        of_text, of_positive = numbers[row, 0], numbers[row, 1]
        right = {-1, of_text, *(pair[1] for pair in numbers if pair[0] == of_text)}
        right_texts = {of_positive, *(pair[0] for pair in numbers if pair[1] == of_positive)}
        others, texts = [], []
        for other in range(len(unit)):
            for place in range(1, numbers.shape[1]):
                if numbers[other, place] not in right:
                    others.append(unit[row, 0] @ unit[other, place])
            if numbers[other, 0] not in right_texts:
                texts.append(unit[row, 1] @ unit[other, 0])
        own = unit[row, 0] @ unit[row, 1]

        def loss(others, own=own):
            return np.log(np.exp(np.array([own, *others]) / temperature).sum()) - own / temperature

        total += (loss(others) + loss(texts)) / 2 if symmetric else loss(others)
        found += all(own > other for other in others)
    return total, found


NUMBERS = {
    "pairs": [[0, 1], [2, 3], [4, 5], [6, 7]],
    "texts alone": [[0, 0], [1, 1], [0, 0], [2, 2]],
    "an equal positive": [[0, 1], [2, 1], [3, 4], [5, 6]],
    "two positives of a text": [[0, 1], [0, 2], [3, 4], [5, 6]],
    "a text that is a positive elsewhere": [[0, 1], [2, 0], [3, 4], [5, 6]],
    "a negative that is a positive of an equal text": [[0, 1, 9], [0, 2, 9], [3, 4, 2], [5, 6, 1]],
    "a negative that is a positive, and none": [[0, 1, 2], [3, 2, 1], [4, 5, -1], [6, 7, 8]],
    "all texts equal": [[0, 0], [0, 0], [0, 0], [0, 0]],
}


@pytest.mark.parametrize("case", NUMBERS)
@pytest.mark.parametrize("symmetric", [False, True])
def test_info_nce_is_that_of_each_row(case, symmetric):
    numbers = np.array(NUMBERS[case], np.int32)
    vectors = np.random.default_rng(1).normal(size=[*numbers.shape, 6]).astype(np.float32)
    given = tf.constant(vectors), tf.constant(numbers)
    total, right = losses.info_nce(*given, 0.2, symmetric=symmetric)
    wanted = info_nce_by_hand(vectors, numbers, 0.2, symmetric)
    np.testing.assert_allclose([total, right], wanted, rtol=1e-5, atol=1e-6)
    cut, _ = losses.info_nce(*given, 0.2, symmetric=symmetric, widths=(2, 4))
    parts = [info_nce_by_hand(vectors[..., :w], numbers, 0.2, symmetric)[0] for w in (2, 4, 6)]
    assert float(cut) == pytest.approx(np.mean(parts), rel=1e-5, abs=1e-6)


def test_info_nce_of_literal_vectors():
    """Cosines 1 and 0 over a temperature of 1: each loss is log(1 + 1/e)."""
    vectors = tf.constant([[[2.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 3.0]]])
    numbers = tf.constant([[0, 1], [2, 3]])
    total, right = losses.info_nce(vectors, numbers, 1.0)
    assert float(total) == pytest.approx(2 * np.log(1 + np.exp(-1)))
    assert float(right) == 2.0
    same, right = losses.info_nce(tf.ones([2, 2, 2]), numbers, 1.0)
    assert float(same) == pytest.approx(2 * np.log(2))
    assert float(right) == 0.0  # where all is equal nothing is found

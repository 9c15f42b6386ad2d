"""The compiled loss beside TensorFlow's own, and what follows from means."""

import numpy as np
import tensorflow as tf

from roots_tf.losses import base_rate, cross_entropy, perplexity, weighted


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

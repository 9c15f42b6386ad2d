"""Updates against published formulas, schedules against literals."""

import numpy as np
import pytest
import tensorflow as tf

from roots_tf.training import optimizers, schedules


def reference_adamw(weights, gradients, rates, decay, beta_1=0.9, beta_2=0.999, epsilon=1e-6):
    """Loshchilov & Hutter 2019, algorithm 2, in float64; Kingma & Ba's epsilon-hat form."""
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * gradient**2
        size = rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        weights = weights - size * first / (np.sqrt(second) + epsilon) - rate * decay * weights
    return weights


@pytest.mark.parametrize(("shape", "decay"), [([3, 4], 0.1), ([5], 0.0)])
def test_adamw_is_the_published_update_and_spares_vectors(shape, decay):
    rng = np.random.default_rng(0)
    start = rng.normal(size=shape)
    gradients = rng.normal(size=[20, *shape])
    rates = np.linspace(0.1, 0.01, 20)
    variable = tf.Variable(start.astype("float32"))
    optimizer = optimizers.AdamW([variable], weight_decay=0.1)
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True)):
        optimizer.apply(
            [tf.constant(gradient, tf.float32)],
            tf.constant(rate, tf.float32),
            step,
            tf.constant(True),
        )
    expected = reference_adamw(start, gradients, rates, decay)
    np.testing.assert_allclose(variable.numpy(), expected, rtol=2e-5, atol=1e-6)


def test_linear_schedule():
    rates = [
        float(schedules.linear(step, peak=1.0, warmup_steps=4, total_steps=12))
        for step in range(13)
    ]
    expected = [0.25, 0.5, 0.75, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0]
    assert rates == pytest.approx(expected)
    assert float(schedules.linear(0, peak=2.0, warmup_steps=0, total_steps=10)) == 2.0

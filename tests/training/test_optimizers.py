"""Updates against published formulas, schedules against literals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from roots_tf.training import optimizers, schedules


def reference_adamw(weights, gradients, rates, decay, beta_1=0.9, beta_2=0.999, epsilon=1e-6):
    """Loshchilov & Hutter 2019, algorithm 2, in float64."""
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * gradient**2
        root = np.sqrt(second / (1 - beta_2**step)) + epsilon
        weights = weights - rate * (first / (1 - beta_1**step) / root + decay * weights)
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
            [tf.constant(4 * gradient, tf.float32)],
            tf.constant(0.25),
            tf.constant(rate, tf.float32),
            step,
            tf.constant(True),
        )
    expected = reference_adamw(start, gradients, rates, decay)
    np.testing.assert_allclose(variable.numpy(), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("beta_2", [0.95, 0.98])
def test_the_second_beta_is_a_choice(beta_2):
    rng = np.random.default_rng(4)
    start, gradients = rng.normal(size=[3, 4]), rng.normal(size=[20, 3, 4])
    kernel = keras.Variable(start.astype("float32"))
    for name in ("adamw", "muon"):  # it has no parts, so that AdamW trains it
        kernel.assign(start)
        optimizer = optimizers.make(name, [kernel], 0.1, beta_2)
        for step, gradient in enumerate(gradients):
            gradient = tf.constant(gradient, tf.float32)
            optimizer.apply([gradient], 1.0, tf.constant(0.05), step, tf.constant(True))
        expected = reference_adamw(start, gradients, [0.05] * 20, 0.1, beta_2=beta_2)
        np.testing.assert_allclose(kernel.numpy(), expected, rtol=2e-5, atol=1e-6)


def test_a_scaled_rate_is_that_of_a_variable_of_its_size():
    """Each update is AdamW's, at the rate times the root of the mean square; 1e-3 of zeros."""
    rng = np.random.default_rng(5)
    starts = [rng.normal(size=[3, 4]), 7 * rng.normal(size=[5]), np.zeros([2, 2])]
    gradients = [[rng.normal(size=start.shape) for start in starts] for _ in range(6)]
    kernels = [keras.Variable(start.astype("float32")) for start in starts]
    optimizer = optimizers.make("scaled_adamw", kernels, 0.1)
    expected, sizes = list(starts), [[] for _ in starts]
    for step, given in enumerate(gradients):
        given = [tf.constant(gradient, tf.float32) for gradient in given]
        optimizer.apply(given, 1.0, tf.constant(0.1), step, tf.constant(True))
        for i, start in enumerate(starts):
            sizes[i].append(0.1 * max(np.sqrt(np.mean(expected[i] ** 2)), 1e-3))
            own = [gradient[i] for gradient in gradients[: step + 1]]
            expected[i] = reference_adamw(start, own, sizes[i], 0.1 if start.ndim > 1 else 0.0)
    for kernel, values in zip(kernels, expected, strict=True):
        np.testing.assert_allclose(kernel.numpy(), values, rtol=5e-5, atol=2e-6)


def reference_lamb(weights, gradients, rates, decay, beta_1=0.9, beta_2=0.999, epsilon=1e-6):
    """You et al. 2020, algorithm 2 with phi(z) = z, in float64."""
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * gradient**2
        ratio = first / (1 - beta_1**step) / (np.sqrt(second / (1 - beta_2**step)) + epsilon)
        update = ratio + decay * weights
        weights = weights - rate * np.linalg.norm(weights) / np.linalg.norm(update) * update
    return weights


def test_lamb_is_the_published_update_for_matrices_and_adam_for_vectors():
    rng = np.random.default_rng(1)
    matrix, vector = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5))
    gradients = [(rng.normal(size=[3, 4]), rng.normal(size=[5])) for _ in range(20)]
    rates = np.linspace(0.1, 0.01, 20)
    variables = [tf.Variable(x[0].astype("float32")) for x in (matrix, vector)]
    optimizer = optimizers.Lamb(variables, weight_decay=0.1)
    for step, (pair, rate) in enumerate(zip(gradients, rates, strict=True)):
        pair = [tf.constant(gradient, tf.float32) for gradient in pair]
        optimizer.apply(pair, 1.0, tf.constant(rate, tf.float32), step, tf.constant(True))
    expected = (
        reference_lamb(matrix[0], [g for g, _ in gradients], rates, 0.1),
        reference_adamw(vector[0], [g for _, g in gradients], rates, 0.0),
    )
    for variable, values in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), values, rtol=5e-5, atol=2e-6)


def test_lamb_moves_a_matrix_of_zeros():
    variable = tf.Variable(tf.zeros([2, 2]))
    optimizers.Lamb([variable], 0.0).apply([tf.ones([2, 2])], 1.0, 0.1, 0, tf.constant(True))
    np.testing.assert_allclose(variable.numpy(), -0.1, rtol=1e-4)  # a ratio of 1, not of 0


def test_a_step_that_is_not_kept_changes_nothing():
    variable = tf.Variable([[1.0, 2.0]])
    optimizer = optimizers.AdamW([variable])
    average = optimizers.MovingAverage([variable], 0.9)
    optimizer.apply([tf.constant([[np.nan, np.inf]])], 1.0, 0.1, 3, tf.constant(False))
    variable.assign([[3.0, 4.0]])
    average.update(3, tf.constant(False))
    for kept in optimizer.variables:
        np.testing.assert_array_equal(kept.numpy(), [[0.0, 0.0]])
    np.testing.assert_array_equal(average.variables[0].numpy(), [[1.0, 2.0]])


def test_the_moving_average_follows_and_can_stand_in():
    variable = tf.Variable([0.0])
    average = optimizers.MovingAverage([variable], 0.5)
    found = []
    for step, value in enumerate([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]):
        variable.assign([value])
        average.update(step, tf.constant(True))
        found.append(float(average.variables[0][0]))
    expected, mean = [], 0.0
    for step in range(10):
        decay = min(0.5, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * (step + 1.0)
        expected.append(mean)
    assert found == pytest.approx(expected)
    with average.in_use():
        assert float(variable[0]) == pytest.approx(mean)
    assert float(variable[0]) == 10.0
    assert float(average.variables[0][0]) == pytest.approx(mean)


def test_the_loss_scale_halves_on_overflow_and_doubles_after_patience():
    scale = optimizers.LossScale(8.0, patience=2)
    found = []
    for finite in (False, True, True, True, False, False, False, False):
        scale.update(tf.constant(finite))
        found.append(float(scale.value))
    assert found == [4.0, 4.0, 8.0, 8.0, 4.0, 2.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear", [0.25, 0.5, 0.75, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0]),
        (
            "cosine",
            [0.25, 0.5, 0.75, 1, 1, 0.9619, 0.8536, 0.6913, 0.5, 0.3087, 0.1464, 0.0381, 0],
        ),
        (
            "inverse_sqrt",
            [0.25, 0.5, 0.75, 1, 0.8944, 0.8165, 0.7559, 0.7071, 0.6667, 0.6325, 0.603, 0.5774,
             0.5547],
        ),
        ("constant", [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
    ],
)  # fmt: skip
def test_schedules(name, expected):
    rate = schedules.SCHEDULES[name]
    rates = [float(rate(step, peak=1.0, warmup_steps=4, total_steps=12)) for step in range(13)]
    assert rates == pytest.approx(expected, abs=5e-5)
    assert float(rate(0, peak=2.0, warmup_steps=0, total_steps=10)) == 2.0
    assert float(rate(tf.constant(0, tf.int64), peak=2.0, warmup_steps=4, total_steps=10)) == 0.5

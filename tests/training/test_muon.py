"""Muon against numpy: its update, its parts, and which weights of models are its own."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf import models
from roots_tf.training import optimizers
from roots_tf.training.orthogonal import newton_schulz, orthogonalised


def reference_orthogonal(matrix, a=3.4445, b=-4.7750, c=2.0315):
    """Jordan et al. 2024, one matrix at a time, in float64."""
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / np.sqrt((x**2).sum())
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def reference_muon(weights, gradients, rates, decay, widths, momentum=0.95):
    """Liu et al. 2025, algorithm 1 with 2.2, with Nesterov's momentum, in float64."""
    total = np.zeros_like(weights)
    for gradient, rate in zip(gradients, rates, strict=True):
        total = momentum * total + gradient
        direction = gradient + momentum * total
        places = np.cumsum(widths)[:-1]
        parts = [
            0.2 * np.sqrt(max(part.shape)) * reference_orthogonal(part)
            for part in np.split(direction, places, axis=1)
        ]
        weights = weights - rate * (np.concatenate(parts, 1) + decay * weights)
    return weights


def apply(optimizer, gradients, rates, multiple=1.0):
    for step, (each, rate) in enumerate(zip(gradients, rates, strict=True)):
        tensors = [tf.constant(multiple * gradient, tf.float32) for gradient in each]
        rate = tf.constant(rate, tf.float32)
        optimizer.apply(tensors, tf.constant(1 / multiple), rate, step, tf.constant(True))


@pytest.mark.parametrize("most_bytes", [1 << 27, 4 * 40])  # all at once; two and one
def test_it_is_the_published_update_for_each_part_and_adamw_for_the_rest(monkeypatch, most_bytes):
    monkeypatch.setattr(optimizers, "ORTHOGONALISED_BYTES", most_bytes)
    rng = np.random.default_rng(0)
    shapes = [(4, 6), (5,), (3, 2), (7, 4), (9, 4)]
    widths = [(2, 3, 1), (), (2,), (4,), ()]  # the last one is a table
    start = [rng.normal(size=shape) for shape in shapes]
    gradients = [[rng.normal(size=shape) for shape in shapes] for _ in range(6)]
    rates = np.linspace(0.1, 0.01, 6)
    variables = [tf.Variable(x.astype("float32")) for x in start]
    multipliers = [1.0, 1.0, 0.5, 1.0, 1.0]
    how = {"weight_decay": 0.1, "parts": widths, "multipliers": multipliers}
    optimizer = optimizers.Muon(variables, **how)
    assert [tuple(v.shape) for v in optimizer.variables] == [
        *((4, 6), (3, 2), (7, 4)),  # momenta
        *((5,), (9, 4), (5,), (9, 4)),  # first and second moments
    ]
    apply(optimizer, gradients, rates, multiple=4.0)
    others = [tf.Variable(start[i].astype("float32")) for i in (1, 4)]
    apply(optimizers.AdamW(others, 0.1), [[g[1], g[4]] for g in gradients], rates)
    for index, variable in enumerate(variables):
        if widths[index]:
            own = [each[index] for each in gradients], rates * multipliers[index]
            expected = reference_muon(start[index], *own, 0.1, widths[index])
        else:
            expected = others.pop(0).numpy()
        np.testing.assert_allclose(variable.numpy(), expected, rtol=2e-4, atol=2e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 24), st.integers(0, 24), st.floats(0.03, 1.0), st.integers(0, 99))
def test_singular_values_come_out_near_1_with_their_vectors(rows, more, least, seed):
    rng = np.random.default_rng(seed)
    left, _ = np.linalg.qr(rng.normal(size=[rows, rows]))
    right, _ = np.linalg.qr(rng.normal(size=[rows + more, rows]))
    values = rng.uniform(least, 1.0, rows)
    found = newton_schulz(tf.constant(1e-3 * (left * values) @ right.T, tf.float32)[None])[0]
    inside = left.T @ found.numpy() @ right  # diagonal, if the vectors are the same
    assert np.all((np.diag(inside) > 0.65) & (np.diag(inside) < 1.25))
    np.testing.assert_allclose(inside, np.diag(np.diag(inside)), atol=2e-4)


def test_products_in_bfloat16_orthogonalise_as_those_in_float32_but_for_rounding():
    matrices = np.random.default_rng(3).normal(size=[2, 48, 64]).astype("float32")
    exact, rounded = (newton_schulz(matrices, kind).numpy() for kind in (tf.float32, tf.bfloat16))
    assert rounded.dtype == np.float32
    assert 1e-4 < np.linalg.norm(rounded - exact) / np.linalg.norm(exact) < 0.1
    model = models.Encoder(models.EncoderConfig.of_size("tiny", vocabulary_size=50))
    made = [
        optimizers.make("muon", model.trainable_variables, 0.0, precision=precision)
        for precision in ("float32", "mixed_bfloat16")
    ]
    gradients = [tf.random.stateless_normal(v.shape, [1, 2]) for v in model.trainable_variables]
    starts = [v.numpy() for v in model.trainable_variables]
    moved = []
    for optimizer in made:
        apply(optimizer, [gradients], [1.0])
        moved.append([v.numpy() for v in model.trainable_variables])
        for variable, start in zip(model.trainable_variables, starts, strict=True):
            variable.assign(start)
    differ = [not np.array_equal(*pair) for pair in zip(*moved, strict=True)]
    assert sum(differ) == len(made[0].matrices)  # what AdamW trains is the same


def test_matrices_of_all_shapes_come_back_in_their_places():
    rng = np.random.default_rng(1)
    shapes = [(4, 6), (6, 4), (5, 5), (6, 4), (1, 3), (4, 6)]
    matrices = [rng.normal(size=shape) for shape in shapes]
    found = orthogonalised([tf.constant(matrix, tf.float32) for matrix in matrices])
    for matrix, one in zip(matrices, found, strict=True):
        np.testing.assert_allclose(one.numpy(), reference_orthogonal(matrix), atol=1e-4)


def test_a_part_moves_as_far_however_small_its_gradient_beside_another():
    rng = np.random.default_rng(2)
    gradient = rng.normal(size=[8, 24]) * np.repeat([1.0, 1e-3, 1e3], 8)
    fused, whole = (tf.Variable(tf.zeros([8, 24])) for _ in range(2))
    for variable, widths in ((fused, (8, 8, 8)), (whole, (24,))):
        optimizer = optimizers.Muon([variable], 0.0, parts=[widths])
        apply(optimizer, [[gradient]], [1.0])
    sizes = [np.linalg.norm(part) for part in np.split(fused.numpy(), 3, axis=1)]
    assert max(sizes) < 1.5 * min(sizes)
    sizes = [np.linalg.norm(part) for part in np.split(whole.numpy(), 3, axis=1)]
    assert max(sizes) > 100 * min(sizes)


def test_a_step_that_is_not_kept_changes_nothing_and_zeros_stay():
    variables = [tf.Variable([[1.0, 2.0]]), tf.Variable([[0.0, 0.0]])]
    optimizer = optimizers.Muon(variables, 0.0, parts=[(1, 1), (2,)])
    bad = [tf.constant([[np.nan, np.inf]])] * 2
    optimizer.apply(bad, 1.0, 0.1, 3, tf.constant(False))
    optimizer.apply([tf.zeros([1, 2])] * 2, 1.0, 0.1, 4, tf.constant(True))
    np.testing.assert_array_equal(variables[0].numpy(), [[1.0, 2.0]])
    for kept in [variables[1], *optimizer.variables]:
        np.testing.assert_array_equal(kept.numpy(), [[0.0, 0.0]])


def parts_of(model) -> dict[str, tuple[int, ...]]:
    """Parts of the weights that have some, of the last block of each stack."""
    found = {v.path: getattr(v, "parts", ()) for v in model.trainable_variables}
    for variable in model.trainable_variables:
        if widths := found[variable.path]:
            assert sum(widths) == variable.shape[1]
            assert "/layer_" in variable.path
    return {path: widths for path, widths in found.items() if widths and "/layer_1/" in path}


def test_matrices_of_the_blocks_have_parts_and_no_other_weights():
    sizes = {"vocabulary_size": 50, "num_layers": 2, "hidden_dim": 16, "num_heads": 4}
    sizes |= {"intermediate_dim": 24, "max_sequence_length": 8}
    block = "encoder/layer_1"
    bert = models.Pretrainer(models.EncoderConfig(**sizes))
    assert parts_of(bert) == {
        f"{block}/attention/query_key_value_kernel": (16, 16, 16),
        f"{block}/attention/output_kernel": (16,),
        f"{block}/expand/kernel": (24,),
        f"{block}/contract/kernel": (16,),
    }
    shared = {"num_key_value_heads": 2, "feed_forward": "glu", "positions": "rotary"}
    llama = models.CausalLM(models.EncoderConfig(**sizes | shared))
    assert parts_of(llama)[f"{block}/attention/query_key_value_kernel"] == (16, 8, 8)
    assert parts_of(llama)[f"{block}/expand/kernel"] == (24, 24)
    both = parts_of(models.EncoderDecoder(models.EncoderConfig(**sizes)))
    crossed = {path.rpartition("/")[2]: w for path, w in both.items() if "cross" in path}
    assert crossed == {
        "query_kernel": (16,), "key_value_kernel": (16, 16), "output_kernel": (16,)
    }  # fmt: skip
    assert len(both) == 4 + 7

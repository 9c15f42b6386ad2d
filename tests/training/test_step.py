"""The same update on one device, on many, and over micro-batches."""

import re

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models
from roots_tf.models.tuning import ALL, LowRankTuning
from roots_tf.objectives.masked_lm_task import MaskedLMTask
from roots_tf.training import optimizers, schedules, strategies
from roots_tf.training.step import TrainStep, local_part
from tests.batches import pretraining_batch

CONFIG = models.EncoderConfig(
    vocabulary_size=60, num_layers=2, hidden_dim=16, num_heads=2, intermediate_dim=32,
    max_sequence_length=24, dropout=0.0,
)  # fmt: skip
STEPS = 6


def train(
    strategy,
    accumulate_steps=1,
    jit_compile=False,
    config=CONFIG,
    max_grad_norm=0.5,
    worker=(0, 1),
    whole=False,
    optimizer="adamw",
    tuning=ALL,
    recompute=False,
):
    """Weights, moments and sums after a few steps in which clipping is active."""
    strategy = strategy or strategies.make_strategy("one_device")
    index, workers = worker
    with strategy.scope():
        model = models.Pretrainer(config, seed=3, recompute=recompute)
        tuning.prepare(model)
        models.rate_multipliers(model, 1.0, -1, tuning)
        task = MaskedLMTask(model)
        optimizer = optimizers.make(optimizer, model.trainable_variables, 0.01)
        train_step = TrainStep(
            task,
            optimizer,
            lambda step: schedules.linear(step, peak=1e-3, warmup_steps=2, total_steps=STEPS),
            seed=1,
            max_grad_norm=max_grad_norm,
            accumulate_steps=accumulate_steps,
            jit_compile=jit_compile,
        )
        call = tf.function(train_step, jit_compile=True if whole else None)
        sums = [
            call(
                local_part(pretraining_batch(step, 16, 24, 60, 5), workers, index),
                tf.constant(step, tf.int64),
            )
            for step in range(STEPS)
        ]
    state = [v.numpy() for v in [*model.trainable_variables, *optimizer.variables]]
    return state, tf.nest.map_structure(float, sums)


def relative_difference(one, other) -> float:
    flat = [np.concatenate([array.ravel() for array in state]) for state in (one, other)]
    return np.linalg.norm(flat[0] - flat[1]) / np.linalg.norm(flat[0])


@pytest.fixture(scope="module")
def one_device():
    return train(strategies.make_strategy("one_device"))


@pytest.mark.parametrize(
    ("devices", "accumulate_steps", "jit_compile"),
    [
        (2, 1, False),
        pytest.param(4, 1, False, marks=pytest.mark.slow),
        (1, 2, False),
        pytest.param(1, 4, False, marks=pytest.mark.slow),
        (2, 2, False),
        (1, 1, True),
    ],
)
def test_the_update_does_not_depend_on_how_the_batch_is_cut(
    one_device, devices, accumulate_steps, jit_compile
):
    name = "mirrored" if devices > 1 else "one_device"
    strategy = strategies.make_strategy(name, devices)
    assert strategy.num_replicas_in_sync == devices
    state, sums = train(strategy, accumulate_steps, jit_compile)
    assert relative_difference(one_device[0], state) < 1e-6
    for expected, found in zip(one_device[1], sums, strict=True):
        for name, (value, weight) in expected.items():
            assert found[name] == pytest.approx((value, weight), rel=1e-5), name
    assert all(step["clipped"][0] == 1.0 for step in sums)  # or the order was not put to the test


def test_the_update_of_muon_does_not_either_and_compiles_whole():
    expected, _ = train(strategies.make_strategy("one_device"), optimizer="muon")
    of_replicas, _ = train(strategies.make_strategy("mirrored", 2), 2, optimizer="muon")
    compiled, _ = train(None, whole=True, optimizer="muon")
    # Iterations make more of small singular values, and so of what is rounded there.
    assert relative_difference(expected, of_replicas) < 1e-5
    assert relative_difference(expected, compiled) < 1e-5


@pytest.fixture(scope="module")
def pairs():
    return train(None, tuning=LowRankTuning(2, 6.0))


@pytest.mark.parametrize(
    "how",
    [
        {"devices": 2, "accumulate_steps": 2},
        pytest.param({"whole": True}, marks=pytest.mark.slow),
        pytest.param({"recompute": True}, marks=pytest.mark.slow),
    ],
    ids=["replicas", "whole", "recompute"],
)
def test_nor_does_that_of_low_rank_pairs(pairs, how):
    devices, how = how.get("devices", 1), {n: v for n, v in how.items() if n != "devices"}
    strategy = strategies.make_strategy("mirrored", devices) if devices > 1 else None
    found = train(strategy, tuning=LowRankTuning(2, 6.0), **how)
    assert relative_difference(pairs[0], found[0]) < 1e-5
    assert pairs[1][-1]["masked_lm_loss"] != pairs[1][0]["masked_lm_loss"]


def test_there_is_no_gradient_of_what_is_not_trained():
    """Neither its product, which is of the shape of the weight, nor a moment."""
    weight = [CONFIG.hidden_dim, 3 * CONFIG.hidden_dim]
    for tuning, expected in ((ALL, CONFIG.num_layers), (LowRankTuning(2, 6.0), 0)):
        model = models.Pretrainer(CONFIG, seed=3)
        tuning.prepare(model)
        models.rate_multipliers(model, 1.0, -1, tuning)
        optimizer = optimizers.make("adamw", model.trainable_variables, 0.01)
        how = {"seed": 1, "max_grad_norm": 0.5}
        step = TrainStep(MaskedLMTask(model), optimizer, lambda step: tf.constant(1e-3), **how)
        batch = pretraining_batch(0, 12, 24, 60, 5)
        graph = tf.function(step).get_concrete_function(batch, tf.constant(0, tf.int64)).graph
        products = [op for op in graph.get_operations() if op.type == "MatMul"]
        assert sum(op.outputs[0].shape == weight for op in products) == expected
        assert (weight in [v.shape for v in optimizer.variables]) == bool(expected)


@pytest.mark.parametrize("dropout", [pytest.param(0.0, marks=pytest.mark.slow), 0.3])
def test_the_whole_step_compiles_and_gives_the_same_numbers(one_device, dropout):
    dropping = models.EncoderConfig(**{**vars(CONFIG), "dropout": dropout})
    plain = train(None, config=dropping)[0]
    assert (relative_difference(plain, one_device[0]) > 1e-4) == (dropout > 0)
    assert relative_difference(plain, train(None, config=dropping, whole=True)[0]) < 1e-6


def test_dropout_differs_between_replicas_and_repeats():
    dropping = models.EncoderConfig(**{**vars(CONFIG), "dropout": 0.3})
    mirrored = strategies.make_strategy("mirrored", 2)
    states = [train(mirrored, config=dropping)[0] for _ in range(2)]
    assert relative_difference(*states) == 0.0
    half = pretraining_batch(0, 8, 24, 60, 5)
    twice = {name: tf.concat([value, value], 0) for name, value in half.items()}
    with mirrored.scope():
        model = models.Pretrainer(dropping, seed=3)
        task = MaskedLMTask(model)
        losses = []

        def spy(batch, seed=None):
            sums = MaskedLMTask.sums(task, batch, seed)
            losses.append(sums["masked_lm_loss"][0])
            return sums

        task.sums = spy
        optimizer = optimizers.AdamW([v.value for v in model.trainable_variables])
        step = TrainStep(task, optimizer, lambda _: 0.0, seed=1, max_grad_norm=1.0)
        step(twice, tf.constant(0, tf.int64))
    assert len(losses) == 2
    assert float(losses[0]) != float(losses[1])  # the same rows on both replicas


def test_a_step_without_finite_gradients_changes_nothing():
    strategy = strategies.make_strategy("one_device")
    with strategy.scope():
        model = models.Pretrainer(CONFIG, seed=3)
        optimizer = optimizers.AdamW([v.value for v in model.trainable_variables], 0.01)
        step = tf.function(
            TrainStep(MaskedLMTask(model), optimizer, lambda _: 0.1, seed=1, max_grad_norm=1.0)
        )
        model.pooler.bias.assign(tf.fill([16], np.nan))
        before = [v.numpy() for v in [*model.variables, *optimizer.variables]]
        sums = step(pretraining_batch(0, 16, 24, 60, 5), tf.constant(0, tf.int64))
    assert float(sums["skipped"][0]) == 1.0
    after = [v.numpy() for v in [*model.variables, *optimizer.variables]]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_micro_batches_wait_for_one_another():
    """Else a graph may begin with all of them, and a cut step take the memory of a whole one."""
    task = MaskedLMTask(models.Pretrainer(CONFIG))
    optimizer = optimizers.AdamW([v.value for v in task.model.trainable_variables])
    how = {"seed": 1, "max_grad_norm": 0.5, "accumulate_steps": 3}
    step = TrainStep(task, optimizer, lambda step: tf.constant(1e-3), **how)
    batch = pretraining_batch(0, 12, 24, 60, 5)
    graph = tf.function(step).get_concrete_function(batch, tf.constant(0, tf.int64)).graph
    ends = [op for op in graph.get_operations() if re.search(r"micro_batch(_\d+)?$", op.name)]
    assert len(ends) == 2
    for end in ends:
        waiting = {op.type for op in graph.get_operations() if end in op.control_inputs}
        assert {"Const", "ReadVariableOp"} <= waiting  # where its rows begin, and the weights


def test_local_part_cuts_the_batch():
    batch = {"x": tf.constant([1, 2, 3, 4])}
    assert local_part(batch, 2, 1)["x"].numpy().tolist() == [3, 4]
    assert local_part(batch, 1, 0) is batch

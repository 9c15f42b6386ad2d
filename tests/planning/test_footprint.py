"""What a step keeps, counted from sizes, beside models that are built and steps that are traced."""

import dataclasses
import json
import math
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from roots_tf import losses, models, objectives
from roots_tf.planning import footprint as footprints
from roots_tf.planning.footprint import Step, footprint, shapes_of
from roots_tf.planning.measuring import task_of
from roots_tf.planning.random_batches import random_batch
from roots_tf.storage.files import InputError
from roots_tf.training import optimizers

V, B, L, P = 70, 4, 16, 3
SHARED = {"num_key_value_heads": 1, "num_segments": 1}
ALIASES = {"Reshape", "Identity", "Squeeze", "ExpandDims", "Unpack", "StridedSlice", "Bitcast"}
NO_ARRAYS = {"Const", "Placeholder", "ReadVariableOp", "Shape", "VarHandleOp"}


def sizes(preset: str, size: str = "tiny", **fields) -> models.EncoderConfig:
    fields = {"vocabulary_size": V, "max_sequence_length": L} | fields
    return models.EncoderConfig.of_size(size, preset, **fields)


@pytest.mark.parametrize("objective", objectives.OBJECTIVES.values(), ids=lambda each: each.name)
@pytest.mark.parametrize("preset", models.PRESETS)
def test_weights_are_those_of_the_model_that_would_be_built(objective, preset):
    for size, fields in (("tiny", {}), ("mini", SHARED), ("tiny", {"tied": False})):
        if fields.get("tied", True) or objective.name == "causal_lm":
            config = sizes(preset, size, **fields)
            built = objective().make_model(config)
            shapes = [tuple(variable.shape) for variable in built.trainable_variables]
            assert sorted(shapes_of(objective.name, config).values()) == sorted(shapes)


def test_an_objective_that_nobody_has_counted():
    with pytest.raises(InputError, match="found --objective=dreams; wanted one of masked_lm, "):
        shapes_of("dreams", sizes("bert"))


def test_weights_of_published_sizes():
    found = {
        size: sum(map(math.prod, shapes_of("masked_lm", config).values()))
        for size in ("base", "large")
        for config in (sizes("bert", size, vocabulary_size=30_522, max_sequence_length=512),)
    }
    assert found == {"base": 110_106_428, "large": 336_226_108}  # google-research/bert's
    gpt2 = sizes("gpt2", "gpt2_small", vocabulary_size=50_257, max_sequence_length=1024)
    assert sum(map(math.prod, shapes_of("causal_lm", gpt2).values())) == 124_439_808


def kept_bytes(objective, config, precision: str, recompute: bool = False) -> int:
    """Bytes of what the traced forward pass gives and the backward pass takes, logits left out."""
    model = objective.make_model(config, precision=precision, recompute=recompute)
    task = task_of(objective, model)
    variables = [variable.value for variable in model.trainable_variables]
    forward = []

    def step(batch):
        with tf.GradientTape() as tape:
            sums = task.sums(batch, tf.constant([0, 1]))
            loss = tf.add_n([sums[each.name][0] for each in task.scalars if each.is_loss])
        forward.extend(tf.compat.v1.get_default_graph().get_operations())
        return [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]

    graph = tf.function(step).get_concrete_function(random_batch(objective, B, L, V)).graph
    needed, found, left = set(), {}, [tensor.op for tensor in graph.outputs]
    inside = set(forward)
    while left:  # what no gradient needs, the graph leaves out
        operation = left.pop()
        if operation in needed or operation in inside:
            continue
        needed.add(operation)
        for tensor in operation.inputs:
            left.append(tensor.op)
            while tensor.op.type in ALIASES:
                tensor = tensor.op.inputs[0]
            if tensor.op in inside and tensor.op.type not in NO_ARRAYS:
                found[tensor.name] = tensor
    arrays = [
        t for t in found.values() if V not in t.shape and t.dtype.is_floating | t.dtype.is_bool
    ]
    other = objective.decoder_config(config) or objective.generator_config(config)
    shapes = shapes_of(objective.name, config, other)
    weights = {tuple(shape) for shape in shapes.values()}
    arrays = [t for t in arrays if tuple(t.shape) not in weights]  # casts of them
    return sum(math.prod(tensor.shape) * tensor.dtype.size for tensor in arrays)


@pytest.mark.parametrize(
    ("objective", "preset", "fields", "precision"),
    [
        (objectives.MaskedLM(max_predictions_per_seq=P), "bert", {}, "float32"),
        (objectives.MaskedLM(max_predictions_per_seq=P), "modern", SHARED, "mixed_bfloat16"),
        (objectives.CausalLM(), "gpt2", {"dropout": 0.0}, "float32"),
        (objectives.CausalLM(), "llama", {}, "float32"),
        (objectives.Denoising(), "t5", {}, "float32"),
        (objectives.Denoising(decoder_layers=3, denoising="prefix"), "bart", {}, "float32"),
        (objectives.Denoising(), "llama", SHARED, "mixed_bfloat16"),
        (objectives.ReplacedTokens(max_predictions_per_seq=P), "bert", {}, "float32"),
    ],
    ids=["bert", "modern", "gpt2", "llama", "t5", "bart", "shared", "replaced_tokens"],
)
def test_activations_are_what_the_traced_step_keeps(objective, preset, fields, precision):
    config = sizes(preset, "tiny", **fields)
    step = Step(
        *(config, objective.name, B, L, P, precision),
        decoder=objective.decoder_config(config),
        target_length=objective.target_length(L),
        generator=objective.generator_config(config),
    )
    assert footprint(step).activations == pytest.approx(
        kept_bytes(objective, config, precision), rel=0.02
    )


STEP = Step(sizes("bert", "mini", vocabulary_size=8192, max_sequence_length=128),
            "masked_lm", 128, 128, 20, threads=2)  # fmt: skip


def test_parts_follow_from_the_flags():
    found = footprint(STEP)
    assert found.moments == 2 * found.weights == 2 * found.gradients
    assert found.peak > found.runtime + 4 * found.weights + found.activations
    lower = footprint(dataclasses.replace(STEP, precision="mixed_bfloat16"))
    assert lower.casts > 0 == found.casts
    assert lower.activations < 0.55 * found.activations
    again = footprint(dataclasses.replace(STEP, recompute=True))
    assert again.activations < 0.4 * found.activations
    cut = footprint(dataclasses.replace(STEP, rows=32, micro_batches=4))
    assert 4 * cut.activations == found.activations
    averaged = footprint(dataclasses.replace(STEP, averaged=True))
    assert averaged.average == found.weights
    # What a checkpoint that is being written holds: weights, moments, average.
    assert (found.checkpoint, averaged.checkpoint) == (3 * found.weights, 4 * found.weights)
    muon = footprint(dataclasses.replace(STEP, optimizer="muon"))
    blocks = 4 * 4 * (256 * 3 * 256 + 256 * 256 + 2 * 256 * 1024)  # bytes of the matrices of four
    assert muon.moments == found.moments - blocks
    assert muon.update == found.update + 5 * blocks
    elsewhere = footprint(dataclasses.replace(STEP, threads=0))
    assert (elsewhere.runtime, elsewhere.allocator, elsewhere.checkpoint) == (0, 0, 0)
    assert elsewhere.peak == found.peak - found.runtime - found.allocator - found.checkpoint


def test_a_causal_model_keeps_a_block_of_logits_for_each_thread():
    assert footprints.BLOCK_BYTES == losses.BLOCK_BYTES
    assert footprints.ORTHOGONALISED_BYTES == optimizers.ORTHOGONALISED_BYTES
    config = sizes("gpt2", vocabulary_size=50_257, max_sequence_length=128)
    step = Step(config, "causal_lm", 32, 128, 0)
    one, two, more = (
        footprint(dataclasses.replace(step, threads=threads)).logits for threads in (1, 2, 100)
    )
    every = 4 * 32 * 128 * 50_257
    table = 4 * 50_257 * 128
    assert one == 2 * every // 7 + 3 * table
    assert two - one == 2 * every // 7 + table
    assert more == 7 * (2 * every // 7 + table) + 2 * table


_PEAK = """
import json, sys
from benchmarks import plan
print(json.dumps(plan.memory_of(json.loads(sys.argv[1]))))
"""


@pytest.mark.slow
def test_memory_is_what_ten_steps_take():
    asked = {"size": "tiny", "batch_size": 32, "length": 128, "vocabulary_size": 8192}
    root = os.fspath(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    run = subprocess.run(
        [sys.executable, "-c", _PEAK, json.dumps(asked)],
        capture_output=True, text=True, check=True, cwd=root,
    )  # fmt: skip
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["forecast"] == pytest.approx(found["resident"], rel=0.15)

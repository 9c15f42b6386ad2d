"""What a TPU asks of every objective: static shapes, no strings, and a step that compiles whole."""

import pytest
import tensorflow as tf

from roots_tf import examples, models, objectives
from roots_tf.storage.files import InputError
from roots_tf.training import optimizers
from roots_tf.training.step import TrainStep
from tests.objectives import test_same_batches as same

ROWS = 8
documents = same.documents


@pytest.fixture(scope="module")
def by_layout(documents):
    """Examples of each layout."""
    return [same.built_of(documents, layout=layout) for layout in ("pairs", "contiguous")]


def examples_of(objective, by_layout):
    """The examples whose layout the objective reads."""
    for built in by_layout:
        try:
            objective.check(built.manifest, ROWS, built.manifest["max_seq_length"])
        except InputError:
            continue
        return built
    raise AssertionError(f"no layout is right for {objective.name}")


@pytest.mark.slow
@pytest.mark.parametrize("objective", objectives.OBJECTIVES.values(), ids=lambda each: each.name)
def test_the_whole_step_compiles_at_static_shapes_and_without_strings(objective, by_layout):
    objective = objective()
    built = examples_of(objective, by_layout)
    length = built.manifest["max_seq_length"]
    batches = examples.pipeline(built.folder, objective.make_rows, batch_size=ROWS, seed=0)
    for name, spec in batches.element_spec.items():
        assert spec.shape.is_fully_defined() and spec.shape[0] == ROWS, name
        assert spec.dtype in (tf.int32, tf.float32, tf.bool), name
    tokenizer = objective.tokenizer_of(built.tokenizer)
    sizes = models.EncoderConfig(
        **models.preset_fields(objective.preset)
        | {"vocabulary_size": tokenizer.size, "num_layers": 1, "hidden_dim": 16, "num_heads": 2}
        | {"intermediate_dim": 32, "max_sequence_length": length, "dropout": 0.1}
    )
    model = objective.make_model(sizes, **objective.model_parts(tokenizer, length))
    task = objective.make_task(model, tokenizer)
    step = TrainStep(
        task,
        optimizers.make("adamw", model.trainable_variables, 0.01),
        lambda now: tf.constant(1e-3),
        seed=0,
        max_grad_norm=1.0,
    )
    whole = tf.function(step, jit_compile=True, autograph=False)
    batch, now = next(iter(batches)), tf.constant(0, tf.int64)
    # XLA's own program of the step, which takes no op that it lacks, and no size that is not fixed.
    program = whole.experimental_get_compiler_ir(batch, now)(stage="hlo")
    assert "f32[" in program and "<=" not in program  # which bounds a size that may change
    updated = len(model.trainable_variables) * 3  # weights and two moments
    assert program.count(" parameter(") >= updated
    graph = whole.get_concrete_function(batch, now).graph.as_graph_def()
    functions = [node for each in graph.library.function for node in each.node_def]
    nodes = [*graph.node, *functions]
    strings = [
        node.name
        for node in nodes
        if tf.string.as_datatype_enum in [value.type for value in node.attr.values()]
    ]
    assert len(nodes) > 100 and not strings

"""Counts from sizes, beside those of the traced model itself."""

import math

import pytest
import tensorflow as tf

from roots_tf import models
from roots_tf.models import blocks, flops
from roots_tf.objectives.causal_lm_task import CausalLMTask
from roots_tf.objectives.masked_lm_task import MaskedLMTask
from roots_tf.training.orthogonal import orthogonalised
from tests.batches import causal_batch, pretraining_batch

B, L, P, V = 6, 24, 5, 60
SIZES = {
    "num_layers": 3, "hidden_dim": 32, "num_heads": 4, "intermediate_dim": 80,
    "vocabulary_size": V, "max_sequence_length": L, "num_segments": 3,
}  # fmt: skip
MODERN = {"norm": "pre", "feed_forward": "glu", "positions": "rotary", "bias": False}
MODERN |= {"window": 8, "global_every": 2}


def product_flops(graph: tf.Graph) -> int:
    """FLOPs of every matrix product in a traced graph, but the one-hot lookup of segments."""
    total = 0
    for operation in graph.get_operations():
        if operation.type not in ("MatMul", "BatchMatMulV2"):
            continue
        left, right = (list(tensor.shape) for tensor in operation.inputs)
        attribute = "transpose_a" if operation.type == "MatMul" else "adj_x"
        inner = left[-2] if operation.get_attr(attribute) else left[-1]
        result = list(operation.outputs[0].shape)
        if SIZES["num_segments"] not in (inner, result[-2]):
            total += 2 * math.prod(result) * inner
    return total


@pytest.mark.parametrize(
    "fields",
    [{}, MODERN, {"num_key_value_heads": 2}, MODERN | {"in_blocks": True}],
    ids=["bert", "modern", "shared keys", "in blocks"],
)
def test_counts_are_those_of_the_traced_model(fields, monkeypatch):
    if "in_blocks" in fields:
        fields = {name: value for name, value in fields.items() if name != "in_blocks"}
        monkeypatch.setattr(blocks, "SMALLEST", 4)
        monkeypatch.setattr(blocks, "WORTH", 1)
        assert blocks.blocks_of(L, MODERN["window"], causal=False).width == 12
    config = models.EncoderConfig(**SIZES | fields)
    model = models.Pretrainer(config)
    variables = [variable.value for variable in model.trainable_variables]
    assert flops.parameters(config) == sum(math.prod(v.shape) for v in variables)

    task, seed = MaskedLMTask(model), tf.constant([0, 1])

    def forward(batch):
        sums = task.sums(batch, seed)
        return tf.add_n([sums[name][0] for name, *_ in (s for s in task.scalars if s.is_loss)])

    def forward_backward(batch):
        with tf.GradientTape() as tape:
            loss = forward(batch)
        return tape.gradient(loss, variables)

    batch = pretraining_batch(0, B, L, V, P)
    step = flops.step_flops(config, B, L, P)
    traced = tf.function(forward).get_concrete_function(batch)
    assert product_flops(traced.graph) == step / 3
    traced = tf.function(forward_backward).get_concrete_function(batch)
    assert product_flops(traced.graph) == step


def test_bert_base_is_near_six_times_weights_and_tokens():
    """6 N D of Kaplan et al., whose N leaves embeddings out and whose D is tokens."""
    config = models.EncoderConfig.of_size("base", vocabulary_size=30_522)
    assert flops.parameters(config) == 110_106_428  # google-research/bert's, with both heads
    products = 12 * (4 * 768**2 + 2 * 768 * 3072)
    tokens = 256 * 128
    found = flops.step_flops(config, 256, 128, 0)
    assert found == pytest.approx(6 * products * tokens, rel=0.04)  # the rest is attention scores


def test_counts_of_a_causal_model_are_those_of_the_traced_one():
    parts = models.preset_fields("llama") | {"num_segments": 0}
    config = models.EncoderConfig(**SIZES | parts)
    model = models.CausalLM(config)
    variables = [variable.value for variable in model.trainable_variables]
    task = CausalLMTask(model)
    batch = causal_batch(0, B, L, V)

    def forward_backward(batch):
        with tf.GradientTape() as tape:
            loss = task.sums(batch, tf.constant([0, 1]))["causal_lm_loss"][0]
        return tape.gradient(loss, variables)

    traced = tf.function(forward_backward).get_concrete_function(batch)
    assert product_flops(traced.graph) == flops.causal_step_flops(config, B, L)


@pytest.mark.parametrize("fields", [{}, MODERN | {"num_key_value_heads": 2}])
def test_those_of_muon_are_what_it_traces(fields):
    config = models.EncoderConfig(**SIZES | fields)
    model = models.EncoderDecoder(config)

    @tf.function
    def update():
        weights = [(v, v.parts) for v in model.trainable_variables if getattr(v, "parts", ())]
        return orthogonalised([tf.zeros([v.shape[0], part]) for v, all in weights for part in all])

    expected = flops.orthogonal_flops(config)
    expected += flops.orthogonal_flops(model.decoder.config, cross_attention=True)
    assert product_flops(update.get_concrete_function().graph) == expected

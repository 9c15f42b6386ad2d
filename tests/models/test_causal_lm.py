"""Decoding with a cache is one full pass: all parts, prompts of different lengths, windows."""

import numpy as np
import pytest
import tensorflow as tf

from roots_tf.models import CausalLM, EncoderConfig

SIZES = {
    "vocabulary_size": 40, "num_layers": 3, "hidden_dim": 16, "num_heads": 2,
    "intermediate_dim": 32, "max_sequence_length": 24, "dropout": 0.0, "initializer_range": 0.2,
}  # fmt: skip
GPT = {"num_segments": 0, "norm": "pre", "embedding_norm": False, "activation": "gelu_tanh"}
LLAMA = GPT | {
    "positions": "rotary", "normalization": "rms", "feed_forward": "glu", "activation": "silu",
    "bias": False,
}  # fmt: skip
MODERN = {
    "norm": "pre", "feed_forward": "glu", "positions": "rotary", "bias": False, "window": 6,
    "global_every": 3, "rotary_base": 160_000.0,
}  # fmt: skip
CONFIGS = {
    "gpt": GPT, "llama": LLAMA, "modern": MODERN, "bert": {"num_segments": 2},
    "windowed gpt": GPT | {"window": 4, "global_every": 2}, "local": LLAMA | {"window": 2},
}  # fmt: skip
LENGTHS, P, L = [6, 1, 4], 6, 16


def decoded(model, token_ids, lengths):
    """Logits [B, L, V] of rows [B, L]: the first `lengths` tokens run at once, then one by one."""
    lengths = tf.constant(lengths)[:, None]
    places = tf.range(P) - (P - lengths)  # right-aligned
    first = tf.gather(token_ids, tf.maximum(places, 0), batch_dims=1)
    rest = tf.gather(token_ids, lengths + tf.range(L - P), batch_dims=1)
    mask = tf.concat([places >= 0, tf.ones([3, L - P], tf.bool)], 1)
    positions = tf.concat([tf.maximum(places, 0), lengths + tf.range(L - P)], 1)
    columns = tf.concat([first, rest], 1)
    caches, found, at = model.caches(L), [], 0
    for count in (P, *[1] * (L - P)):
        keys = {"token_ids": columns, "padding_mask": mask & (tf.range(L) < at + count)}
        queries = {"token_ids": columns, "position_ids": positions}
        queries = {name: value[:, at : at + count] for name, value in queries.items()}
        states, caches = model.step(queries, keys, caches)
        found.append(model.logits(states))
        at += count
    return tf.concat(found, 1).numpy()


def whole(model, token_ids):
    features = {
        "token_ids": token_ids,
        "segment_ids": tf.zeros_like(token_ids),
        "padding_mask": tf.ones_like(token_ids, tf.bool),
    }
    return model.logits(model(features)).numpy()


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_with_a_cache_are_those_of_one_full_pass(name):
    model = CausalLM(EncoderConfig(**SIZES | CONFIGS[name]), seed=3)
    rng = np.random.default_rng(0)
    for variable in model.variables:  # biases and gains that do something
        if len(variable.shape) == 1:
            variable.assign(variable.numpy() + rng.normal(0, 0.2, variable.shape))
    token_ids = tf.constant(rng.integers(0, 40, [3, L]), tf.int32)
    found, wanted = decoded(model, token_ids, LENGTHS), whole(model, token_ids)
    for row, length in enumerate(LENGTHS):
        count = length + L - P
        np.testing.assert_allclose(found[row, P - length :], wanted[row, :count], atol=1e-5)


def test_bfloat16_only_rounds():
    config = EncoderConfig(**SIZES | GPT)
    token_ids = tf.constant(np.random.default_rng(0).integers(0, 40, [3, L]), tf.int32)
    model = CausalLM(config, seed=3, precision="mixed_bfloat16")
    begun = {"token_ids": token_ids[:, :1], "position_ids": tf.zeros([3, 1], tf.int32)}
    keys = {"token_ids": token_ids, "padding_mask": token_ids >= 0}
    assert model.step(begun, keys, model.caches(L))[1][0].keys.dtype == tf.bfloat16
    found, wanted = decoded(model, token_ids, [P] * 3), whole(CausalLM(config, seed=3), token_ids)
    scale = np.abs(wanted).max()
    assert 0 < np.abs(found - wanted).max() < 0.05 * scale

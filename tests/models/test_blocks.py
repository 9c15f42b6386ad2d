"""Attention in blocks gives what attention over all pairs gives, at every length and window."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.models import Encoder, EncoderConfig, preset_fields
from roots_tf.models import blocks as blocks_file
from roots_tf.models.attention import make_view, seen_keys
from roots_tf.models.blocks import Blocks, blocks_of
from roots_tf.models.local import keys, queries, seen_in_blocks

SIZES = {
    "vocabulary_size": 50, "hidden_dim": 16, "num_layers": 2, "num_heads": 4,
    "intermediate_dim": 24, "max_sequence_length": 1000, "global_every": 2, "dropout": 0.0,
}  # fmt: skip


def config_of(preset="modern", **changes):
    fields = preset_fields(preset) | SIZES | {"attention_dropout": 0.0} | changes
    known = {field.name for field in dataclasses.fields(EncoderConfig)}
    return EncoderConfig(**{name: value for name, value in fields.items() if name in known})


def rows(length, seed=0, documents=False, batch=2):
    rng = np.random.default_rng(seed)
    inside = np.arange(length) < np.array([length, max(1, length // 3)])[:batch, None]
    features = {
        "token_ids": tf.constant(rng.integers(5, 50, [batch, length]), tf.int32),
        "padding_mask": tf.constant(inside),
        "segment_ids": tf.zeros([batch, length], tf.int32),
    }
    if documents:
        ids = np.sort(rng.integers(0, 4, [batch, length]), 1)
        features["document_ids"] = tf.constant(np.where(inside, ids, 9), tf.int32)
    return features


def test_a_literal_row_in_blocks_of_two():
    blocks = Blocks(5, 2, (1, 1))
    row = tf.reshape(tf.range(1, 6), [1, 5, 1])
    assert queries(row, blocks)[0, ..., 0].numpy().tolist() == [[1, 2], [3, 4], [5, 0]]
    assert keys(row, blocks, fill=-1)[0, ..., 0].numpy().tolist() == [
        [-1, -1, 1, 2, 3, 4],
        [1, 2, 3, 4, 5, -1],
        [3, 4, 5, -1, -1, -1],
    ]
    past = keys(row, Blocks(5, 2, (1, 0)))[0, ..., 0].numpy().tolist()
    assert past == [[0, 0, 1, 2], [1, 2, 3, 4], [3, 4, 5, 0]]


def test_blocks_are_taken_where_they_are_less_work():
    assert blocks_of(768, 128, False) == Blocks(768, 64, (1, 1))
    assert blocks_of(767, 128, False) is None
    assert blocks_of(512, 8, True) == Blocks(512, 64, (1, 0))
    assert blocks_of(4096, 512, False) == Blocks(4096, 256, (1, 1))
    assert blocks_of(1024, 0, False) is blocks_of(None, 128, False) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 40), st.integers(1, 9), st.booleans(), st.booleans(), st.integers(0, 99))
def test_who_sees_whom_is_the_same(length, half, causal, documents, seed):
    features = rows(length, seed, documents)
    size = half + seed % 3
    blocks = Blocks(length, size, (1, 0 if causal else 1))
    found = seen_in_blocks(features, blocks, 2 * half, causal).numpy()[:, 0]  # [B, M, C, S]
    wanted = seen_keys(features, window=2 * half, causal=causal).numpy()[:, 0]
    whole = np.zeros([2, length, length], bool)
    for block, row, column in np.ndindex(found.shape[1:]):
        query, key = block * size + row, (block - 1) * size + column
        if query < length and 0 <= key < length:
            whole[:, query, key] = found[:, block, row, column]
        elif query < length:
            assert not found[:, block, row, column].any()
    assert (whole == wanted).all()


CASES = [
    {"window": 128}, {"window": 20}, {"window": 128, "causal": True},
    {"window": 20, "num_key_value_heads": 2}, {"window": 20, "num_key_value_heads": 1},
]  # fmt: skip


@pytest.mark.parametrize("length", [193, 256, 300])
@pytest.mark.parametrize("case", CASES)
def test_states_and_gradients_are_those_of_all_pairs(case, length, monkeypatch):
    case = dict(case)
    causal = case.pop("causal", False)
    monkeypatch.setattr(blocks_file, "WORTH", 1)
    config = config_of(**case)
    features = rows(length, documents=causal)
    encoder = Encoder(config, seed=1)

    def run():
        with tf.GradientTape() as tape:
            states = encoder(features, causal=causal)
            inside = tf.cast(features["padding_mask"], tf.float32)[..., None]
            loss = tf.reduce_sum(tf.square(states * inside) * tf.range(16.0))
        return states * inside, tape.gradient(loss, encoder.trainable_variables)

    views = [make_view(config, features, local=True, causal=causal)]
    assert views[0].blocks is not None
    states, gradients = run()
    monkeypatch.setattr("roots_tf.models.attention.blocks_of", lambda *_: None)
    expected, wanted = run()
    np.testing.assert_allclose(states, expected, atol=2e-5)
    for one, other in zip(gradients, wanted, strict=True):
        one, other = (tf.convert_to_tensor(x).numpy() for x in (one, other))
        np.testing.assert_allclose(one, other, atol=2e-5 * max(1.0, np.abs(other).max()))


def test_a_prefix_is_seen_from_all_places_and_a_soft_prompt_is_a_part_of_the_row():
    features = rows(800)
    encoder = Encoder(config_of(window=20, prefix_length=3), seed=1)
    assert encoder.stack.views(features)[1].blocks is None
    assert np.isfinite(encoder(features)).all()
    config = config_of(window=20, prompt_length=3, max_sequence_length=997)
    *_, last = Encoder(config, seed=1).walk(features, watched=True)  # all pairs
    inside = features["padding_mask"].numpy()
    found = Encoder(config, seed=1)(features).numpy()
    np.testing.assert_allclose(found[inside], last.hidden_states.numpy()[inside], atol=2e-5)


def test_scores_that_are_watched_are_those_of_all_pairs():
    config = config_of(window=20)
    *_, last = Encoder(config, seed=1).walk(rows(768), watched=True)
    assert last.scores.shape[-2:] == last.seen.shape[-2:] == (768, 768)


def test_a_row_of_twice_the_length_has_twice_the_pairs_and_not_four_times():
    encoder = Encoder(config_of(window=20, max_sequence_length=2048), seed=1)
    pairs = [
        encoder.stack.views(rows(length, batch=1))[1].seen.shape.num_elements()
        for length in (1024, 2048)
    ]
    assert pairs == [16 * 64 * 192, 32 * 64 * 192]


def test_rows_whose_length_is_not_known_are_taken_whole():
    encoder = Encoder(config_of(window=20, max_sequence_length=2048), seed=1)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)])
    def states(token_ids):
        features = {"token_ids": token_ids, "padding_mask": token_ids > 0}
        features["segment_ids"] = tf.zeros_like(token_ids)
        assert encoder.stack.views(features)[1].blocks is None
        return encoder(features)

    features = rows(1000)
    features["token_ids"] *= tf.cast(features["padding_mask"], tf.int32)
    inside = features["padding_mask"].numpy()
    np.testing.assert_allclose(
        states(features["token_ids"]).numpy()[inside], encoder(features).numpy()[inside], atol=2e-5
    )

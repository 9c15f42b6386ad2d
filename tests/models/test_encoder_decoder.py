"""Encoder-decoders: what the decoder sees, step by step and at once, and their folders."""

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import generation, models
from roots_tf.generation.settings import Settings
from roots_tf.models import relative, weight_shapes
from roots_tf.models.config import DecoderConfig, EncoderConfig, preset_fields
from roots_tf.storage.files import InputError

V, B, L, T = 23, 3, 7, 5
SIZES = {"num_layers": 2, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 24}


def sizes(preset="bert", **fields):
    fields = {"vocabulary_size": V, "max_sequence_length": 12} | SIZES | fields
    return EncoderConfig(**preset_fields(preset) | fields | {"initializer_range": 0.5})


def batch(seed=0, lengths=(7, 4, 5), targets=(5, 5, 2)):
    draw = np.random.default_rng(seed)
    ids, target = (draw.integers(1, V, shape).astype(np.int32) for shape in ((B, L), (B, T)))
    inside = np.arange(L) < np.array(lengths)[:, None]
    return {
        "token_ids": tf.constant(np.where(inside, ids, 0)),
        "segment_ids": tf.zeros([B, L], tf.int32),
        "padding_mask": tf.constant(inside),
        "decoder_token_ids": tf.constant(target),
        "decoder_padding_mask": tf.constant(np.arange(T) < np.array(targets)[:, None]),
    }


PRESETS = ("bert", "transformer", "t5", "bart", "llama")


@pytest.fixture(scope="module", params=PRESETS)
def model(request):
    config = sizes(request.param)
    joined = {"tied": False} if request.param == "llama" else {"output_bias": True}
    if request.param == "t5":
        joined |= {"output_scale": True}
    return models.EncoderDecoder(config, DecoderConfig.like(config, num_layers=1, **joined), seed=3)


def changed(features, name, row, place):
    array = features[name].numpy()
    array[row, place] = array[row, place] % (V - 1) + 1
    return features | {name: tf.constant(array)}


def test_a_target_sees_its_source_and_what_is_before(model):
    features = batch()
    states = model(features).numpy()
    after = model(changed(features, "decoder_token_ids", 0, 3)).numpy()
    same = np.isclose(after, states, atol=1e-5).all(-1)  # [B, T]
    assert same[0].tolist() == [True] * 3 + [False] * 2
    assert same[1:].all()
    after = model(changed(features, "token_ids", 1, 3)).numpy()
    same = np.isclose(after, states, atol=1e-5).all(-1)
    assert not same[1].any() and same[[0, 2]].all()
    after = model(changed(features, "token_ids", 1, 4)).numpy()  # of the padding
    np.testing.assert_allclose(after, states, atol=1e-5)


def test_packed_rows_are_as_rows_of_their_own(model):
    one, whole = batch(), {}
    features = {name: feature[:1] for name, feature in batch(1).items()}
    for prefix in ("", "decoder_"):
        name = f"{prefix}token_ids"
        parts = [one[name][:1, :4], features[name][:, :5]]
        whole[name] = tf.concat(parts, 1)
        whole[f"{prefix}position_ids"] = tf.constant([[*range(4), *range(5)]])
        whole[f"{prefix}document_ids"] = tf.constant([[1] * 4 + [2] * 5])
        whole[f"{prefix}padding_mask"] = tf.ones([1, 9], tf.bool)
    whole["segment_ids"] = tf.zeros([1, 9], tf.int32)
    packed = model(whole).numpy()
    for begin, end in ((0, 4), (4, 9)):
        alone = {
            name: feature[:, begin:end]
            for name, feature in whole.items()
            if not name.endswith(("position_ids", "document_ids"))
        }
        np.testing.assert_allclose(packed[:, begin:end], model(alone).numpy(), atol=2e-5)


@pytest.mark.parametrize("copies", [1, 3])
def test_steps_give_the_states_of_a_whole_target(model, copies):
    features = batch(targets=(5, 5, 5))
    states = model(features)
    decoder, caches = model.conditioned(features), None
    ids = tf.repeat(features["decoder_token_ids"], copies, 0)
    caches = decoder.caches(T)
    for start, end in ((0, 2), (2, 3), (3, 5)):
        keys = {"token_ids": ids, "padding_mask": tf.repeat(tf.range(T)[None] < end, len(ids), 0)}
        queries = {
            "token_ids": ids[:, start:end],
            "position_ids": tf.repeat(tf.range(start, end)[None], len(ids), 0),
        }
        if start == 0 and copies > 1:  # beams begin as one row, as a search does
            one = [{n: v[::copies] for n, v in part.items()} for part in (queries, keys)]
            found, caches = decoder.step(*one, caches)
            caches = [
                cache._replace(
                    keys=tf.repeat(cache.keys, copies, 0), values=tf.repeat(cache.values, copies, 0)
                )
                for cache in caches
            ]
            found = tf.repeat(found, copies, 0)
        else:
            found, caches = decoder.step(queries, keys, caches)
        expected = tf.repeat(states[:, start:end], copies, 0)
        np.testing.assert_allclose(found, expected, atol=3e-5)
    np.testing.assert_allclose(decoder.logits(found), model.logits(expected), atol=3e-4)


def test_recomputed_gradients_are_the_same():
    features, config = batch(), sizes("t5", dropout=0.1)
    gradients = []
    for recompute in (False, True):
        model = models.EncoderDecoder(config, seed=3, recompute=recompute)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(features, seed=tf.constant([1, 2])) ** 2)
        gradients.append(tape.gradient(loss, [v.value for v in model.trainable_variables]))
    for one, other in zip(*gradients, strict=True):
        assert one is not None
        np.testing.assert_allclose(
            tf.convert_to_tensor(one), tf.convert_to_tensor(other), rtol=1e-4, atol=1e-4
        )


def test_a_folder_holds_both_stacks(model, tmp_path):
    models.save(tmp_path, model)
    described = models.describe(tmp_path)
    assert described["decoder"] == model.decoder_config
    other = models.load(tmp_path)
    np.testing.assert_array_equal(other(batch()), model(batch()))
    shapes = weight_shapes.encoder_decoder(model.config, model.decoder_config)
    found = {name: tuple(v.shape) for name, v in models.named_weights(model).items()}
    assert found == shapes
    assert len(model.trainable_variables) == len(found)


def test_stacks_of_two_widths_are_refused():
    config = sizes()
    with pytest.raises(InputError, match="found hidden_dim=16 of an encoder and 32 of its decoder"):
        models.EncoderDecoder(config, DecoderConfig.like(config, hidden_dim=32))


def brute_force(model, features, row, steps, penalty, eos):
    """Every target of at most `steps` tokens, with its score: the slow oracle of a search."""
    one = {name: feature[row : row + 1] for name, feature in features.items()}
    encoded = model.encoder(one)
    found, alive = [], [((), 0.0)]
    for length in range(1, steps + 1):
        following = []
        for ids, score in alive:
            target = tf.constant([[1, *ids]], tf.int32)
            given = one | {
                "decoder_token_ids": target,
                "decoder_padding_mask": tf.ones_like(target, tf.bool),
            }
            states = model.decode(given, encoded)
            chances = tf.nn.log_softmax(model.logits(states)[0, -1]).numpy()
            for token, chance in enumerate(chances):
                entry = ((*ids, token), score + float(chance))
                (found if token == eos or length == steps else following).append(entry)
        alive = following
    return sorted(((s / len(i) ** penalty, i) for i, s in found), reverse=True)


@pytest.mark.parametrize("penalty", [0.0, 1.0, -0.5])
def test_beams_find_what_looking_at_everything_finds(penalty):
    config = sizes("t5", vocabulary_size=6, hidden_dim=8, num_layers=1)
    model = models.EncoderDecoder(config, seed=5)
    features = batch()
    features["token_ids"] %= 6
    eos, steps, beams = 2, 3, 30
    settings = Settings(
        decoding="beam", num_beams=beams, max_new_tokens=steps, length_penalty=penalty
    )
    found = generation.generate(
        model.conditioned(features),
        tf.ones([B, 1], tf.int32),
        tf.ones([B], tf.int32),
        tf.zeros([B, 2], tf.int32),
        settings,
        eos_id=eos,
        pad_id=0,
        num_return=3,
    )
    for row in range(B):
        best = brute_force(model, features, row, steps, penalty, eos)[:3]
        for place, (score, ids) in enumerate(best, 3 * row):
            length = int(found.lengths[place])
            tokens = found.ids[place, :length].numpy().tolist()
            assert tokens == [i for i in ids if i != eos or len(ids) == 0][: len(tokens)]
            assert float(found.scores[place]) == pytest.approx(score, abs=1e-4)


def test_relative_positions_by_hand():
    config = EncoderConfig(99, 1, 2, 2, 8, relative_buckets=8, relative_distance=16)
    table = tf.constant(np.arange(16.0).reshape(8, 2), tf.float32)
    for causal in (False, True):
        found = relative.bias(table, config, 3, 6, start=2, causal=causal).numpy()
        for query in range(3):
            for key in range(6):
                ahead = tf.constant(key - query - 2)
                bucket = int(relative.buckets(ahead, config, causal))
                np.testing.assert_array_equal(found[0, :, query, key], table[bucket])


def test_scores_that_are_looked_at_hold_the_relative_positions():
    model, features = models.EncoderDecoder(sizes("t5"), seed=3), batch()
    states = list(model.encoder.walk(features, watched=True))
    expected = tf.where(states[1].seen, states[1].scores, -1e9)
    np.testing.assert_allclose(states[1].weights, tf.nn.softmax(expected), atol=1e-6)

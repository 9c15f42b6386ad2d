"""Classifiers of causal encoders: the last token is read, whatever the padding."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models
from roots_tf.models import pooling
from roots_tf.storage.files import InputError

CONFIG = models.EncoderConfig(
    vocabulary_size=50, num_layers=2, hidden_dim=16, num_heads=2, intermediate_dim=32,
    max_sequence_length=16, num_segments=0, initializer_range=0.3, causal=True,
)  # fmt: skip


def features(*rows):
    lengths = [len(row) for row in rows]
    token_ids = tf.ragged.constant(rows, dtype=tf.int32).to_tensor()
    return {"token_ids": token_ids, "padding_mask": tf.sequence_mask(lengths)}


def test_the_last_token_of_each_row_is_read():
    states = tf.reshape(tf.range(24.0), [2, 4, 3])
    mask = tf.constant([[True, True, False, False], [True, True, True, True]])
    assert pooling.last_token(states, mask).numpy().tolist() == [[3, 4, 5], [21, 22, 23]]
    left = tf.constant([[False, False, True, True], [False] * 4])  # the second has no token
    assert pooling.last_token(states, left).numpy().tolist() == [[9, 10, 11], [12, 13, 14]]


def test_an_answer_does_not_depend_on_padding_but_on_every_token():
    model = models.Classifier(CONFIG, 3, seed=4)
    assert model.pooler is None
    row = [7, 8, 9, 10]
    alone = model(features(row))[0].numpy()
    np.testing.assert_allclose(model(features(row, [5] * 11))[0], alone, atol=1e-5)
    for place in range(4):
        changed = [*row]
        changed[place] = 30
        assert np.abs(model(features(changed))[0].numpy() - alone).max() > 1e-3


def test_no_token_sees_a_later_one_after_a_folder_is_read(tmp_path):
    model = models.Classifier(CONFIG, 3, seed=4)
    models.save(tmp_path, model, labels=("a", "b", "c"))
    described = models.describe(tmp_path)
    assert described["encoder"] == CONFIG == models.stack_config(described)
    again = models.load(tmp_path)
    batch = features([7, 8, 9, 10])
    np.testing.assert_array_equal(again(batch), model(batch))
    states = again.encoder(batch).numpy()
    later = again.encoder(features([7, 8, 9, 30])).numpy()
    np.testing.assert_allclose(states[:, :3], later[:, :3], atol=1e-6)


def test_a_classifier_starts_from_a_causal_language_model(tmp_path):
    source = models.CausalLM(dataclasses.replace(CONFIG, causal=False), seed=9)
    models.save(tmp_path, source)
    config = models.stack_config(models.describe(tmp_path))
    assert config == CONFIG
    model = models.Classifier(config, 2, seed=1)
    assert models.load_encoder(tmp_path, model)  # there is no pooler to miss
    batch = features([7, 8, 9])
    np.testing.assert_allclose(model.encoder(batch), source(batch), atol=1e-6)


def test_the_first_token_of_a_causal_model_is_no_vector_of_a_text():
    model = models.CausalLM(dataclasses.replace(CONFIG, causal=False), seed=9)
    for name in ("mean", "cls", "pooler"):
        with pytest.raises(InputError, match="causal language model .* wanted an encoder"):
            pooling.check(name, model, {"kind": "causal_lm"}, "folder")

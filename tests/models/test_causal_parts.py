"""Parts of causal models: shared keys, an output embedding of its own; and their folders."""

import dataclasses
import json

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from roots_tf import models
from roots_tf.models import weight_shapes
from roots_tf.objectives.causal_lm_task import CausalLMTask
from roots_tf.storage.files import InputError

LLAMA = models.EncoderConfig(
    vocabulary_size=40, num_layers=2, hidden_dim=24, num_heads=6, num_key_value_heads=2,
    intermediate_dim=20, max_sequence_length=12, num_segments=0, norm="pre", normalization="rms",
    embedding_norm=False, activation="silu", feed_forward="glu", positions="rotary", bias=False,
    tied=False, initializer_range=0.3, dropout=0.0,
)  # fmt: skip


def test_weights_have_the_names_and_shapes_that_are_counted():
    for fields in ({}, {"tied": True}, {"num_key_value_heads": 0}, {"num_key_value_heads": 1}):
        config = dataclasses.replace(LLAMA, **fields)
        weights = models.named_weights(models.CausalLM(config))
        wanted = weight_shapes.encoder(config) | weight_shapes.output_table(config)
        assert {name: tuple(v.shape) for name, v in weights.items()} == wanted
        assert ("head/table" in wanted) == (not config.tied)


def test_caches_hold_the_shared_heads_alone():
    model = models.CausalLM(LLAMA)
    keys = {"token_ids": tf.zeros([3, 7], tf.int32), "padding_mask": tf.ones([3, 7], tf.bool)}
    queries = {"token_ids": tf.zeros([3, 2], tf.int32)}
    (cache, *_) = model.step(queries, keys, model.caches(7))[1]
    assert cache.keys.shape == cache.values.shape == (3, 2, 7, 4)


def test_as_many_key_heads_as_heads_is_none_shared():
    one, other = (
        models.CausalLM(dataclasses.replace(LLAMA, num_key_value_heads=count), seed=2)
        for count in (0, 6)
    )
    features = {"token_ids": tf.range(9)[None], "padding_mask": tf.ones([1, 9], tf.bool)}
    np.testing.assert_array_equal(one(features), other(features))


def test_the_output_embedding_learns_apart_from_the_input():
    model = models.CausalLM(LLAMA, seed=1)
    batch = {
        "token_ids": tf.constant([[3, 4, 5]]),
        "padding_mask": tf.ones([1, 3], tf.bool),
        "next_token_ids": tf.constant([[4, 5, 6]]),
        "next_token_weights": tf.ones([1, 3]),
    }
    with tf.GradientTape() as tape:
        loss, _ = CausalLMTask(model).sums(batch)["causal_lm_loss"]
    tables = [model.encoder.embeddings.token.value, model.output_table.value]
    inner, outer = map(tf.convert_to_tensor, tape.gradient(loss, tables))
    moved = np.flatnonzero(np.abs(inner).max(-1))
    assert moved.tolist() == [3, 4, 5]
    assert np.abs(outer).max(-1).min() > 0
    logits = model.logits(model(batch))
    expected = -tf.gather(tf.nn.log_softmax(logits), batch["next_token_ids"], batch_dims=2)
    assert float(loss) == pytest.approx(float(tf.reduce_sum(expected)), rel=1e-5)


def test_a_folder_keeps_both_tables_and_one_without_the_second_is_refused(tmp_path):
    model = models.CausalLM(LLAMA, seed=3)
    models.save(tmp_path, model)
    again = models.load(tmp_path)
    for name, variable in models.named_weights(model).items():
        np.testing.assert_array_equal(variable, models.named_weights(again)[name])
    path = tmp_path / "model.safetensors"
    weights = safetensors.numpy.load_file(path)
    del weights["head/table"]
    safetensors.numpy.save_file(weights, path)
    with pytest.raises(InputError, match="found no weight head/table"):
        models.describe(tmp_path)


def test_folders_without_the_new_keys_are_read_as_before(tmp_path):
    config = dataclasses.replace(LLAMA, tied=True, num_key_value_heads=0)
    models.save(tmp_path, models.CausalLM(config, seed=3))
    path = tmp_path / "model.json"
    said = json.loads(path.read_text())
    new = ("tied", "num_key_value_heads", "query_key_norm", "masked_logit_cap", "zero_residuals")
    said["encoder"] = {name: said["encoder"][name] for name in said["encoder"].keys() - {*new}}
    del said["sha256"]
    path.write_text(json.dumps(said))
    assert models.describe(tmp_path)["encoder"] == config


@pytest.mark.parametrize("count", [4, 5, 12])
def test_key_heads_divide_the_heads(count):
    with pytest.raises(InputError, match=f"num_heads=6 and num_key_value_heads={count}"):
        dataclasses.replace(LLAMA, num_key_value_heads=count)


def test_a_masked_model_has_no_output_embedding_of_its_own():
    with pytest.raises(InputError, match="tied=False for a masked language model"):
        models.Pretrainer(LLAMA)

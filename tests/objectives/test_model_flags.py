"""A model to start from, at a longer length and with another rotary base."""

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models
from roots_tf.models import EncoderConfig, preset_fields
from roots_tf.objectives.model_flags import ModelFlags
from roots_tf.storage.files import InputError

SIZES = {
    "vocabulary_size": 30, "hidden_dim": 16, "num_layers": 2, "num_heads": 2,
    "intermediate_dim": 24, "max_sequence_length": 16, "dropout": 0.0, "initializer_range": 0.5,
}  # fmt: skip


def saved(folder, preset):
    model = models.Pretrainer(EncoderConfig(**preset_fields(preset) | SIZES), seed=3)
    models.save(folder, model)
    return model


def test_a_rotary_model_goes_on_with_longer_rows(tmp_path):
    model = saved(tmp_path, "modern")
    flags = ModelFlags(init_from=str(tmp_path), dropout=0.0, rotary_base=500_000)
    config = flags.encoder_config(30, 1000)
    assert (config.max_sequence_length, config.rotary_base) == (1000, 500_000)
    assert config.local_rotary_base == model.config.local_rotary_base
    longer = models.Pretrainer(config)
    models.load_weights(tmp_path, models.named_weights(longer))
    ids = tf.constant(np.random.default_rng(0).integers(5, 30, [1, 1000]), tf.int32)
    features = {
        "token_ids": ids,
        "segment_ids": tf.zeros_like(ids),
        "padding_mask": tf.ones_like(ids, tf.bool),
    }
    assert longer.encoder(features).shape == (1, 1000, 16)
    short = {name: x[:, :16] for name, x in features.items()}
    same_base = ModelFlags(init_from=str(tmp_path), dropout=0.0).encoder_config(30, 1000)
    again = models.Pretrainer(same_base)
    models.load_weights(tmp_path, models.named_weights(again))
    np.testing.assert_array_equal(again.encoder(short), model.encoder(short))
    assert not np.allclose(longer.encoder(short), model.encoder(short), atol=1e-2)


def test_learned_positions_end_where_they_end(tmp_path):
    saved(tmp_path, "bert")
    with pytest.raises(InputError, match="16 positions .*at least 17 positions"):
        ModelFlags(init_from=str(tmp_path)).encoder_config(30, 17)
    with pytest.raises(InputError, match="rotary_base=5000 and a model of learned positions"):
        ModelFlags(init_from=str(tmp_path), rotary_base=5000).encoder_config(30, 16)
    with pytest.raises(InputError, match="rotary_base=5000 and a model of learned positions"):
        ModelFlags(size="tiny", preset="bert", rotary_base=5000).encoder_config(30, 16)


def test_a_new_model_has_the_base_that_is_asked_for():
    assert ModelFlags(preset="modern").encoder_config(30, 16).rotary_base == 160_000
    config = ModelFlags(preset="modern", rotary_base=2e6).encoder_config(30, 16)
    assert config.rotary_base == 2e6

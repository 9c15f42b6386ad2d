"""Features in, hidden states and logits out: the encoder, its heads, and model folders."""

from roots_tf.models.config import PRESETS, SIZES, EncoderConfig, preset_fields
from roots_tf.models.encoder import Encoder, PooledEncoder, Pretrainer
from roots_tf.models.folder import (
    describe,
    load,
    load_encoder,
    load_weights,
    named_weights,
    save,
)
from roots_tf.models.heads import Classifier, TokenClassifier
from roots_tf.models.pooling import mean_pool

__all__ = [
    "PRESETS",
    "SIZES",
    "Classifier",
    "Encoder",
    "EncoderConfig",
    "PooledEncoder",
    "Pretrainer",
    "TokenClassifier",
    "describe",
    "load",
    "load_encoder",
    "load_weights",
    "mean_pool",
    "named_weights",
    "preset_fields",
    "save",
]

"""Features in, hidden states and logits out: the encoder, its heads, and model folders."""

from roots_tf.models.config import PRESETS, SIZES, EncoderConfig, preset_fields
from roots_tf.models.depth import check_frozen, rate_multipliers
from roots_tf.models.encoder import Encoder, PooledEncoder, Pretrainer
from roots_tf.models.flops import parameters, step_flops
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
    "check_frozen",
    "describe",
    "load",
    "load_encoder",
    "load_weights",
    "mean_pool",
    "named_weights",
    "parameters",
    "preset_fields",
    "rate_multipliers",
    "save",
    "step_flops",
]

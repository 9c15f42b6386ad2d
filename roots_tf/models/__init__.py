"""Features in, hidden states and logits out: the encoder, its heads, and model folders."""

from roots_tf.models.config import PRESETS, SIZES, EncoderConfig, preset_fields
from roots_tf.models.encoder import Classifier, Encoder, Pretrainer
from roots_tf.models.folder import describe, load, load_weights, named_weights, save

__all__ = [
    "PRESETS",
    "SIZES",
    "Classifier",
    "Encoder",
    "EncoderConfig",
    "Pretrainer",
    "describe",
    "load",
    "load_weights",
    "named_weights",
    "preset_fields",
    "save",
]

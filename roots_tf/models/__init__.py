"""Features in, hidden states and logits out: the encoder, its heads, and model folders.

TensorFlow is loaded when a name is used that needs it: sizes and presets do not.
"""

import importlib

from roots_tf.models.config import PRESETS, SIZES, EncoderConfig, preset_fields

_HOMES = {
    "encoder": ("Encoder", "PooledEncoder", "Pretrainer"),
    "folder": ("describe", "load", "load_encoder", "load_weights", "named_weights", "save"),
    "heads": ("Classifier", "TokenClassifier", "mean_pool"),
}

__all__ = ["PRESETS", "SIZES", "EncoderConfig", "preset_fields"]
__all__ += [name for names in _HOMES.values() for name in names]


def __getattr__(name: str):
    """A name of this package that needs TensorFlow, from the file it lives in (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

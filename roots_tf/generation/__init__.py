"""Generation: a model's step in, ids out. It knows no model by name, and no tokenizer."""

from roots_tf import lazy
from roots_tf.generation.settings import Settings

__getattr__ = lazy.attributes(
    __name__,
    {"Generated": "loop", "State": "loop", "advance": "loop", "begin": "loop", "generate": "loop"},
)

__all__ = ["Settings"]

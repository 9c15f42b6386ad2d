"""Generation: a model's step in, ids out. It knows no model by name, and no tokenizer."""

from roots_tf import lazy
from roots_tf.generation.prompts import check_prompts, check_room
from roots_tf.generation.settings import SearchFlags, Settings

__getattr__ = lazy.attributes(
    __name__,
    {
        "Generated": "state",
        "State": "state",
        "advance": "loop",
        "begin": "loop",
        "generate": "loop",
        "new_tokens": "state",
        "proceed": "loop",
    },
)

__all__ = ["SearchFlags", "Settings", "check_prompts", "check_room"]

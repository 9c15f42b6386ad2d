"""Examples: ids in, feature dictionaries out.

`building` turns documents into record shards and a manifest, without TensorFlow; `pipeline` turns
those into a `tf.data.Dataset` whose batch is a pure function of (manifest, seed, step).
"""

from roots_tf.examples.manifest import check_objective, check_tokenizer, load

__all__ = [
    "check_objective",
    "check_tokenizer",
    "damage_named",
    "load",
    "pipeline",
    "rows_an_epoch",
]


def __getattr__(name):
    """Imports the reading side, and TensorFlow with it, when it is first asked for."""
    if name in ("damage_named", "pipeline", "rows_an_epoch"):
        from roots_tf.examples import reading

        return getattr(reading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

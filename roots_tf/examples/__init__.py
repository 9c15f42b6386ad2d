"""Examples: ids in, feature dictionaries out. It knows records, order and batches, no objective.

`building` turns documents into record shards and a manifest, without TensorFlow; `pipeline` turns
those into a `tf.data.Dataset` whose batch is a pure function of (manifest, seed, step), given the
`RowMaker` of an objective.
"""

import importlib

from roots_tf.examples.manifest import check_layout, check_pairs, check_tokenizer, load

# Imported, and TensorFlow with them, when they are first asked for.
_READING = {
    "Chance": "row_maker",
    "RowMaker": "row_maker",
    "damage_named": "reading",
    "decode_contiguous": "decoding",
    "decode_ids": "decoding",
    "decode_pairs": "decoding",
    "pipeline": "reading",
}

__all__ = ["check_layout", "check_pairs", "check_tokenizer", "load", *_READING]


def __getattr__(name):
    """A name of the reading side."""
    if name in _READING:
        module = importlib.import_module(f"roots_tf.examples.{_READING[name]}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

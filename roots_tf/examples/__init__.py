"""Examples: ids in, feature dictionaries out. It knows records, order and batches, no objective.

`building` turns documents into record shards and a manifest, without TensorFlow; `pipeline` turns
those into a `tf.data.Dataset` whose batch is a pure function of (manifest, seed, step), given the
`RowMaker` of an objective.
"""

from roots_tf import lazy

__getattr__ = lazy.attributes(
    __name__,
    {
        "Chance": "row_maker",
        "RowMaker": "row_maker",
        "check_layout": "manifest",
        "check_tokenizer": "manifest",
        "damage_named": "reading",
        "decode_contiguous": "decoding",
        "decode_ids": "decoding",
        "decode_pairs": "decoding",
        "load": "manifest",
        "pipeline": "reading",
        "tokenizer_of": "stored",
    },
)

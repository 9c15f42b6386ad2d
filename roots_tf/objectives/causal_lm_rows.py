"""Rows of the causal language model: text packed full, and the token that follows each.

A record becomes <bos> ids <eos>, the tokenizer's begin and end of a text, and records are packed as
in `examples.packing`: each piece of text sees itself alone. Position t predicts the token at t + 1
of the stream, across the end of a row, so that every token is predicted once; but not the <bos> of
the next text, and <eos> only where the document ends, which a record that is shorter than the
build's longest shows.
"""

import dataclasses

import tensorflow as tf

from roots_tf.examples import decoding, packing
from roots_tf.examples.row_maker import RowMaker
from roots_tf.features import Feature
from roots_tf.storage import files


@dataclasses.dataclass(frozen=True)
class CausalRows(RowMaker):
    """Packed rows with the token that follows each.

    Attributes:
        manifest: of the examples.
        split: "train" or "held_out".
        tokenizer: of the examples.
        length: L.
    """

    manifest: dict
    split: str
    tokenizer: object
    length: int
    new_features = {
        "next_token_ids": Feature("int32", "B L", "id that follows; 0 where nothing does"),
        "next_token_weights": Feature("float32", "B L", "1 where it is predicted, else 0"),
    }

    def __post_init__(self):
        """Refuses a tokenizer that lacks a special token.

        Raises:
            InputError: what begins or what ends a text is missing.
        """
        roles = ("bos", "eos")
        if missing := [r for r in roles if getattr(self.tokenizer, f"{r}_id") is None]:
            raise files.InputError(
                f"found a tokenizer without special tokens for {missing}; wanted {list(roles)}: "
                "train one with train-tokenizer"
            )

    def count(self, shard):
        """Rows of a shard."""
        from roots_tf.examples.manifest import packed_rows

        return packed_rows(shard, self.length)

    def rows(self, records):
        """All records of a shard, packed: `tokens`, `starts`, `next` and `predicted` [rows, L]."""
        ids, lengths = decoding.decode_ids(records, self.manifest)
        bos_id, eos_id = self.tokenizer.bos_id, self.tokenizer.eos_id
        packed = packing.pack(ids, lengths, self.length, bos_id, eos_id)
        ends = tf.cast(lengths < self.manifest["max_seq_length"], tf.int32)[:, None]
        flags = packing.pack(tf.ones_like(ids), lengths, self.length, 0, ends)["tokens"]
        following = {"next": packed["tokens"], "predicted": tf.maximum(flags, 0)}
        return packed | {name: _shifted(x) for name, x in following.items()}

    def features(self, rows, chance):
        """Features of the worker's rows; a row that only fills the batch predicts nothing."""
        rows = chance.of_worker(rows)
        features = packing.features(rows["tokens"], rows["starts"], self.tokenizer.causal_pad_id)
        predicted = rows["predicted"] > 0
        weights = tf.cast(predicted, tf.float32) * chance.example_weights[:, None]
        return features | {
            "next_token_ids": tf.where(predicted, rows["next"], 0),
            "next_token_weights": weights,
        }


def _shifted(rows: tf.Tensor) -> tf.Tensor:
    """What follows each place of a stream that is cut into rows [n, L]; 0 follows the last."""
    flat = tf.reshape(rows, [-1])
    return tf.reshape(tf.concat([flat[1:], [0]], 0), tf.shape(rows))

"""Rows of the causal language model: text packed full, and the token that follows each.

A record gives two sequences of one length, and this is the only place where they are shifted:

    token_ids        <bos> a b c        of a record with which its document ends
    next_token_ids   a     b c <eos>

    token_ids        <bos> a b          of any other record, which goes on as nobody knows
    next_token_ids   a     b c

So every token of the text is predicted once, <eos> where a document ends and only there, and a
record as long as a row fills one. <bos> begins what is seen, also in the midst of a document. Both
are packed in the same way (`examples.packing`), so that what a row's last token predicts is the
first one behind the cut; the row that follows does not see what was cut off.
"""

import dataclasses

import tensorflow as tf

from roots_tf.examples import decoding, packing
from roots_tf.examples import manifest as manifests
from roots_tf.examples.row_maker import RowMaker
from roots_tf.features import Feature
from roots_tf.storage import files

NEXT_TOKENS = {
    "next_token_ids": Feature("int32", "B L", "id that follows; 0 where nothing does"),
    "next_token_weights": Feature("float32", "B L", "1 where it is predicted, else 0"),
}


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
    new_features = NEXT_TOKENS

    def __post_init__(self):
        """Refuses a tokenizer that lacks a special token.

        Raises:
            InputError: what begins or what ends a text is missing.
        """
        roles = ("bos", "eos")
        if missing := [r for r in roles if getattr(self.tokenizer, f"{r}_id") is None]:
            raise files.InputError(
                "no-special-token",
                f"found a tokenizer without special tokens for {missing}; wanted {list(roles)}: "
                "train one with train-tokenizer",
            )

    def count(self, shard):
        """Rows of a shard."""
        return manifests.causal_rows(shard, self.length)

    def rows(self, records):
        """All records of a shard, packed: `tokens`, `next` (PAD: not predicted), `starts`."""
        text = decoding.decode_contiguous(records, self.manifest)
        ids, lengths = decoding.marked(text.ids, text.starts), text.lengths[:, None]
        tokens = tf.pad(ids, [[0, 0], [1, 0]], constant_values=self.tokenizer.bos_id)  # [n, W+1]
        column = tf.range(tokens.shape[1])
        following = tf.where(column < lengths, tf.pad(text.ids, [[0, 0], [0, 1]]), packing.PAD)
        ends = text.ends[:, None] & (column == lengths)
        following = tf.where(ends, self.tokenizer.eos_id, following)
        shards = manifests.split_of(self.manifest, self.split)["shards"]
        counted = all(shard.get("ends") is not None for shard in shards)
        sizes = text.lengths + (tf.cast(text.ends, tf.int32) if counted else 1)
        return packing.pack_columns({"tokens": tokens, "next": following}, sizes, self.length)

    def features(self, rows, chance):
        """Features of the worker's rows; a row that only fills the batch predicts nothing."""
        rows = chance.of_worker(rows)
        tokens, _ = decoding.unmarked(rows["tokens"])
        features = packing.features(tokens, rows["starts"], self.tokenizer.causal_pad_id)
        return features | next_tokens(rows["next"], chance.example_weights)


def next_tokens(following: tf.Tensor, example_weights: tf.Tensor) -> dict[str, tf.Tensor]:
    """What is to be predicted, as features.

    Args:
        following: ids, PAD where nothing is predicted, int32 [B, L].
        example_weights: of the rows, float32 [B].
    """
    predicted = following != packing.PAD
    weights = tf.cast(predicted, tf.float32) * example_weights[:, None]
    return {
        "next_token_ids": tf.where(predicted, following, 0),
        "next_token_weights": weights,
    }

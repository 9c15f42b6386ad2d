"""Rows of two views of a text: crops, what stands one after the other, or all of it twice."""

import dataclasses

import tensorflow as tf

from roots_tf.examples import decoding
from roots_tf.examples.row_maker import RowMaker
from roots_tf.features import Feature
from roots_tf.storage import files

VIEWS = "views"  # a use of chance
CUTS = (0.25, 0.75)  # shares of a record between which its beginning ends
NO_TEXT = -1
NEW_FEATURES = {
    "second_token_ids": Feature("int32", "B L", "as token_ids, of the second view"),
    "second_padding_mask": Feature("bool", "B L", "as padding_mask, likewise"),
    "text_numbers": Feature("int32", "B", "equal for rows of one document; -1: counts for nothing"),
}


@dataclasses.dataclass(frozen=True)
class ViewRows(RowMaker):
    """Two views of each record.

    Attributes:
        objective: the flags, a `contrastive.Contrastive`.
        manifest: of the examples.
        split: "train" or "held_out".
        tokenizer: of the examples.
        length: L.
    """

    objective: object
    manifest: dict
    split: str
    tokenizer: object
    length: int
    new_features = NEW_FEATURES

    def __post_init__(self):
        """Refuses a tokenizer that lacks a special token.

        Raises:
            InputError: [PAD], [CLS] or [SEP] is missing.
        """
        roles = ("pad", "cls", "sep")
        if missing := [r for r in roles if getattr(self.tokenizer, f"{r}_id") is None]:
            raise files.InputError(
                "no-special-token",
                f"found a tokenizer without special tokens for {missing}; wanted {list(roles)}: "
                "train one with train-tokenizer",
            )

    def count(self, shard):
        """Records of a shard."""
        return shard["examples"]

    def rows(self, records):
        """The records: views are made of a batch."""
        return records

    def features(self, rows, chance):
        """Features of the worker's rows; one that only fills the batch is no text."""
        text = decoding.decode_contiguous(chance.of_worker(rows), self.manifest)
        spans = self._spans(text.lengths, chance.uniform_of_rows(VIEWS, [4]))
        (first, mask), (second, second_mask) = (
            framed(text.ids, *span, self.length, self.tokenizer) for span in spans
        )
        numbers = tf.bitwise.bitwise_and(text.document, tf.int32.max)
        return {
            "token_ids": first,
            "segment_ids": tf.zeros_like(first),
            "padding_mask": mask,
            "second_token_ids": second,
            "second_padding_mask": second_mask,
            "text_numbers": tf.where(chance.example_weights > 0, numbers, NO_TEXT),
        }

    def _spans(self, lengths, draws):
        """First token and number of tokens of each view: two pairs of int32 [B].

        Args:
            lengths: tokens of each record, int32 [B].
            draws: in [0, 1), float32 [B, 4].
        """
        how, sizes = self.objective, tf.cast(lengths, tf.float32)
        if how.views == "dropout":
            return ((tf.zeros_like(lengths), lengths),) * 2
        if how.views == "consecutive":
            low, high = CUTS
            cut = tf.cast(sizes * (low + (high - low) * draws[:, 0]), tf.int32)
            cut = tf.clip_by_value(cut, 1, tf.maximum(lengths - 1, 1))
            return (tf.zeros_like(cut), cut), (cut, lengths - cut)
        low, high = how.shortest_crop, how.longest_crop

        def crop(of_size, of_begin):
            size = tf.cast(tf.math.ceil(sizes * (low + (high - low) * of_size)), tf.int32)
            size = tf.clip_by_value(size, 1, tf.maximum(lengths, 1))
            begin = tf.cast(tf.cast(lengths - size + 1, tf.float32) * of_begin, tf.int32)
            return tf.clip_by_value(begin, 0, lengths - size), size

        return crop(draws[:, 0], draws[:, 1]), crop(draws[:, 2], draws[:, 3])


def framed(ids, begin, size, length: int, tokenizer) -> tuple[tf.Tensor, tf.Tensor]:
    """Rows [CLS] span [SEP], and which of their places are no padding.

    With [CLS] = 2, [SEP] = 3, [PAD] = 0 and L = 5, two tokens of [[7, 8, 9]] from the second one on
    become [[2, 8, 9, 3, 0]] and [[1, 1, 1, 1, 0]]. A span that has no room is cut at its end.

    Args:
        ids: int32 [B, W].
        begin: of the span, int32 [B].
        size: tokens of it, int32 [B].
        length: L.
        tokenizer: has the ids of the special tokens.

    Returns:
        int32 [B, L] and bool [B, L].
    """
    size = tf.minimum(size, length - 2)[:, None]
    column = tf.range(length)
    places = tf.clip_by_value(begin[:, None] + column - 1, 0, ids.shape[1] - 1)
    token_ids = tf.gather(ids, places, batch_dims=1)  # [B, L]
    token_ids = tf.where(column == 0, tokenizer.cls_id, token_ids)
    token_ids = tf.where(column == size + 1, tokenizer.sep_id, token_ids)
    mask = column < size + 2
    return tf.where(mask, token_ids, tokenizer.pad_id), mask

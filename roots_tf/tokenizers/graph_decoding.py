"""Ids to text in the graph: strings by table, joined by core ops, as `Tokenizer.decode` has it."""

import re

import tensorflow as tf

from roots_tf.tokenizers import decoding


class GraphDecoder:
    """Texts of rows of ids.

    The strings are constants of the graph, as all tables of `graph.GraphTokenizer`.

    Args:
        tokenizer: `roots_tf.tokenizers.Tokenizer`.

    Raises:
        InputError: its decoder has no counterpart here.
    """

    def __init__(self, tokenizer):
        self._table = decoding.table(tokenizer)
        self._size = tokenizer.size

    def __call__(self, ids, skip_special_tokens: bool = True) -> tf.Tensor:
        """Texts of rows.

        Args:
            ids: int32 [B, T], or ragged [B, None]; an id that is not in the vocabulary says
                nothing, such as a -1 that fills a row.
            skip_special_tokens: leaves out special tokens, and with them [PAD].

        Returns:
            Strings of valid UTF-8 [B].
        """
        is_ragged = isinstance(ids, tf.RaggedTensor)
        flat = tf.cast(ids.flat_values if is_ragged else tf.reshape(ids, [-1]), tf.int32)
        if is_ragged:
            splits = tf.cast(ids.row_splits, tf.int32)
            num_rows = tf.size(splits) - 1
            row = tf.searchsorted(splits, tf.range(tf.size(flat)), side="right") - 1
        else:
            shape = tf.shape(ids)
            num_rows, row = shape[0], tf.repeat(tf.range(shape[0]), shape[1])
        kept = (flat >= 0) & (flat < self._size)
        if skip_special_tokens:
            kept &= ~tf.gather(self._table.is_special, tf.where(kept, flat, 0))
        flat, row = tf.boolean_mask(flat, kept), tf.boolean_mask(row, kept)  # [N]
        opens = _differs(row)
        pieces = tf.gather(tf.constant(self._table.later), flat)
        if self._table.first != self._table.later:
            pieces = tf.where(opens, tf.gather(tf.constant(self._table.first), flat), pieces)
        if self._table.is_byte.any():
            pieces, row = self._with_bytes(pieces, flat, row, opens)
        texts = tf.strings.unsorted_segment_join(pieces, row, num_rows)
        if self._table.in_bytes:
            texts = _valid(texts)
        if self._table.strips:
            stripped = re.escape(self._table.stripped)
            texts = tf.strings.regex_replace(
                texts, f"^(?:{stripped}){{1,{self._table.strips}}}", ""
            )
        return texts

    def _with_bytes(self, pieces, ids, row, opens) -> tuple[tf.Tensor, tf.Tensor]:
        """Pieces in which neighbouring bytes are one, and the row of each.

        Args:
            pieces: strings [N] in the order of the text.
            ids: int32 [N] of them.
            row: int32 [N] of each.
            opens: bool [N], whether one is the first of its row.
        """
        is_byte = tf.gather(self._table.is_byte, ids)
        # A piece of text is a run by itself.
        after_byte = tf.concat([[False], is_byte[:-1]], 0)[: tf.size(ids)]
        run = tf.cumsum(tf.cast(opens | ~(is_byte & after_byte), tf.int32)) - 1
        num_runs = tf.reduce_max(tf.concat([run, [-1]], 0)) + 1
        whole = tf.strings.unsorted_segment_join(pieces, run, num_runs)
        in_place = tf.where(is_byte, decoding.REPLACEMENT, pieces)
        replaced = tf.strings.unsorted_segment_join(in_place, run, num_runs)
        whole = tf.where(_valid(whole) == whole, whole, replaced)
        return whole, tf.math.unsorted_segment_max(row, run, num_runs)


def _differs(values: tf.Tensor) -> tf.Tensor:
    """Whether each value is another than the one before it; the first is."""
    return tf.concat([[True], values[1:] != values[:-1]], 0)[: tf.size(values)]


def _valid(texts: tf.Tensor) -> tf.Tensor:
    """Texts with U+FFFD in the place of each maximal part that is not valid UTF-8."""
    return tf.strings.unicode_transcode(
        texts, "UTF-8", "UTF-8", errors="replace", replacement_char=0xFFFD
    )

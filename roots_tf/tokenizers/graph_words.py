"""What byte-level BPE and Unigram share in the graph: words, encoded once each.

Text repeats its words, so the distinct words of a batch are found first, and the loops that merge
or search run over those alone.
"""

import base64
from typing import NamedTuple

import tensorflow as tf

from roots_tf.tokenizers import characters, graph, graph_added_tokens, graph_charsmap


class WordBatch(NamedTuple):
    """Words of a batch, flat over its texts."""

    codes: tf.Tensor  # int32 [M] code points
    sources: tf.Tensor  # int32 [M] index of the original character, flat over the batch
    bounds: tf.Tensor  # int32 [W + 1] of words, among the above
    row_words: tf.Tensor  # int32 [B + 1] of texts, among words
    is_special: tf.Tensor  # bool [W]


class Pieces(NamedTuple):
    """Ids of distinct words, flat."""

    ids: tf.Tensor  # int32 [T]
    ends: tf.Tensor  # int32 [T] end of each in its word, in units of the model: bytes or characters
    splits: tf.Tensor  # int32 [U + 1] of words, among the above


class GraphWords(graph.GraphTokenizer):
    """A tokenizer that cuts text into words and encodes each by itself.

    Args:
        tokenizer: `roots_tf.tokenizers.Tokenizer`.
        classes: class of each normalised code point.
    """

    def __init__(self, tokenizer, classes):
        super().__init__(tokenizer)
        settings = tokenizer.settings["normalizer"]
        if settings is not None and settings["type"] == "Precompiled":
            self._normalize = graph_charsmap.CharsmapNormalizer(
                base64.b64decode(settings["precompiled_charsmap"]), classes, tokenizer.added_tokens
            )
        else:
            added = tokenizer.added_tokens
            if settings is None:
                added = graph_added_tokens.without_normaliser(added)
            self._normalize = graph.Normalizer(
                settings, tokenizer.backend.normalizer, classes, added
            )
        self._special_tokens = [token["content"] for token in tokenizer.added_tokens]
        self._special_token_ids = [token["id"] for token in tokenizer.added_tokens]

    def _words(self, text: graph.Characters) -> WordBatch:
        """Cuts normalised text into words."""
        raise NotImplementedError

    def _pieces(self, words: tf.Tensor) -> Pieces:
        """Encodes distinct words [U] of valid UTF-8."""
        raise NotImplementedError

    def _units(self, codes: tf.Tensor) -> tf.Tensor:
        """Length of each character in units of the model: int32 [M]."""
        raise NotImplementedError

    def _ragged(self, texts, with_offsets):
        text, original_splits = self._normalize(texts)
        words = self._words(text)
        strings = tf.raw_ops.UnicodeEncode(
            input_values=words.codes, input_splits=words.bounds, output_encoding="UTF-8"
        )
        pieces, index = self._distinct(strings, words.is_special)  # index [W] of the distinct word
        first = tf.gather(pieces.splits, index)
        limit = tf.gather(pieces.splits, index + 1)
        splits = tf.concat([[0], tf.cumsum(limit - first)], 0)  # [W + 1] of words, among tokens
        at = tf.raw_ops.RaggedRange(starts=first, limits=limit, deltas=1, Tsplits=tf.int32)
        at = at.rt_dense_values  # [tokens] index of the piece
        ids = tf.gather(pieces.ids, at)
        row_splits = tf.gather(splits, words.row_words)
        if not with_offsets:
            return (graph.rows(ids, row_splits),)
        # From units of a word to characters of all words.
        widths = self._units(words.codes)
        char_of_unit = tf.repeat(tf.range(tf.size(widths)), widths)
        unit_of_char = tf.concat([[0], tf.cumsum(widths)], 0)
        word = graph.row_of(splits, tf.size(ids))
        base = tf.gather(tf.gather(unit_of_char, words.bounds), word)
        end = tf.gather(pieces.ends, at)
        opens = graph.starts_of(splits, tf.size(ids))
        start = tf.where(opens, 0, tf.concat([[0], end], 0)[:-1])
        special = tf.gather(words.is_special, word)
        word_end = tf.gather(unit_of_char, words.bounds[1:])
        last_unit = tf.where(special, tf.gather(word_end, word), base + end)
        text_start = tf.gather(original_splits, graph.row_of(row_splits, tf.size(ids)))
        starts = tf.gather(words.sources, tf.gather(char_of_unit, base + start)) - text_start
        ends = tf.gather(words.sources, tf.gather(char_of_unit, last_unit - 1)) + 1 - text_start
        return tuple(graph.rows(values, row_splits) for values in (ids, starts, ends))

    def _distinct(self, strings: tf.Tensor, is_special: tf.Tensor) -> tuple[Pieces, tf.Tensor]:
        """Encodes the distinct words of all; and which of them each word is."""

        def marked():
            # A byte that UTF-8 never uses marks special tokens: a word may have the same letters.
            return tf.where(is_special, tf.strings.join([b"\xff", strings]), strings)

        strings = tf.cond(tf.reduce_any(is_special), marked, lambda: strings)
        distinct, index = tf.unique(strings)
        marks = tf.strings.substr(distinct, 0, 1) == b"\xff"
        pieces = self._pieces(tf.where(marks, "x", distinct))
        names = tf.constant([b"\xff" + name.encode() for name in self._special_tokens], tf.string)

        def with_special():
            at = tf.where(marks)[:, 0]
            found = tf.argmax(tf.gather(distinct, at)[:, None] == names, 1)
            ids = tf.gather(tf.constant(self._special_token_ids, tf.int32), found)
            place = tf.gather(pieces.splits, at)[:, None]
            return tf.tensor_scatter_nd_update(pieces.ids, place, ids)

        if self._special_tokens:
            ids = tf.cond(tf.reduce_any(marks), with_special, lambda: pieces.ids)
            pieces = pieces._replace(ids=ids)
        return pieces, index


def cut(text: graph.Characters, starts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Cuts text into words.

    Args:
        text: normalised characters, M of them.
        starts: bool [M], whether a word starts at each.

    Returns:
        bounds [W + 1], row_words [B + 1] and is_special [W], as of `WordBatch`.
    """
    first = tf.cast(tf.where(starts)[:, 0], tf.int32)
    before = tf.concat([[0], tf.cumsum(tf.cast(starts, tf.int32))], 0)
    is_special = tf.gather(text.classes, first) == characters.ISOLATED
    bounds = tf.concat([first, [tf.size(starts)]], 0)
    return bounds, tf.gather(before, text.row_splits), is_special


def segment_starts(text: graph.Characters) -> tf.Tensor:
    """First characters of texts, of special tokens and of what follows one: bool [M].

    No class but those of special tokens is above SEPARATOR in such texts.
    """
    special = text.classes > characters.SEPARATOR
    after = shifted(special, False) & ~(text.classes == characters.CONTINUES)
    opens = text.classes == characters.ISOLATED
    return graph.starts_of(text.row_splits, tf.size(special)) | opens | after


def shifted(values: tf.Tensor, first) -> tf.Tensor:
    """Moves `values` one place to the right, with `first` at place 0."""
    return tf.concat([tf.constant([first], values.dtype), values[:-1]], 0)[: tf.size(values)]

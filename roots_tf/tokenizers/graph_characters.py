"""A vocabulary of characters in the graph: each normalised character is looked up."""

import numpy as np
import tensorflow as tf

from roots_tf.tokenizers import characters, graph, single_characters

_STAND_IN = 0xF0000  # private: the first added token is spelled in it, the next in the one behind


class GraphCharacters(graph.GraphTokenizer):
    """Characters, each an id.

    Args:
        tokenizer: `roots_tf.tokenizers.Tokenizer` of the kind "character".

    Raises:
        InputError: its normaliser has no counterpart here.
    """

    def __init__(self, tokenizer):
        super().__init__(tokenizer)
        settings = tokenizer.settings
        added = tokenizer.added_tokens
        self._normalize = graph.Normalizer(
            settings["normalizer"],
            tokenizer.backend.normalizer,
            np.zeros(characters.NUM_CODE_POINTS, np.int8),
            added,
            {token["content"]: chr(_STAND_IN + i) for i, token in enumerate(added)},
        )
        self._ids = characters.paged(single_characters.ids_of_characters(settings))
        self._added_ids = np.array([token["id"] for token in added] or [0], np.int32)

    def _ragged(self, texts, with_offsets):
        text, original_splits = self._normalize(texts)
        kept = text.classes != characters.CONTINUES
        places = tf.cast(tf.where(kept)[:, 0], tf.int32)  # [T] of the M
        codes = tf.gather(text.codes, places)
        # The text may hold a stand-in as it is, which is a character like others.
        is_added = tf.gather(text.classes, places) == characters.ISOLATED
        number = tf.where(is_added, codes - _STAND_IN, 0)
        ids = tf.where(
            is_added, tf.gather(self._added_ids, number), graph.look_up(self._ids, codes)
        )
        before = tf.concat([[0], tf.cumsum(tf.cast(kept, tf.int32))], 0)
        row_splits = tf.gather(before, text.row_splits)
        if not with_offsets:
            return (graph.rows(ids, row_splits),)
        last = tf.concat([places[1:], [tf.size(kept)]], 0)[: tf.size(places)] - 1
        text_start = tf.gather(original_splits, graph.row_of(row_splits, tf.size(ids)))
        starts = tf.gather(text.sources, places) - text_start
        ends = tf.gather(text.sources, last) + 1 - text_start
        return tuple(graph.rows(values, row_splits) for values in (ids, starts, ends))

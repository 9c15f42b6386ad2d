"""Places in texts, in the graph: words and spaces, as Python's `re` sees them."""

import functools
import re
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from roots_tf.tokenizers import characters, graph

_SPACE, _IN_WORD, _SYMBOL = range(3)


class WordPlaces(NamedTuple):
    """Words of a batch, flat over its texts.

    Attributes:
        places: int32 [W, 2], start and end of each in characters of its text.
        row_splits: int32 [B + 1], bounds of the texts among the words.
        of_char: int32 [C], the word that holds each character of the batch, or -1.
        char_splits: int32 [B + 1], bounds of the texts among the characters.
    """

    places: tf.Tensor
    row_splits: tf.Tensor
    of_char: tf.Tensor
    char_splits: tf.Tensor


def decode(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Code points of texts [B], flat, and their row splits int32 [B + 1]."""
    splits, codes = tf.raw_ops.UnicodeDecode(
        input=texts,
        input_encoding="UTF-8",
        errors="replace",
        replacement_char=0xFFFD,
        Tsplits=tf.int32,
    )
    return codes, splits


def words(texts: tf.Tensor) -> WordPlaces:
    r"""What `re.finditer(r"\w+|[^\w\s]", text)` finds in each text [B]."""
    codes, char_splits = decode(texts)
    size = tf.size(codes)
    classes = graph.look_up(_classes(), codes)
    before = tf.concat([[_SPACE], classes], 0)[:-1]
    goes_on = (classes == _IN_WORD) & (before == _IN_WORD) & ~graph.starts_of(char_splits, size)
    inside = classes != _SPACE
    begins = inside & ~goes_on
    begun = tf.concat([[0], tf.cumsum(tf.cast(begins, tf.int32))], 0)  # [C + 1]
    of_char = tf.where(inside, begun[1:] - 1, -1)
    place = tf.range(size) - tf.gather(char_splits, graph.row_of(char_splits, size))
    own, place = tf.boolean_mask(of_char, inside), tf.boolean_mask(place, inside)
    places = tf.stack([tf.math.segment_min(place, own), tf.math.segment_max(place, own) + 1], -1)
    return WordPlaces(places, tf.gather(begun, char_splits), of_char, char_splits)


def first_pieces(piece_ends: tf.RaggedTensor, words: WordPlaces) -> tf.Tensor:
    """The word that each piece is the first piece of, or -1: int32 [pieces], flat over the batch.

    A piece belongs to the word that holds its last character: pieces may begin with the space
    before a word.

    Args:
        piece_ends: int32 [B, None], where pieces end in characters of their text.
        words: of the same texts.
    """
    splits = tf.cast(piece_ends.row_splits, tf.int32)
    ends = piece_ends.flat_values
    base = tf.gather(words.char_splits, graph.row_of(splits, tf.size(ends)))
    word = tf.gather(words.of_char, base + ends - 1)
    at = tf.where(word >= 0)  # [N, 1]
    own = tf.gather_nd(word, at)
    is_first = own != tf.concat([[-1], own], 0)[:-1]
    return tf.tensor_scatter_nd_update(tf.fill(tf.shape(word), -1), at, tf.where(is_first, own, -1))


def next_character(texts: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """The first place from `start` [B] on, in characters of `texts` [B], that is no space."""
    codes, splits = decode(texts)
    solid = tf.cast(tf.where(graph.look_up(_classes(), codes) != _SPACE)[:, 0], tf.int32)
    solid = tf.concat([solid, [tf.size(codes)]], 0)
    return tf.gather(solid, tf.searchsorted(solid, splits[:-1] + start)) - splits[:-1]


@functools.cache
def _classes() -> characters.PagedTable:
    """Class of each code point to Python's `re`."""
    # A surrogate is no character of UTF-8.
    every = "".join(chr(c) for c in range(characters.NUM_CODE_POINTS) if not 0xD800 <= c < 0xE000)
    classes = np.full(characters.NUM_CODE_POINTS, _SYMBOL, np.int32)
    for pattern, number in ((r"\s", _SPACE), (r"\w", _IN_WORD)):
        classes[[ord(character) for character in re.findall(pattern, every)]] = number
    return characters.paged(classes)

"""Places in texts, in the graph: words and spaces, as `roots_tf.labelled.word_units` sees them."""

import functools
from typing import NamedTuple

import tensorflow as tf

from roots_tf.labelled import word_units
from roots_tf.labelled.word_units import CONTINUES, IN_WORD, SPACE, SYMBOL
from roots_tf.tokenizers import characters, graph


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


def words(texts: tf.Tensor, unit: word_units.Unit = "spaces") -> WordPlaces:
    """What `word_units.places` finds in each of `texts` [B] with a `unit`, but for "segmented"."""
    codes, char_splits = decode(texts)
    size = tf.size(codes)
    found = graph.look_up(_classes(unit), codes)
    is_first = graph.starts_of(char_splits, size)
    before = tf.where(is_first, SPACE, tf.concat([[SPACE], found], 0)[:-1])
    continues = (found == CONTINUES) & (before != SPACE)
    # A mark is of the class of the letter that it stands on; alone it is a symbol.
    letters = tf.boolean_mask(tf.where(found == CONTINUES, SYMBOL, found), ~continues)
    kinds = tf.gather(letters, tf.cumsum(tf.cast(~continues, tf.int32)) - 1)
    before = tf.concat([[SPACE], kinds], 0)[:-1]
    goes_on = continues | ((kinds == IN_WORD) & (before == IN_WORD) & ~is_first)
    inside = found != SPACE
    begins = inside & ~goes_on
    begun = tf.concat([[0], tf.cumsum(tf.cast(begins, tf.int32))], 0)  # [C + 1]
    of_char = tf.where(inside, begun[1:] - 1, -1)
    place = tf.range(size) - tf.gather(char_splits, graph.row_of(char_splits, size))
    own, place = tf.boolean_mask(of_char, inside), tf.boolean_mask(place, inside)
    places = tf.stack([tf.math.segment_min(place, own), tf.math.segment_max(place, own) + 1], -1)
    return WordPlaces(places, tf.gather(begun, char_splits), of_char, char_splits)


def with_spaces(texts: tf.Tensor, words: WordPlaces) -> tuple[tf.Tensor, WordPlaces]:
    """Texts [B] with one space between two words and no other, as `" ".join` writes them.

    Args:
        texts: strings.
        words: of these texts.

    Returns:
        The texts, and the words with the characters of these texts; their `places` stay those in
        the texts as they were.
    """
    codes, _ = decode(texts)
    inside = words.of_char >= 0
    own, codes = tf.boolean_mask(words.of_char, inside), tf.boolean_mask(codes, inside)
    text_of = graph.row_of(words.row_splits, tf.size(words.places) // 2)  # [W]
    begins = own != tf.concat([[-1], own], 0)[:-1]
    # The first word of a text has no space before it.
    first = tf.gather(words.row_splits, tf.gather(text_of, own)) == own
    before = tf.cast(begins & ~first, tf.int32)
    at = (tf.range(tf.size(codes)) + tf.cumsum(before))[:, None]
    size = tf.size(codes) + tf.reduce_sum(before)
    spaced = tf.tensor_scatter_nd_update(tf.fill([size], ord(" ")), at, codes)
    of_char = tf.tensor_scatter_nd_update(tf.fill([size], -1), at, own)
    # A text has as many characters as its words, and a space less than words.
    chars = tf.math.unsorted_segment_sum(
        1 + before, tf.gather(text_of, own), tf.size(words.row_splits) - 1
    )
    splits = tf.concat([[0], tf.cumsum(chars)], 0)
    encoded = tf.raw_ops.UnicodeEncode(
        input_values=spaced, input_splits=splits, output_encoding="UTF-8", errors="replace"
    )
    return encoded, words._replace(of_char=of_char, char_splits=splits)


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
    solid = tf.cast(tf.where(graph.look_up(_classes("spaces"), codes) != SPACE)[:, 0], tf.int32)
    solid = tf.concat([solid, [tf.size(codes)]], 0)
    return tf.gather(solid, tf.searchsorted(solid, splits[:-1] + start)) - splits[:-1]


def whole_letters(
    texts: tf.Tensor, start: tf.Tensor, end: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Spans that part no letter from the marks behind it, each a little longer where one did.

    Args:
        texts: strings [B].
        start: int32 [B], the first character of a span of each.
        end: int32 [B], the end, exclusive.
    """
    codes, splits = decode(texts)
    first, size = splits[:-1], tf.size(codes)
    is_letter = graph.look_up(_classes("spaces"), codes) != CONTINUES
    letters = tf.concat([tf.cast(tf.where(is_letter)[:, 0], tf.int32), [size]], 0)
    at = tf.searchsorted(letters, first + start, side="right") - 1
    begin = tf.clip_by_value(tf.gather(letters, tf.maximum(at, 0)), first, first + start)
    stop = tf.minimum(tf.gather(letters, tf.searchsorted(letters, first + end)), splits[1:])
    return begin - first, stop - first


@functools.cache
def _classes(unit: word_units.Unit) -> characters.PagedTable:
    """Class of each code point."""
    return characters.paged(word_units.classes(unit))

"""Records to tensors, in the graph and all of a batch or shard at once; see `records`."""

from typing import NamedTuple

import tensorflow as tf

from roots_tf.examples import manifest as manifests
from roots_tf.examples import records


class PairRecords(NamedTuple):
    """Records of layout "pairs".

    Attributes:
        ids: ids of A and then of B, 0 behind them, int32 [B, W].
        length_a, length_b: tokens of each, int32 [B].
        document: hash of the document, int32 [B].
    """

    ids: tf.Tensor
    length_a: tf.Tensor
    length_b: tf.Tensor
    document: tf.Tensor


class ContiguousRecords(NamedTuple):
    """Records of layout "contiguous".

    Attributes:
        ids: ids, 0 behind them, int32 [B, W].
        lengths: tokens of each, int32 [B].
        document: hash of the document, int32 [B].
        place: index of the first token in its document, int32 [B].
    """

    ids: tf.Tensor
    lengths: tf.Tensor
    document: tf.Tensor
    place: tf.Tensor


def decode_pairs(rows: tf.Tensor, manifest: dict) -> PairRecords:
    """Parses records of layout "pairs".

    Args:
        rows: records, string [n].
        manifest: of their folder.
    """
    dtype = manifest["word"]
    # [CLS], [SEP] and [SEP] take three places of a row.
    words, lengths = _words(rows, dtype, manifests.PAIRS, manifest["max_seq_length"] - 3)
    header = records.header_words(dtype, manifests.PAIRS)
    length_a = words[:, header - 1]
    return PairRecords(words[:, header:], length_a, lengths - length_a, _number(words, 0, dtype))


def decode_contiguous(rows: tf.Tensor, manifest: dict) -> ContiguousRecords:
    """Parses records of layout "contiguous".

    Args:
        rows: records, string [n].
        manifest: of their folder.
    """
    dtype = manifest["word"]
    words, lengths = _words(rows, dtype, manifests.CONTIGUOUS, manifest["max_seq_length"])
    header = records.header_words(dtype, manifests.CONTIGUOUS)
    document, place = _number(words, 0, dtype), _number(words, header // 2, dtype)
    return ContiguousRecords(words[:, header:], lengths, document, place)


def decode_ids(rows: tf.Tensor, manifest: dict) -> tuple[tf.Tensor, tf.Tensor]:
    """Ids of records of either layout, int32 [n, W] with 0 behind them, and their lengths, [n].

    Args:
        rows: records, string [n]; the segments of a pair become one text again.
        manifest: of their folder.
    """
    if manifests.layout_of(manifest) == manifests.CONTIGUOUS:
        text = decode_contiguous(rows, manifest)
        return text.ids, text.lengths
    pairs = decode_pairs(rows, manifest)
    return pairs.ids, pairs.length_a + pairs.length_b


def _words(rows, dtype: str, layout: str, most_ids: int):
    """Words of records, int32 [n, header + most_ids], and the number of ids of each, int32 [n]."""
    header, word = records.header_words(dtype, layout), tf.as_dtype(dtype)
    width = header + most_ids
    words = tf.io.decode_raw(rows, word, fixed_length=width * word.size)
    words = tf.cast(tf.ensure_shape(words, [rows.shape[0], width]), tf.int32)
    return words, tf.strings.length(rows) // word.size - header


def _number(words, column: int, dtype: str) -> tf.Tensor:
    """The number of 32 bits that starts in a column, int32 [n]."""
    low = words[:, column]
    if dtype == "int32":
        return low
    return tf.bitwise.bitwise_or(low, tf.bitwise.left_shift(words[:, column + 1], 16))

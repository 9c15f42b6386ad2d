"""Records to tensors, in the graph and all of a batch or shard at once; see `records`."""

from typing import NamedTuple

import tensorflow as tf

from roots_tf.examples import manifest as manifests
from roots_tf.examples import records

START = records.START["int32"]  # beside an id, in what `marked` gives


class PairRecords(NamedTuple):
    """Records of layout "pairs".

    Attributes:
        ids: ids of A and then of B, 0 behind them, int32 [B, W].
        length_a, length_b: tokens of each, int32 [B].
        document: hash of the document, int32 [B].
        starts: True where a word of the text starts, bool [B, W]; None in records of format 1.
    """

    ids: tf.Tensor
    length_a: tf.Tensor
    length_b: tf.Tensor
    document: tf.Tensor
    starts: tf.Tensor | None = None


class ContiguousRecords(NamedTuple):
    """Records of layout "contiguous".

    Attributes:
        ids: ids, 0 behind them, int32 [B, W].
        lengths: tokens of each, int32 [B].
        document: hash of the document, int32 [B].
        place: index of the first token in its document, int32 [B].
        ends: whether the document ends with it, bool [B]. In older builds, which have no mark, it
            shows only where the record is shorter than the build's longest.
        starts: as in `PairRecords`.
    """

    ids: tf.Tensor
    lengths: tf.Tensor
    document: tf.Tensor
    place: tf.Tensor
    ends: tf.Tensor
    starts: tf.Tensor | None = None


def decode_pairs(rows: tf.Tensor, manifest: dict) -> PairRecords:
    """Parses records of layout "pairs".

    Args:
        rows: records, string [n].
        manifest: of their folder.
    """
    # [CLS], [SEP] and [SEP] take three places of a row.
    head, ids, starts, lengths = _parts(
        rows, manifest, manifests.PAIRS, manifest["max_seq_length"] - 3
    )
    length_a = head[:, -1]
    document = _number(head, 0, manifest["word"])
    return PairRecords(ids, length_a, lengths - length_a, document, starts)


def decode_contiguous(rows: tf.Tensor, manifest: dict) -> ContiguousRecords:
    """Parses records of layout "contiguous".

    Args:
        rows: records, string [n].
        manifest: of their folder.
    """
    dtype = manifest["word"]
    most_ids = manifest["max_seq_length"]
    head, ids, starts, lengths = _parts(rows, manifest, manifests.CONTIGUOUS, most_ids)
    document, place = _number(head, 0, dtype), _number(head, head.shape[1] // 2, dtype)
    ends = (place < 0) | (lengths < most_ids)  # the mark is the sign of 32 bits
    place = tf.bitwise.bitwise_and(place, records.ENDS - 1)
    return ContiguousRecords(ids, lengths, document, place, ends, starts)


def decode_ids(rows: tf.Tensor, manifest: dict) -> tuple[tf.Tensor, tf.Tensor]:
    """Ids of records of either layout, int32 [n, W] with 0 behind them, and their lengths, [n].

    Args:
        rows: records, string [n]; the segments of a pair become one text again.
        manifest: of their folder.
    """
    marked, lengths = decode_marked(rows, manifest)
    return unmarked(marked)[0], lengths


def decode_marked(rows: tf.Tensor, manifest: dict) -> tuple[tf.Tensor, tf.Tensor]:
    """As `decode_ids`, with where words start; see `marked`. `unmarked` takes both apart again.

    Args:
        rows: records, string [n].
        manifest: of their folder.
    """
    if manifests.layout_of(manifest) == manifests.CONTIGUOUS:
        text = decode_contiguous(rows, manifest)
        return marked(text.ids, text.starts), text.lengths
    pairs = decode_pairs(rows, manifest)
    return marked(pairs.ids, pairs.starts), pairs.length_a + pairs.length_b


def marked(ids: tf.Tensor, starts: tf.Tensor | None) -> tf.Tensor:
    """Ids with a bit beside each that says whether a word starts there; they are moved as one.

    Args:
        ids: int32 of any shape.
        starts: bool of the same shape; None marks nothing.
    """
    return ids if starts is None else ids + tf.cast(starts, tf.int32) * START


def unmarked(ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The `ids` and starts that `marked` was given; numbers below 0 stay as they are."""
    starts = ids >= START
    return ids - tf.cast(starts, tf.int32) * START, starts


def _parts(rows, manifest: dict, layout: str, most_ids: int):
    """Headers int32 [n, H], ids [n, W], starts [n, W] or None, and numbers of ids [n]."""
    place = manifest.get("word_starts")
    dtype, word = manifest["word"], tf.as_dtype(manifest["word"])
    header, groups = records.header_words(dtype, layout), -(-most_ids // records.GROUP)
    width = header + most_ids + (groups if place == "groups" else 0)
    words = tf.io.decode_raw(rows, word, fixed_length=width * word.size)
    words = tf.cast(tf.ensure_shape(words, [rows.shape[0], width]), tf.int32)
    lengths = tf.strings.length(rows) // word.size - header
    head, body, starts = words[:, :header], words[:, header:], None
    if place == "words":
        starts = body >= records.START[dtype]
        body = tf.bitwise.bitwise_and(body, records.START[dtype] - 1)
    elif place == "groups":
        whole = (records.GROUP + 1) * groups - body.shape[1]
        body = tf.reshape(tf.pad(body, [[0, 0], [0, whole]]), [-1, groups, records.GROUP + 1])
        bits = tf.bitwise.right_shift(body[:, :, :1], tf.range(records.GROUP)) % 2 > 0
        body = tf.reshape(body[:, :, 1:], [-1, groups * records.GROUP])[:, :most_ids]
        starts = tf.reshape(bits, [-1, groups * records.GROUP])[:, :most_ids]
        lengths -= -(-lengths // (records.GROUP + 1))
        body, starts = (tf.ensure_shape(x, [rows.shape[0], most_ids]) for x in (body, starts))
    return head, body, starts, lengths


def _number(words, column: int, dtype: str) -> tf.Tensor:
    """The number of 32 bits that starts in a column, int32 [n]."""
    low = words[:, column]
    if dtype == "int32":
        return low
    return tf.bitwise.bitwise_or(low, tf.bitwise.left_shift(words[:, column + 1], 16))

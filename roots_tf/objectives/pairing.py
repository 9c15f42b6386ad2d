"""Sentence pairs: a batch of records becomes [CLS] A [SEP] B [SEP] rows with labels.

Next sentence (BERT, arXiv:1810.04805, 3.1): half of the rows get a B from another document. It is
the true B of another record of the batch, one about as long as the row's own and cut to its length,
since in BERT too the wrong B is filled up to the length that a true one would have: otherwise the
number of tokens would give the label away; and from the same source of a mixture, or the language
would. Sentence order (ALBERT, arXiv:1909.11942, 3.1): half of
the rows have A and B exchanged. A record without B gets a wrong one under both, as in both papers'
code, and the other rows get one the less often, so that the labels stay balanced.
"""

from typing import NamedTuple

import tensorflow as tf

from roots_tf.examples.decoding import PairRecords

MOST_CANDIDATES = 32  # records of the batch among which a wrong B is chosen


class Pairs(NamedTuple):
    """Where the segments of each row lie in the flattened ids of the batch, int32 [B] each."""

    first_start: tf.Tensor
    first_length: tf.Tensor
    second_start: tf.Tensor
    second_length: tf.Tensor
    labels: tf.Tensor


def negative_share(singles_share: float) -> float:
    """How often a record with a B gets label 1, so that half of all records do.

    >>> negative_share(0.2)
    0.375
    """
    return max(0.0, (0.5 - singles_share) / (1 - singles_share)) if singles_share < 1 else 0.0


def choose(
    batch: PairRecords, max_seq_length: int, objective: str, share, sources, uniform, shuffled
) -> Pairs:
    """Decides every row's segments.

    Args:
        batch: the records, of the whole global batch.
        max_seq_length: L.
        objective: "nsp" or "sop".
        share: how often a record with a B gets label 1, a number or float32 [B].
        sources: of the records, int32 [B]: a wrong B comes from the same one.
        uniform: float32 [B, 3] in [0, 1), the source of chance.
        shuffled: the numbers 1 ... B - 1 in random order, int32 [B - 1].
    """
    size, width = batch.ids.shape
    capacity = max_seq_length - 3
    row = tf.range(size)
    single = batch.length_b == 0
    # A record without B gets a B as long as the room that its A leaves. Where A leaves less than
    # half, B gets half and A is cut: truncation of the longer side in BERT ends there too.
    alone = tf.maximum(capacity - batch.length_a, capacity // 2)
    wanted = tf.where(single, alone, batch.length_b)
    others = _others(sources, shuffled[:MOST_CANDIDATES])
    other, exists = _another(batch, wanted, others)

    label_one = uniform[:, 0] < share
    foreign = exists & (single | label_one) if objective == "nsp" else exists & single
    swapped = ~single & label_one if objective == "sop" else tf.zeros_like(single)

    other_length = tf.gather(batch.length_b, other)
    second_length = tf.where(foreign, tf.minimum(other_length, wanted), batch.length_b)
    spare = tf.where(foreign, other_length - second_length, 0)
    second_start = tf.where(
        foreign,
        other * width + tf.gather(batch.length_a, other) + _part(spare, uniform[:, 1]),
        row * width + batch.length_a,
    )
    first_length = tf.minimum(batch.length_a, capacity - second_length)
    first_start = row * width + _part(batch.length_a - first_length, uniform[:, 2])
    return Pairs(
        tf.where(swapped, second_start, first_start),
        tf.where(swapped, second_length, first_length),
        tf.where(swapped, first_start, second_start),
        tf.where(swapped, first_length, second_length),
        tf.cast(foreign | swapped | single, tf.int32),
    )


def _others(sources, offsets):
    """For each row some rows of its source, int32 [B, candidates]: itself where it is alone there.

    Args:
        sources: of the rows, int32 [B].
        offsets: how many rows further each stands, int32 [candidates], from 1 to B - 1.
    """
    by_source = tf.argsort(sources, stable=True)
    of_source = tf.gather(sources, by_source)
    first = tf.searchsorted(of_source, sources)[:, None]
    size = tf.searchsorted(of_source, sources, side="right")[:, None] - first
    rank = tf.argsort(by_source)[:, None] - first
    step = 1 + (offsets - 1) % tf.maximum(size - 1, 1)
    return tf.gather(by_source, first + (rank + step) % size)


def _another(batch: PairRecords, wanted, others):
    """For each row a record of another document whose B is as long as wanted, or little longer.

    Args:
        batch: the records.
        wanted: tokens of the B that is looked for, int32 [B].
        others: the records to choose from, int32 [B, candidates].

    Returns:
        Index of the record, int32 [B], and whether there is one, bool [B].
    """
    lengths = tf.gather(batch.length_b, others)
    usable = (tf.gather(batch.document, others) != batch.document[:, None]) & (lengths > 0)
    excess = lengths - wanted[:, None]
    width = batch.ids.shape[1]
    cost = tf.where(excess >= 0, excess, width - excess)  # too short is worse than any too long
    cost = tf.where(usable, cost, 4 * width)
    best = tf.argmin(cost, axis=1, output_type=tf.int32)
    exists = tf.reduce_any(usable, axis=1)
    return tf.gather(others, best, batch_dims=1), exists


def _part(count, uniform):
    """A whole number from 0 to `count`, each as likely."""
    return tf.minimum(tf.cast(tf.cast(count + 1, tf.float32) * uniform, tf.int32), count)


def rows(flat_ids, pairs: Pairs, max_seq_length: int, cls_id: int, sep_id: int, pad_id: int):
    """Lays the pairs out.

    With [CLS] = 2, [SEP] = 3, [PAD] = 0, A = [7, 8] and B = [9], a row of 7 becomes
    token_ids [2, 7, 8, 3, 9, 3, 0], segment_ids [0, 0, 0, 0, 1, 1, 0], padding_mask [1] * 6 + [0].

    Args:
        flat_ids: ids of all records, int32 [total].
        pairs: the segments of the rows wanted, which may be a part of the batch.
        max_seq_length: L.
        cls_id, sep_id, pad_id: ids of the special tokens.

    Returns:
        `token_ids`, `segment_ids` int32 [B, L] and `padding_mask` bool [B, L].
    """
    column = tf.range(max_seq_length)
    first, second = pairs.first_length[:, None], pairs.second_length[:, None]
    in_second = column > first + 1
    source = tf.where(
        in_second,
        pairs.second_start[:, None] - first - 2,
        pairs.first_start[:, None] - 1,
    )
    last = first + second + 2
    tokens = tf.gather(flat_ids, tf.clip_by_value(source + column, 0, tf.size(flat_ids) - 1))
    tokens = tf.where((column == first + 1) | (column == last), sep_id, tokens)
    tokens = tf.where(column == 0, cls_id, tokens)
    padding_mask = column <= last
    return {
        "token_ids": tf.where(padding_mask, tokens, pad_id),
        "segment_ids": tf.cast(in_second & padding_mask, tf.int32),
        "padding_mask": padding_mask,
    }

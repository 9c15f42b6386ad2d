"""Relative positions: a number for each head and distance, added to scores.

Raffel et al. 2020, arXiv:1910.10683, section 2.1. Small distances have a number each, larger ones
share one with those of about the same logarithm, and all from a limit on share the last.
"""

import math

import tensorflow as tf

from roots_tf.models.config import EncoderConfig


def buckets(ahead: tf.Tensor, config: EncoderConfig, causal: bool) -> tf.Tensor:
    """The numbers of distances, from 0.

    >>> config = EncoderConfig(99, 1, 8, 1, 8, relative_buckets=8, relative_distance=16)
    >>> buckets(tf.constant([0, -1, -3, -9, -99, 1, 3, 9, 99]), config, causal=False).numpy()
    array([0, 1, 2, 3, 3, 5, 6, 7, 7], dtype=int32)
    >>> buckets(tf.constant([0, -1, -3, -9, -99, 1]), config, causal=True).numpy()
    array([0, 1, 3, 6, 7, 0], dtype=int32)

    Args:
        ahead: int32, any shape: the place of a key less that of a query.
        config: says how many buckets there are and from where on they are one.
        causal: whether keys ahead are never seen, so that all buckets are of keys behind.
    """
    count = config.relative_buckets
    first = tf.zeros_like(ahead)
    if not causal:
        count //= 2
        first, ahead = tf.where(ahead > 0, count, 0), -tf.abs(ahead)
    behind = tf.maximum(-ahead, 0)
    exact = count // 2
    ratio = tf.math.log(tf.cast(tf.maximum(behind, exact), tf.float32) / exact)
    scale = (count - exact) / math.log(config.relative_distance / exact)
    # Powers of two of the exact distances are whole numbers here, and must not fall below them.
    coarse = exact + tf.cast(ratio * scale + 1e-6, tf.int32)
    return first + tf.where(behind < exact, behind, tf.minimum(coarse, count - 1))


def bias(
    table: tf.Tensor, config: EncoderConfig, queries, keys, start=0, causal: bool = False
) -> tf.Tensor:
    """What is added to the scores of queries start, start + 1, ... and keys 0, 1, ...

    Args:
        table: float32 [buckets, N].
        config: as for `buckets`.
        queries: Lq, int or int32 scalar.
        keys: Lk, likewise.
        start: place of the first query among the keys, likewise.
        causal: as for `buckets`.

    Returns:
        float32 [1, N, Lq, Lk].
    """
    # Every distance is looked up once, so that the gradient is a sum and not a scatter of Lq * Lk.
    # Row i of a matrix of W columns, read from a vector of W + 1 numbers that is repeated, begins
    # i places before that vector: it is the one above, moved to the right by one.
    width = queries + keys
    place = tf.range(width)
    ahead = tf.where(place < keys, place, place - width) - start
    of_distance = tf.gather(table, buckets(ahead, config, causal))  # [W, N]
    rows = tf.tile(tf.transpose(of_distance), [1, queries])  # [N, Lq*W]
    rows = tf.reshape(rows[:, : queries * (width - 1)], [1, -1, queries, width - 1])
    return rows[..., :keys]

"""How the next token is chosen: pure functions of the logits of a row, its seed and the step.

Weights of tokens are integers, whose sums are the same in every order: what a row gives does not
depend on how many stand beside it. Filters come in this order, each on what the one before left,
as if that alone had been there: temperature, `top_k`, `top_p`, `min_p`, `typical_p`. Each leaves
one token at least; of equals, those of lower ids stay.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from roots_tf.generation.settings import Settings

# The likeliest token weighs 2^38: 2^24 of them, the largest vocabulary, still fit into 63 bits.
_FULL = 2.0**38
_BLOCK = 256  # ids that are summed at once
_FEW = 256  # candidates that are sorted, before all of them are counted
_LOW = 14  # bits of a rank that are counted after the others


class Draws(NamedTuple):
    """Settings of each row, [B, 1] each, which stand for those of all rows, as in a served graph.

    Attributes:
        temperature: float32, above 0.
        top_k: int32; 0: all.
        top_p: float32, above 0; 1: all.
    """

    temperature: tf.Tensor
    top_k: tf.Tensor
    top_p: tf.Tensor


def choose(
    logits: tf.Tensor, seeds: tf.Tensor, step, settings: Settings, rows: Draws | None = None
) -> tf.Tensor:
    """The next token of every row, int32 [B].

    Args:
        logits: float32 [B, V].
        seeds: int32 [B, 2], of each row.
        step: int32 [], tokens generated before: each draws another number.
        settings: what is asked for.
        rows: what each row is asked for instead.
    """
    if settings.decoding == "greedy":
        return tf.argmax(logits, -1, tf.int32)
    return draw(filtered(logits, settings, rows), uniforms(seeds, step))


def filtered(logits: tf.Tensor, settings: Settings, rows: Draws | None = None) -> tf.Tensor:
    """Weights, int64 [B, V], in proportion to the probabilities; 0 of what the filters leave out.

    Args:
        logits: float32 [B, V].
        settings: temperature and filters are read.
        rows: as for `choose`; the same numbers give the same weights either way.
    """
    highest = tf.reduce_max(logits, -1, keepdims=True)
    temperature = max(settings.temperature, 1e-30) if rows is None else rows.temperature
    weights = tf.cast(tf.exp((logits - highest) / temperature) * _FULL, tf.int64)
    if rows is None:
        if 0 < settings.top_k < logits.shape[-1]:
            weights = _likeliest(weights, logits, settings.top_k, settings.top_k - 1)
        if settings.top_p < 1:
            weights = _kept(weights, weights, *_last(weights, weights, settings.top_p))
    else:
        size = logits.shape[-1]
        index = tf.where((rows.top_k > 0) & (rows.top_k < size), rows.top_k, size) - 1
        weights = tf.cond(
            tf.reduce_any(index < size - 1),
            lambda: _likeliest(weights, logits, size, index),
            lambda: weights,
        )
        found = weights
        weights = tf.cond(
            tf.reduce_any(rows.top_p < 1),
            lambda: _kept(found, found, *_last(found, found, rows.top_p)),
            lambda: found,
        )
    if settings.min_p > 0:
        weights = tf.where(weights >= int(settings.min_p * _FULL), weights, 0)
    if settings.typical_p < 1:
        nearness = _nearness(weights)
        weights = _kept(weights, nearness, *_last(weights, nearness, settings.typical_p))
    return weights


def draw(weights: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """The first id at which the sum of weights is above a share of the whole, int32 [B].

    Args:
        weights: int64 [B, V], not negative, one above 0 in each row.
        numbers: float64 [B] in [0, 1).
    """
    total = tf.reduce_sum(weights, -1)
    target = tf.cast(tf.cast(total, tf.float64) * numbers, tf.int64)
    return _first_above(weights, tf.minimum(target, total - 1))[0]


def uniforms(seeds: tf.Tensor, step) -> tf.Tensor:
    """A number of each row at a step, float64 [B] in [0, 1).

    SplitMix64 (Steele et al. 2014, "Fast Splittable Pseudorandom Number Generators", figure 16): a
    row's stream starts at a hash of its seed.

    Args:
        seeds: int32 [B, 2].
        step: int32 [], not negative.
    """
    # By way of int64: a conversion of what is negative to an unsigned type differs under XLA.
    halves = tf.cast(tf.bitwise.bitwise_and(tf.cast(seeds, tf.int64), 0xFFFFFFFF), tf.uint64)
    joined = tf.bitwise.bitwise_or(tf.bitwise.left_shift(halves[:, 0], _unsigned(32)), halves[:, 1])
    steps = tf.cast(step, tf.uint64) + _unsigned(1)
    bits = _mixed(_mixed(joined + _unsigned(_GOLDEN)) + steps * _unsigned(_GOLDEN))
    return tf.cast(tf.bitwise.right_shift(bits, _unsigned(11)), tf.float64) * 2.0**-53


def seeds_of(texts: tf.Tensor, seed, sample=0) -> tf.Tensor:
    """Seeds of rows, int32 [B, 2]: of the text, the seed and the sample, and of no other text.

    Equal texts get equal seeds, so that the answer to a prompt is the same alone and among others;
    texts that differ get others, or they would all be drawn with the same luck.

    Args:
        texts: strings [B].
        seed: a whole number, or int64 [B].
        sample: the number of the sample, from 0.
    """
    numbers = [tf.strings.as_string(tf.cast(n, tf.int64)) for n in (seed, sample)]
    keys = tf.strings.join([*numbers, texts], "\n")
    halves = [tf.strings.to_hash_bucket_strong(keys, 2**31 - 1, [key, 19]) for key in (1, 2)]
    return tf.cast(tf.stack(halves, 1), tf.int32)


_GOLDEN = 0x9E3779B97F4A7C15


def _mixed(bits: tf.Tensor) -> tf.Tensor:
    """The finalizer of SplitMix64, of uint64 of any shape."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, _unsigned(shift)))
        bits *= _unsigned(factor)
    return bits


def _unsigned(number: int) -> tf.Tensor:
    return tf.constant(number, tf.uint64)


def _likeliest(weights, logits, count: int, index) -> tf.Tensor:
    """Weights [B, V] of the ids up to the one at an index, [B, 1] or int, of the `count` best."""
    keys, ids = tf.math.top_k(logits, count)
    index = tf.broadcast_to(index, [tf.shape(logits)[0], 1])
    last = (tf.gather(tensor, index, batch_dims=1) for tensor in (keys, ids))
    return _kept(weights, logits, *last)


def _kept(weights, keys, last_key, last_id) -> tf.Tensor:
    """Weights [B, V] of ids up to the last one, [B, 1], in order of falling keys."""
    ids = tf.range(tf.shape(keys)[-1])
    kept = (keys > last_key) | ((keys == last_key) & (ids <= last_id))
    return weights * tf.cast(kept, tf.int64)  # a choice of 64 bits takes twice as long


def _last(weights, keys, share) -> tuple[tf.Tensor, tf.Tensor]:
    """Key and id, [B, 1], of the last of the fewest that reach a share, in order of falling keys.

    Args:
        weights: int64 [B, V].
        keys: [B, V]: the weights, or float32 and not above 0.
        share: a number or float32 [B, 1]; of float32 either way.

    A few are sorted first, which is enough where a model knows what it wants; or else all are
    counted by key. Sums are exact, so that both ways give the same.
    """
    total = tf.reduce_sum(weights, -1, keepdims=True)
    share = tf.cast(np.float32(share) if isinstance(share, float) else share, tf.float64)
    wanted = tf.cast(tf.math.ceil(tf.cast(total, tf.float64) * share), tf.int64)  # [B, 1]
    few = min(weights.shape[-1], _FEW)
    best, ids = tf.math.top_k(keys, few)
    reached = tf.cumsum(tf.gather(weights, ids, batch_dims=1), 1)
    missing = tf.reduce_sum(tf.cast(reached < wanted, tf.int32), 1, keepdims=True)
    index = tf.minimum(missing, few - 1)
    last = tf.gather(ids, index, batch_dims=1)
    if few < weights.shape[-1]:
        enough = tf.reduce_all(missing < few)
        last = tf.cond(enough, lambda: last, lambda: _counted(weights, keys, wanted[:, 0])[:, None])
    return tf.gather(keys, last, batch_dims=1), last


def _counted(weights, keys, wanted) -> tf.Tensor:
    """The id, [B], at which weights reach what is wanted, int64 [B], in order of falling keys.

    Weights are summed by the high bits of a key and then, among those that share the last of them,
    by the low ones: six times as fast as sorting a vocabulary of 50,000.
    """
    if keys.dtype == tf.int64:  # whole numbers that float32 holds, for they were made of it
        highest = int(np.float32(_FULL).view(np.int32))
        ranks = highest - tf.bitcast(tf.cast(keys, tf.float32), tf.int32)  # of floats in order
    else:
        highest = int(np.finfo("f").max.view(np.int32))
        ranks = tf.bitcast(tf.abs(keys), tf.int32)

    def summed(ranks, size):  # ranks of that size or above are not counted
        return tf.raw_ops.DenseBincount(
            input=ranks, size=size, weights=weights, binary_output=False
        )

    high = tf.bitwise.right_shift(ranks, _LOW)
    first, _ = _first_above(summed(high, (highest >> _LOW) + 1), wanted - 1)
    start = tf.bitwise.left_shift(first, _LOW)[:, None]
    low = tf.maximum(ranks - start, -1) + 1  # 0: of higher keys
    index, before = _first_above(summed(low, (1 << _LOW) + 1), wanted - 1)
    equal = weights * tf.cast(low == index[:, None], tf.int64)
    return _first_above(equal, wanted - before - 1)[0]


def _first_above(values, target) -> tuple[tf.Tensor, tf.Tensor]:
    """The first index at which the sum of values, int64 [B, N], is above a target, int64 [B].

    And the sum before that index; both [B].
    """
    blocks = tf.pad(values, [[0, 0], [0, -values.shape[-1] % _BLOCK]])
    blocks = tf.reshape(blocks, [tf.shape(values)[0], -1, _BLOCK])
    reached = tf.cumsum(tf.reduce_sum(blocks, -1), 1)  # [B, N/256]
    block = tf.reduce_sum(tf.cast(reached <= target[:, None], tf.int32), 1)  # [B]
    inside = tf.gather(blocks, block, batch_dims=1)  # [B, 256]
    start = tf.gather(reached, block, batch_dims=1) - tf.reduce_sum(inside, 1)
    reached = start[:, None] + tf.cumsum(inside, 1)
    below = reached <= target[:, None]
    index = block * _BLOCK + tf.reduce_sum(tf.cast(below, tf.int32), 1)
    return index, tf.reduce_max(tf.where(below, reached, start[:, None]), 1)


def _nearness(weights: tf.Tensor) -> tf.Tensor:
    """How near a token's information is to the expected one, [B, V] (Meister et al. 2023, 4.2).

    "Locally Typical Sampling", arXiv:2202.00666: minus the distance of -log p from the entropy.
    """
    shares = tf.cast(weights, tf.float32) / _FULL
    total = tf.reduce_sum(shares, -1, keepdims=True)
    chances = shares / total
    information = -tf.math.log(tf.maximum(chances, 1e-37))
    entropy = tf.reduce_sum(chances * information, -1, keepdims=True)
    return tf.where(weights > 0, -tf.abs(information - entropy), tf.float32.min)

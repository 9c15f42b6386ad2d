"""What a block remembers of the tokens so far, so that decoding runs each token once."""

from typing import NamedTuple

import tensorflow as tf


class Cache(NamedTuple):
    """What one block remembers of the tokens so far, so that they need not run again.

    Attributes:
        keys: [B, K, Lmax, D] in the compute type; turned already, where positions are rotary.
        values: likewise.
        start: int32 scalar: tokens so far, and the index at which the next one is written.
        context: keys and values of a `Context`, 2 x [B, K, Lk, D]; empty before the first call.
    """

    keys: tf.Tensor
    values: tf.Tensor
    start: tf.Tensor
    context: tuple[tf.Tensor, ...] = ()  # and not None, which a loop in a graph cannot carry

    def append(self, keys: tf.Tensor, values: tf.Tensor) -> "Cache":
        """The cache with `keys` and `values` [B, K, Lq, D] written; they must fit into Lmax."""
        length = tf.shape(keys)[2]
        keys, values = self.write(self.keys, keys), self.write(self.values, values)
        return self._replace(keys=keys, values=values, start=self.start + length)

    def grown(self, places) -> "Cache":
        """The cache with room for `places` more tokens, int32 []."""
        room = [[0, 0], [0, 0], [0, places], [0, 0]]
        return self._replace(keys=tf.pad(self.keys, room), values=tf.pad(self.values, room))

    def write(self, before: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
        """`before` [B, K, Lmax, D] with `new` [B, K, Lq, D] from `start` on.

        TensorFlow writes in place where nobody else reads `before`, as in a loop; and twice as fast
        where each head's tokens are one row.
        """
        shape, size, length = tf.shape(before), before.shape[3], tf.shape(new)[2]
        written = tf.raw_ops.TensorStridedSliceUpdate(
            input=tf.reshape(before, [-1, shape[2] * size]),
            begin=tf.stack([0, self.start * size]),
            end=tf.stack([0, (self.start + length) * size]),
            strides=[1, 1],
            value=tf.reshape(new, [-1, length * size]),
            begin_mask=0b01,
            end_mask=0b01,
        )
        return tf.ensure_shape(tf.reshape(written, shape), before.shape)


class XlaCache(Cache):
    """A cache in a graph that XLA compiles, where that op takes constant places only."""

    __slots__ = ()

    def write(self, before: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
        """As `Cache.write`."""
        length = tf.shape(new)[2]
        index = tf.range(tf.shape(before)[2]) - self.start  # [Lmax], among the new ones
        inside = ((index >= 0) & (index < length))[:, None]  # [Lmax, 1]
        index = tf.clip_by_value(index, 0, length - 1)
        return tf.where(inside, tf.gather(new, index, axis=2), before)


class EmptyCache(NamedTuple):
    """What a block remembers before the first tokens, which then need no room to be copied into.

    Attributes:
        length: int32 scalar, Lmax.
        start: as of a `Cache`.
        context: likewise.
    """

    length: tf.Tensor
    start: tf.Tensor
    context: tuple[tf.Tensor, ...] = ()

    def append(self, keys: tf.Tensor, values: tf.Tensor) -> Cache:
        """The cache that begins with `keys` and `values` [B, K, Lq, D]; they must fit into Lmax."""
        new = tf.shape(keys)[2]
        room = [[0, 0], [0, 0], [0, self.length - new], [0, 0]]
        return self.filled(tf.pad(keys, room), tf.pad(values, room), new)

    filled = Cache


class EmptyXlaCache(EmptyCache):
    """What an `XlaCache` is before the first tokens."""

    __slots__ = ()
    filled = XlaCache

"""Sinusoidal positions: sines and cosines of a place, added to the embedding of its token."""

import tensorflow as tf


def sinusoidal(position_ids: tf.Tensor, hidden_dim: int) -> tf.Tensor:
    """Sines, then cosines, of positions at wavelengths from 2 pi to 10,000 times that.

    Vaswani et al. 2017, arXiv:1706.03762, section 3.5; in the order of tensor2tensor and Marian.

    Args:
        position_ids: int32 [B or 1, L].
        hidden_dim: H, even.

    Returns:
        float32 [B or 1, L, H].
    """
    half = hidden_dim // 2
    frequencies = tf.constant([10_000.0 ** (-i / half) for i in range(half)])
    angles = tf.cast(position_ids, tf.float32)[..., None] * frequencies
    return tf.concat([tf.sin(angles), tf.cos(angles)], -1)

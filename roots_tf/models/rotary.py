"""Rotary positions: queries and keys turned by angles that grow with the position."""

import tensorflow as tf


def rotation(position_ids: tf.Tensor, head_dim: int, base: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Cosines and sines of the angles by which rotary positions turn a head's pairs.

    Position p turns pair i of D/2 by p * base^(-2i/D) (Su et al. 2021, arXiv:2104.09864,
    section 3.2.2).

    Args:
        position_ids: int32 [B or 1, L].
        head_dim: D.
        base: see `EncoderConfig.rotary_base`.

    Returns:
        Two float32 [B or 1, 1, L, D/2].
    """
    frequencies = tf.constant([base ** (-2 * i / head_dim) for i in range(head_dim // 2)])
    angles = tf.cast(position_ids, tf.float32)[:, None, :, None] * frequencies
    return tf.cos(angles), tf.sin(angles)


def rotate(x: tf.Tensor, cosines: tf.Tensor, sines: tf.Tensor) -> tf.Tensor:
    """Turns the pairs (x[i], x[i + D/2]) of each head, in float32.

    Args:
        x: [B, N, L, D].
        cosines: from `rotation`.
        sines: likewise.

    Returns:
        [B, N, L, D] in the type of x.
    """
    first, second = tf.split(tf.cast(x, tf.float32), 2, axis=-1)  # 2 x [B, N, L, D/2]
    turned = [first * cosines - second * sines, second * cosines + first * sines]
    return tf.cast(tf.concat(turned, -1), x.dtype)

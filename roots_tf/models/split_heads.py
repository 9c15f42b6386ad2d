"""What stands between the product of an attention layer's rows and its scores: heads."""

import tensorflow as tf

from roots_tf.models.layers import add_bias, fused, rms_norm
from roots_tf.models.rotary import rotate


@fused
def split_heads(mixed, *bias, like, counts, rotation=None, epsilon=None):
    """Parts the rows of a product by sequence, use and head, and turns queries and keys.

    Args:
        mixed: [B*L, sum(counts)*D].
        *bias: [sum(counts)*D], or none.
        like: [B, L] or [B, L, ...], of any type, for its shape.
        counts: heads of each use: (N, K, K): queries, keys, values; (K, K): keys, values; (N,).
        rotation: from the function of that name, with 3 parts only; None turns nothing.
        epsilon: added to the mean square by which queries and keys are divided; None: they are not.

    Returns:
        A list of as many, each [B, N or K, L, D].
    """
    length, size, parts = tf.shape(like)[1], mixed.shape[-1] // sum(counts), len(counts)
    mixed = add_bias(mixed, *bias)
    if len(set(counts)) == 1:  # an unstack along the first axis copies nothing
        heads = tf.reshape(mixed, [-1, length, parts, counts[0], size])
        heads = tf.unstack(tf.transpose(heads, [2, 0, 3, 1, 4]), num=parts)
    else:
        heads = tf.reshape(mixed, [-1, length, sum(counts), size])
        heads = tf.split(tf.transpose(heads, [0, 2, 1, 3]), counts, axis=1)
    if epsilon is not None:
        normal = max(parts - 1, 1)  # of several uses the last is values
        heads[:normal] = [rms_norm(x, 1.0, epsilon=epsilon) for x in heads[:normal]]
    if rotation is not None:
        query, key, value = heads
        heads = [rotate(query, *rotation), rotate(key, *rotation), value]
    return heads

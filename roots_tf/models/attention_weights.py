"""From products of queries and keys to the weights of values, and back."""

import functools

import tensorflow as tf

from roots_tf.models.layers import dropout, dropped


def attention_weights(products, *bias, seen, scale, rate, seed):
    """dropout(softmax(products * scale + bias)) over the keys seen, computed in float32.

    In training the kernel of the gradient starts from the softmax, which takes half as long as to
    compute that again: it is kept in memory in place of the products.

    Args:
        products: of queries and keys, [B, N, Lq, Lk], or in blocks [B, N, M, C, S].
        *bias: float32 [1, N, Lq, Lk], or none.
        seen: as `View` has it.
        scale: D^-0.5.
        rate: as for `dropout`.
        seed: likewise; None: not in training.

    Returns:
        As the products, in their type.
    """
    if seed is None:
        return _softmax(products, *bias, seen=seen, scale=scale)

    @tf.custom_gradient
    def compiled(products, *bias):
        softmax = _compiled_softmax(products, *bias, seen=seen, scale=scale)
        weights = dropped(softmax, rate=rate, seed=seed)

        def gradient(upstream):
            how = {"seen": seen, "scale": scale, "rate": rate, "seed": seed}
            return _weights_gradient(softmax, upstream, bool(bias), **how)

        return weights, gradient

    return compiled(products, *bias)


def _softmax(products, *bias, seen, scale):
    # A number and not infinity: a row of padding that sees nothing must stay finite.
    scores = tf.cast(products, tf.float32) * scale
    scores = tf.where(seen, scores + bias[0] if bias else scores, -1e9)
    return tf.cast(tf.nn.softmax(scores), products.dtype)


_compiled_softmax = tf.function(_softmax, jit_compile=True, autograph=False)


@functools.partial(tf.function, jit_compile=True, autograph=False)
def _weights_gradient(softmax, upstream, has_bias, *, seen, scale, rate, seed):
    """Gradients of the products, as these, and of a bias, float32 [1, N, Lq, Lk]."""
    wide, upstream = (tf.cast(x, tf.float32) for x in (softmax, upstream))
    upstream = dropout(upstream, rate, seed)
    along = tf.reduce_sum(wide * upstream, axis=-1, keepdims=True)
    of_scores = tf.where(seen, wide * (upstream - along), 0.0)
    of_bias = [tf.reduce_sum(of_scores, 0, keepdims=True)] if has_bias else []
    return [tf.cast(of_scores * scale, softmax.dtype), *of_bias]

"""Cross entropy over a vocabulary, in as few passes over the logits as it takes.

Logits [predictions, V] are the largest tensor of a step. TensorFlow's own loss, its gradient and an
argmax for the accuracy pass over them again and again; compiled, it is two passes forward and one
backward.
"""

import functools
import math

import tensorflow as tf


@functools.partial(tf.function, jit_compile=True)
def _forward(logits, labels):
    of_label = tf.gather(logits, labels, batch_dims=1)  # [R]
    is_label = tf.range(tf.shape(logits)[1]) == labels[:, None]  # [R, V]
    of_others = tf.reduce_max(tf.where(is_label, -math.inf, logits), axis=-1)
    highest = tf.maximum(of_label, of_others)
    total = tf.reduce_sum(tf.exp(logits - highest[:, None]), axis=-1)
    log_total = highest + tf.math.log(total)
    return log_total - of_label, tf.cast(of_label > of_others, tf.float32), log_total


@functools.partial(tf.function, jit_compile=True)
def _backward(logits, labels, log_total, upstream):
    probabilities = tf.exp(logits - log_total[:, None])
    is_label = tf.range(tf.shape(logits)[1]) == labels[:, None]
    return (probabilities - tf.cast(is_label, tf.float32)) * upstream[:, None]


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Loss and rightness of each row.

    Args:
        logits: float32 [R, V].
        labels: int32 [R].

    Returns:
        The cross entropy in nats, float32 [R], and 1 where the label alone has the highest logit,
        float32 [R], through which no gradient flows.
    """

    @tf.custom_gradient
    def compiled(logits):
        loss, right, log_total = _forward(logits, labels)
        return (loss, right), lambda upstream, _: _backward(logits, labels, log_total, upstream)

    return compiled(logits)

"""What objectives and tasks share: numbers that a task tells of a batch, and sums of losses.

A loss leaves a task as (sum, weight), so that sums over replicas and micro-batches add up and are
divided once. `Scalar` declares what becomes of such a sum.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf


class Scalar(NamedTuple):
    """A number that a task tells of a batch: declared once, read by the loop, TensorBoard, doctor.

    Attributes:
        name: such as "masked_lm_loss"; that of a loss ends in "_loss", by which doctor knows it
            among the numbers that a run wrote.
        section: of TensorBoard: "loss", "accuracy" and so on.
        is_loss: whether its weighted mean is a part of the loss that is trained.
        of: name of the scalar whose mean this one follows from; "" where the task gives its sum.
        by: the function of that mean, which may give None where there is no number; None for sums.
    """

    name: str
    section: str
    is_loss: bool = False
    of: str = ""
    by: Callable[[float], float | None] | None = None


def perplexity(mean: float) -> float | None:
    """The exponential of a mean cross entropy in nats; None where float64 has none.

    >>> round(perplexity(2.0), 3), perplexity(1000.0)
    (7.389, None)
    """
    return math.exp(mean) if mean < 700 else None


def base_rate(share: float) -> float:
    """Share of right answers of always giving the more frequent of two labels.

    >>> base_rate(0.25)
    0.75
    """
    return max(share, 1 - share)


def weighted(values: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The weighted sum of `values`, float32, and the sum of `weights`, of the same shape."""
    return tf.reduce_sum(values * weights), tf.reduce_sum(weights)


@functools.partial(tf.function, jit_compile=True, autograph=False)
def _forward(logits, labels, smoothing=0.0):
    logits = tf.cast(logits, tf.float32)  # inside the kernel: no copy in float32 is written
    of_label = tf.gather(logits, labels, batch_dims=1)  # [R]
    is_label = tf.range(tf.shape(logits)[1]) == labels[:, None]  # [R, V]
    of_others = tf.reduce_max(tf.where(is_label, -math.inf, logits), axis=-1)
    highest = tf.maximum(of_label, of_others)
    total = tf.reduce_sum(tf.exp(logits - highest[:, None]), axis=-1)
    log_total = highest + tf.math.log(total)
    right = tf.cast(of_label > of_others, tf.float32)
    if smoothing:
        of_label = (1 - smoothing) * of_label + smoothing * tf.reduce_mean(logits, -1)
    return log_total - of_label, right, log_total


@functools.partial(tf.function, jit_compile=True, autograph=False)
def _backward(logits, labels, log_total, upstream, smoothing=0.0):
    probabilities = tf.exp(tf.cast(logits, tf.float32) - log_total[:, None])
    is_label = tf.range(tf.shape(logits)[1]) == labels[:, None]
    wanted = tf.cast(is_label, tf.float32)
    if smoothing:
        wanted = (1 - smoothing) * wanted + smoothing / logits.shape[1]
    gradient = (probabilities - wanted) * upstream[:, None]
    return tf.cast(gradient, logits.dtype)


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross entropy over a vocabulary, in as few passes over the logits as it takes.

    Logits are the largest tensor of a step. TensorFlow's own loss, its gradient and an argmax for
    the accuracy pass over them again and again; compiled, it is two passes forward and one
    backward.

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


BLOCK_BYTES = 1 << 27  # of float32 logits that are there at once: 128 MB


def projected_cross_entropy(
    rows: tf.Tensor,
    table: tf.Tensor,
    labels: tf.Tensor,
    weights: tf.Tensor,
    most_rows: int | None = None,
    bias: tf.Tensor | None = None,
    smoothing: float = 0.0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Weighted sum of the cross entropy of `rows` times a table, without keeping all logits.

    A causal model predicts at every place, so that logits of all places, and their gradient, would
    be most of a step's memory. Here a block of rows is projected, and its gradient is taken in the
    same pass: logits are computed once, and one block of them is there at a time.

    Args:
        rows: hidden states, [R, H].
        table: output embeddings, float32 [V, H].
        labels: int32 [R].
        weights: float32 [R], through which no gradient flows.
        most_rows: what R is at most, where the graph does not know it; None: it does.
        bias: of the logits, float32 [V], or None.
        smoothing: share of each target that is spread over all V (Szegedy et al. 2016,
            arXiv:1512.00567, section 7).

    Returns:
        The sum in nats and the weighted number of rows whose label alone has the highest logit,
        through which no gradient flows; both float32 [].
    """

    @tf.custom_gradient
    def summed(rows, table, *bias):
        compute = tf.cast(table, rows.dtype)
        loss = right = tf.constant(0.0)
        of_rows, of_table, of_bias = [], [], []
        for block in _blocks(rows, table.shape[0], most_rows):
            logits = tf.matmul(rows[block], compute, transpose_b=True)  # [block, V]
            logits = tf.nn.bias_add(logits, tf.cast(bias[0], rows.dtype)) if bias else logits
            losses, rights, log_total = _forward(logits, labels[block], smoothing)
            loss += tf.reduce_sum(losses * weights[block])
            right += tf.reduce_sum(rights * weights[block])
            gradient = _backward(logits, labels[block], log_total, weights[block], smoothing)
            of_rows.append(tf.matmul(gradient, compute))
            product = tf.matmul(gradient, rows[block], transpose_a=True)  # [V, H]
            of_table = [tf.add_n([*of_table, tf.cast(product, tf.float32)])]
            if bias:
                of_bias.append(tf.reduce_sum(tf.cast(gradient, tf.float32), 0))
        of_rows = tf.concat(of_rows, 0)

        def backward(upstream, _):
            found = of_rows * tf.cast(upstream, rows.dtype), of_table[0] * upstream
            return *found, *([tf.add_n(of_bias) * upstream] if bias else [])

        return (loss, right), backward

    more = () if bias is None else (tf.convert_to_tensor(bias),)
    return summed(rows, tf.convert_to_tensor(table), *more)


def _blocks(rows: tf.Tensor, vocabulary_size: int, most_rows: int | None) -> list[slice]:
    """Slices of as many rows as `BLOCK_BYTES` of logits hold, of about equal sizes."""
    num_rows = rows.shape[0]
    count = max(1, -(-4 * (num_rows or most_rows) * vocabulary_size // BLOCK_BYTES))
    if num_rows is None:  # some may be empty
        size = tf.shape(rows)[0]
        return [slice(size * i // count, size * (i + 1) // count) for i in range(count)]
    bounds = [num_rows * place // count for place in range(count + 1)]
    return [slice(*pair) for pair in zip(bounds[:-1], bounds[1:], strict=True) if pair[0] < pair[1]]


def names_of_losses(scalars: Sequence[Scalar]) -> tuple[str, ...]:
    """Names of those scalars whose means add up to the loss."""
    return tuple(scalar.name for scalar in scalars if scalar.is_loss)

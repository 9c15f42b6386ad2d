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


def of_all_replicas(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | int]:
    """Values of all replicas, and the place of this replica's first one among them.

    Args:
        values: [B, ...] of this replica; the others have as many.

    Returns:
        [B * replicas, ...], in the order of the replicas, through which gradients flow back to the
        replica that each is from; and int32 [].
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values, 0
    first = context.replica_id_in_sync_group * tf.shape(values)[0]
    return context.all_gather(values, axis=0), first


def info_nce(
    vectors: tf.Tensor,
    text_numbers: tf.Tensor,
    temperature: float,
    *,
    symmetric: bool = False,
    widths: Sequence[int] = (),
    weights: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """InfoNCE: each text is to be nearer to its positive than to the other texts of the batch.

    The loss of a row is the cross entropy of its positive among the positives and the negatives of
    all rows of the global batch, where the logit is a cosine over the temperature (van den Oord et
    al. 2018, arXiv:1807.03748, section 2.3; Gao et al. 2021, arXiv:2104.08821, equation 5). What is
    no negative is left out: a text that equals the row's own text, or the positive of any row whose
    text is equal. A row for which nothing else is left has a loss of 0.

    Args:
        vectors: float32 [B, G, H], of each row its text, its positive, and its negatives if any.
        text_numbers: int32 [B, G]; equal texts have equal numbers, and -1 is no text.
        temperature: above 0.
        symmetric: whether half of the loss is that of finding a positive's text among all texts.
        widths: of vectors that are cut behind so many places and must do by themselves; the loss is
            the mean over them and the full width (Matryoshka, Kusupati et al. 2022,
            arXiv:2205.13147, equation 1 with equal weights).
        weights: of the rows, float32 [B]; None: 1 each.

    Returns:
        The weighted sum of the losses in nats and the weighted number of rows whose positive is
        nearer than all else, at the full width, both float32 [] and of this replica's rows.
    """
    everyone, first = of_all_replicas(vectors)  # [N, G, H]
    numbers, _ = of_all_replicas(text_numbers)  # [N, G]
    targets = first + tf.range(tf.shape(vectors)[0])  # [B]
    texts, positives, found = numbers[:, 0], numbers[:, 1], _candidates(numbers)
    own_text, own_positive = text_numbers[:, 0], text_numbers[:, 1]  # [B]
    left_out = _no_negatives(own_text, found, texts, positives)  # [B, N * (G - 1)]
    left_out_of_texts = _no_negatives(own_positive, texts, positives, texts)  # [B, N]
    total, right = 0.0, None
    for width in (None, *widths):  # at first the whole vectors
        own, others = (tf.math.l2_normalize(x[..., :width], -1) for x in (vectors, everyone))
        losses, is_right = _cross_entropy_of_cosines(
            *(own[:, 0], _candidates(others), targets, left_out, temperature)
        )
        if symmetric:
            back, _ = _cross_entropy_of_cosines(
                *(own[:, 1], others[:, 0], targets, left_out_of_texts, temperature)
            )
            losses = (losses + back) / 2
        total += losses / (1 + len(widths))  # [B]
        right = is_right if right is None else right
    if weights is not None:
        total, right = total * weights, right * weights
    return tf.reduce_sum(total), tf.reduce_sum(right)


def _candidates(of_rows: tf.Tensor) -> tf.Tensor:
    """The positives of all rows, then all negatives: [N, G, ...] -> [N * (G - 1), ...]."""
    positives, negatives = of_rows[:, 1], of_rows[:, 2:]
    shape = tf.concat([[-1], tf.shape(positives)[1:]], 0)
    return tf.concat([positives, tf.reshape(negatives, shape)], 0)


def _no_negatives(own, candidates, texts, positives) -> tf.Tensor:
    """Which candidates are texts that do not count against a row, bool [B, M].

    Args:
        own: int32 [B], number of the text that is looked from.
        candidates: int32 [M], numbers of those that are looked at; -1 is no text.
        texts: int32 [N], numbers of the texts of pairs.
        positives: int32 [N], numbers of what belongs to them.
    """
    is_own = tf.cast(own[:, None] == texts, tf.float32)  # [B, N]
    belongs = tf.cast(positives[:, None] == candidates, tf.float32)  # [N, M]
    return (tf.matmul(is_own, belongs) > 0) | (own[:, None] == candidates) | (candidates < 0)


def _cross_entropy_of_cosines(queries, candidates, targets, left_out, temperature: float):
    """Cross entropy of the targets, and 1 where a target is the nearest; both float32 [B].

    Args:
        queries: unit vectors, [B, H].
        candidates: unit vectors, [M, H].
        targets: int32 [B], places of the right candidates.
        left_out: bool [B, M], candidates that do not count; a target counts all the same.
        temperature: of the softmax.
    """
    logits = tf.matmul(queries, candidates, transpose_b=True) / temperature  # [B, M]
    is_target = tf.range(tf.shape(logits)[1]) == targets[:, None]
    others = tf.where(left_out | is_target, logits.dtype.min, logits)
    of_target = tf.gather(logits, targets, batch_dims=1)  # [B]
    all_logits = tf.concat([of_target[:, None], others], 1)
    losses = tf.reduce_logsumexp(all_logits, 1) - of_target
    right = tf.cast(of_target > tf.reduce_max(others, 1), tf.float32)
    return losses, tf.stop_gradient(right)


def names_of_losses(scalars: Sequence[Scalar]) -> tuple[str, ...]:
    """Names of those scalars whose means add up to the loss."""
    return tuple(scalar.name for scalar in scalars if scalar.is_loss)

"""What of a text is hidden: vectorised over the batch, at fixed shapes, from given numbers.

Everything here is a sort. Tokens that are hidden and tokens that stay each get the number of their
place in the new order, the one even and the other odd; sorted, the numbers tell which is which.
"""

import tensorflow as tf


def spans(
    sizes: tf.Tensor, noise: tf.Tensor, count: tf.Tensor, scores: tf.Tensor, turn: tf.Tensor
) -> tf.Tensor:
    """Which tokens are hidden: `random_spans_noise_mask` of T5, with `random_roll`.

    The hidden tokens and the others are each parted at random, every way being as likely, into as
    many segments as there are spans; segments take turns, and all is turned round by a random
    number of tokens. So the last tokens are hidden as often as any (google-research's
    text-to-text-transfer-transformer #905), and a span that comes to lie over the end is two.

    Args:
        sizes: tokens of each row, int32 [B].
        noise: hidden ones, int32 [B].
        count: segments, int32 [B].
        scores: float32 [B, N] in [0, 1): where segments part.
        turn: float32 [B] in [0, 1).

    Returns:
        bool [B, N], of which `noise` are True, in `count` spans or one more.
    """
    column = tf.range(scores.shape[1])
    sizes, noise, count = sizes[:, None], noise[:, None], count[:, None]
    hidden, inside = column < noise, column < sizes  # before they are put in order
    begins = (column == 0) | (column == noise)  # of either kind: never the place of a new segment
    group = tf.where(hidden, 0.0, 1.0) + tf.where(inside & ~begins, 0.0, 2.0)
    rank = _ranks(group + scores)
    rank = tf.where(hidden, rank, rank - tf.maximum(noise - 1, 0))
    new = inside & ~begins & (rank < count - 1)
    of_hidden = tf.cumsum(tf.cast(new & hidden, tf.int32), axis=1)
    of_others = tf.cumsum(tf.cast(new & ~hidden, tf.int32), axis=1)
    order = tf.where(hidden, 2 * of_hidden + 1, 2 * of_others)
    mask = tf.sort(tf.where(inside, order, 2 * column.shape[0]), axis=1) % 2 == 1
    first = tf.cast(turn[:, None] * tf.cast(sizes, tf.float32), tf.int32)
    turned = (column + first) % tf.maximum(sizes, 1)
    return tf.gather(mask, turned, batch_dims=1) & inside


def infilling(
    sizes: tf.Tensor, noise: tf.Tensor, count: tf.Tensor, places: tf.Tensor, lengths: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Which tokens are hidden, and before which of the others a mask stands for them.

    Lengths of spans are drawn from Poisson's distribution, given how many tokens they have
    together: each hidden token falls into any span, so that some have none. No two spans touch, so
    that none merge (fairseq #3486) and the number of masks is that of the spans.

    Args:
        sizes: tokens of each row, int32 [B].
        noise: hidden ones, int32 [B].
        count: spans, int32 [B].
        places: float32 [B, N + 1] in [0, 1): where spans lie.
        lengths: float32 [B, N] in [0, 1): which span a hidden token falls into.

    Returns:
        The hidden tokens, bool [B, N]; and the masks, bool [B, N + 1], in which place g stands
        before the token that is number g of those that stay, and behind the last of them.
    """
    column = tf.range(lengths.shape[1])
    sizes, noise, count = sizes[:, None], noise[:, None], count[:, None]
    exists = tf.range(places.shape[1]) <= sizes - noise
    order = tf.argsort(tf.where(exists, places, 2.0), axis=1, stable=True)
    masks = tf.argsort(order, axis=1) < count
    span = tf.cast(lengths * tf.cast(count, tf.float32), tf.int32)
    place = tf.gather(order, tf.minimum(span, tf.maximum(count - 1, 0)), batch_dims=1)
    keys = tf.where(column < noise, 2 * place, 2 * (column - noise) + 1)
    inside = column < sizes
    keys = tf.sort(tf.where(inside, keys, 2 * places.shape[1] + 1), axis=1)
    return (keys % 2 == 0) & inside, masks


def suffix(sizes: tf.Tensor, most: tf.Tensor, uniform: tf.Tensor, width: int) -> tf.Tensor:
    """Which tokens are hidden: the last ones, from one to `most`, each number being as likely.

    Args:
        sizes: tokens of each row, int32 [B].
        most: int32 [B].
        uniform: float32 [B] in [0, 1).
        width: N.

    Returns:
        bool [B, N].
    """
    drawn = tf.cast(uniform * tf.cast(most, tf.float32), tf.int32)
    hidden = 1 + tf.minimum(drawn, most - 1)
    column = tf.range(width)
    return (column >= (sizes - hidden)[:, None]) & (column < sizes[:, None])


def permuted(tokens: tf.Tensor, inside: tf.Tensor, ends: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """The sentences of each row in random order (Lewis et al. 2019, section 2.2).

    With full stops 9, scores that put the second sentence first turn [[5, 9, 6, 7, 9]] into
    [[6, 7, 9, 5, 9]].

    Args:
        tokens: int32 [B, N].
        inside: True on tokens, bool [B, N].
        ends: True where a sentence ends, bool [B, N].
        scores: float32 [B, N] in [0, 1), the first ones for sentences.

    Returns:
        int32 [B, N].
    """
    sentence = tf.cumsum(tf.cast(ends, tf.int32), axis=1, exclusive=True)
    of_tokens = tf.where(inside, tf.gather(scores, sentence, batch_dims=1), 2.0)
    return tf.gather(tokens, tf.argsort(of_tokens, axis=1, stable=True), batch_dims=1)


def _ranks(scores: tf.Tensor) -> tf.Tensor:
    """The place of each number in its row's ascending order, int32 [B, N]; equals keep theirs."""
    return tf.argsort(tf.argsort(scores, axis=1, stable=True), axis=1)

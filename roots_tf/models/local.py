"""Attention within a window, computed in the blocks of `models.blocks`."""

import numpy as np
import tensorflow as tf

from roots_tf.models.blocks import Blocks

Features = dict[str, tf.Tensor]


def cut(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, blocks: Blocks) -> tuple:
    """Heads of rows in blocks; each query head has keys and values of its own.

    Args:
        query: [B, N, L, D].
        key: [B, K, L, D]; N / K query heads, one after the other, share each.
        value: likewise.
        blocks: from `blocks_of`.

    Returns:
        Queries [B, N, M, C, D], keys and values [B, N, M, S, D].
    """
    if (group := query.shape[1] // key.shape[1]) > 1:
        key, value = (tf.repeat(x, group, 1) for x in (key, value))
    return queries(query, blocks), keys(key, blocks), keys(value, blocks)


def queries(x: tf.Tensor, blocks: Blocks, fill=0) -> tf.Tensor:
    """Cuts [..., L, D] along the second last axis: [..., M, C, D]; what is behind L is `fill`.

    Args:
        x: of any leading axes.
        blocks: from `blocks_of`.
        fill: a number.
    """
    return _cut(x, blocks, (0, 0), fill)


def keys(x: tf.Tensor, blocks: Blocks, fill=0) -> tf.Tensor:
    """Likewise, each block with its neighbours: [..., M, S, D].

    Args:
        x: of any leading axes.
        blocks: from `blocks_of`.
        fill: a number.
    """
    cut, parts = _cut(x, blocks, blocks.neighbours, fill), 1 + sum(blocks.neighbours)
    return tf.concat([cut[..., i : i + blocks.count, :, :] for i in range(parts)], -2)


def joined(x: tf.Tensor, blocks: Blocks) -> tf.Tensor:
    """Blocks of queries as rows again: [B, N, L, D].

    Args:
        x: [B, N, M, C, D].
        blocks: that the rows were cut into.
    """
    rows = tf.reshape(x, [-1, x.shape[1], blocks.count * blocks.size, x.shape[-1]])
    return rows[:, :, : blocks.length]


def _cut(x: tf.Tensor, blocks: Blocks, more: tuple[int, int], fill) -> tf.Tensor:
    """Cuts into blocks, with more blocks of `fill` before and after the row's own."""
    before, after = (count * blocks.size for count in more)
    behind = blocks.count * blocks.size - blocks.length
    paddings = [[0, 0]] * (x.shape.rank - 2) + [[before, behind + after], [0, 0]]
    x = tf.pad(x, paddings, constant_values=fill)
    count = blocks.count + sum(more)
    return tf.reshape(x, [-1, *x.shape[1:-2], count, blocks.size, *x.shape[-1:]])


def seen_in_blocks(features: Features, blocks: Blocks, window: int, causal: bool) -> tf.Tensor:
    """What `attention.seen_keys` says of tokens that attend to one another, in blocks.

    Args:
        features: as there: `document_ids` [B, L], or `padding_mask` [B, L].
        blocks: from `blocks_of`.
        window: as there.
        causal: as there.

    Returns:
        bool [B, 1, M, C, S].
    """
    query, key = np.ogrid[: blocks.size, : blocks.width]
    ahead = key - blocks.neighbours[0] * blocks.size - query  # [C, S], below 0: a key before
    near = (np.abs(ahead) <= window // 2) & ((ahead <= 0) | (not causal))
    if "document_ids" in features:
        documents = features["document_ids"][:, :, None]  # [B, L, 1]
        ours = queries(documents, blocks, fill=-1)  # [B, M, C, 1]
        theirs = tf.linalg.matrix_transpose(keys(documents, blocks, fill=-2))  # [B, M, 1, S]
        seen = ours == theirs
    else:
        inside = tf.cast(features["padding_mask"], tf.int32)[:, :, None]
        seen = tf.linalg.matrix_transpose(keys(inside, blocks)) > 0  # [B, M, 1, S]
    return (seen & near)[:, None]

"""Rows of texts in the graph: cut as `labelled.token_rows.cut` does, computed by length."""

import re
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from roots_tf.tokenizers import graph, packing

_BREAK = b"\xff"  # a byte that no valid UTF-8 has


class GraphRows(NamedTuple):
    """Rows that were cut from the texts of a batch, in the order of the texts.

    Attributes:
        features: `token_ids`, `segment_ids` and `padding_mask` [R, L].
        lengths: int32 [R], tokens of each row.
        texts: int32 [R], the text that a row is from; no text is without a row.
        pieces: int32 [R], index among the text's pieces of the first one in the row.
        second: int32 [R], where in its row the window begins.
    """

    features: dict[str, tf.Tensor]
    lengths: tf.Tensor
    texts: tf.Tensor
    pieces: tf.Tensor
    second: tf.Tensor


def cut(
    ids: tf.RaggedTensor,
    tokenizer,
    length: int,
    stride: int | tf.Tensor = 0,
    most: int = 1 << 30,
    first: tf.RaggedTensor | None = None,
) -> GraphRows:
    """Rows [CLS] window [SEP], or [CLS] first [SEP] window [SEP].

    Args:
        ids: int32 [B, None] of each text.
        tokenizer: has the ids of the special tokens.
        length: tokens of a row at most.
        stride: ids from the start of a window to that of the next, one number or int32 [B]; 0
            cuts texts off.
        most: ids of a text that windows begin in; what comes after them is cut off.
        first: int32 [B, None], texts before the windows. With a stride they leave room for them;
            without one both are cut, the longer one first.
    """
    batch = ids.nrows(out_type=tf.int32)
    first_lengths = tf.zeros([batch], tf.int32)
    if first is not None:
        first_lengths = tf.cast(first.row_lengths(), tf.int32)
    if isinstance(stride, int) and stride == 0:
        features = packing.pack(
            *((ids, None) if first is None else (first, ids)), length, tokenizer
        )
        texts, pieces = tf.range(batch), tf.zeros([batch], tf.int32)
    else:
        room = length - (2 if first is None else 3) - first_lengths  # [B]
        sizes = tf.cast(ids.row_lengths(), tf.int32)
        further = tf.maximum(sizes - room, 0)
        # [B] windows, at least one.
        count = tf.minimum(-(-further // stride) + 1, tf.maximum(most // stride, 1))
        splits = tf.concat([[0], tf.cumsum(count)], 0)
        texts = graph.row_of(splits, splits[-1])
        number = tf.range(splits[-1]) - tf.gather(splits, texts)
        stride = tf.gather(tf.broadcast_to(stride, [batch]), texts)
        # The last window ends where the text does.
        pieces = tf.minimum(number * stride, tf.gather(further, texts))
        window = _windows(ids, texts, pieces, tf.gather(tf.minimum(room, sizes), texts))
        pair = (window, None) if first is None else (tf.gather(first, texts), window)
        features = packing.pack(*pair, length, tokenizer)
    lengths = tf.reduce_sum(tf.cast(features["padding_mask"], tf.int32), 1)
    second = tf.ones_like(lengths)
    if first is not None:
        second = lengths - tf.reduce_sum(features["segment_ids"], 1)
    # Columns that are padding in every row cost time and change nothing.
    used = tf.maximum(tf.reduce_max(lengths), 1)
    features = {name: feature[:, :used] for name, feature in features.items()}
    return GraphRows(features, lengths, texts, pieces, second)


def _windows(ids: tf.RaggedTensor, texts, begins, sizes) -> tf.RaggedTensor:
    """`sizes` ids of some texts from some place on."""
    splits = tf.concat([[0], tf.cumsum(sizes)], 0)
    row = graph.row_of(splits, splits[-1])
    starts = tf.gather(tf.cast(ids.row_splits, tf.int32), texts) + begins - splits[:-1]
    values = tf.gather(ids.flat_values, tf.range(splits[-1]) + tf.gather(starts, row))
    return graph.rows(values, splits)


def plain_ids(texts: tf.Tensor, tokenizer, in_graph) -> tf.RaggedTensor:
    """Ids of texts in which what spells a special token is a text like any other, [B, None].

    A text is encoded in pieces, each of which ends behind the first character of such a word, as
    `labelled.plain_text.encode` does.

    Args:
        texts: string [B], valid UTF-8.
        tokenizer: says what the special tokens are.
        in_graph: its `graph()`.
    """
    by_first: dict[str, list[str]] = {}
    contents = (token["content"] for token in tokenizer.added_tokens if token["special"])
    for content in sorted(contents, key=len, reverse=True):
        by_first.setdefault(content[0], []).append(re.escape(content[1:]))
    for first, rest in by_first.items():
        pattern = f"({re.escape(first)})({'|'.join(rest)})"
        texts = tf.strings.regex_replace(texts, pattern, rb"\1" + _BREAK + rb"\2")
    pieces = tf.strings.split(texts, _BREAK)  # [B, None]
    ids = in_graph.tokenize(pieces.flat_values)
    splits = tf.gather(ids.row_splits, pieces.row_splits)
    return graph.rows(tf.cast(ids.flat_values, tf.int32), splits)


def by_length(
    function: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]],
    features: dict[str, tf.Tensor],
    lengths: tf.Tensor,
    tokens_at_once: int,
    by_token: tuple[str, ...] = (),
    beside: int = 0,
) -> dict[str, tf.Tensor]:
    """Outputs of rows, those of similar length computed together.

    Little is spent on padding, and memory is bounded however many rows there are.

    Args:
        function: outputs [r, ...] of features [r, l, ...].
        features: by name, [R, L, ...].
        lengths: int32 [R], how much of each row is no padding.
        tokens_at_once: positions that are computed at once; a longer row is computed alone.
        by_token: names of outputs [r, l, ...].
        beside: positions that a row takes beside its own, such as those of a text to come.

    Returns:
        Outputs [R, ...]; those by token [R, L, ...], with zeros where nothing was computed.
    """
    specs = {
        name: tf.TensorSpec([None, None, *feature.shape[2:]], feature.dtype, name)
        for name, feature in features.items()
    }
    compute = tf.function(function, autograph=False).get_concrete_function(specs)
    size, full = tf.unstack(tf.shape(next(iter(features.values())))[:2])
    order = tf.argsort(lengths, direction="DESCENDING", stable=True)
    arrays = {
        name: tf.TensorArray(value.dtype, 0, dynamic_size=True, infer_shape=False)
        for name, value in compute.structured_outputs.items()
    }

    def body(index, start, arrays):
        longest = tf.reduce_max(tf.gather(lengths, order[start : start + 1]))
        longest = tf.maximum(longest, 1)  # of no rows, too, which are computed once for the shapes
        count = tf.maximum(tokens_at_once // (longest + beside), 1)
        chunk = order[start : start + count]
        outputs = compute({n: tf.gather(f, chunk)[:, :longest] for n, f in features.items()})
        for name in by_token:
            rest = [[0, 0]] * (outputs[name].shape.rank - 2)
            outputs[name] = tf.pad(outputs[name], [[0, 0], [0, full - longest], *rest])
        arrays = {name: array.write(index, outputs[name]) for name, array in arrays.items()}
        return index + 1, start + count, arrays

    _, _, arrays = tf.while_loop(
        lambda index, start, arrays: start < tf.maximum(size, 1),
        body,
        (tf.constant(0), tf.constant(0), arrays),
        parallel_iterations=1,
    )
    place = tf.math.invert_permutation(order)
    outputs = {name: tf.gather(array.concat(), place) for name, array in arrays.items()}
    for name, value in compute.structured_outputs.items():
        outputs[name].set_shape([None, *value.shape[1:]])
    return outputs

"""Ids of one or two texts into BERT's input of fixed length: [CLS] A [SEP] B [SEP] and padding.

Devlin et al., BERT, 2018 (arXiv 1810.04805), figure 2; trimming as `truncate_seq_pair` of
google-research/bert, which takes tokens from the end of the longer segment. Core ragged ops only.
"""

import tensorflow as tf

from roots_tf.storage import files
from roots_tf.tokenizers import graph


def pack(
    first: tf.RaggedTensor, second: tf.RaggedTensor | None, length: int, tokenizer
) -> dict[str, tf.Tensor]:
    """Packs ids.

        first [[5, 6, 7], [8]], second [[9], []], length 6, [CLS] 2, [SEP] 3, [PAD] 0
        token_ids     [[2, 5, 6, 3, 9, 3], [2, 8, 3, 3, 0, 0]]
        segment_ids   [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 0, 0]]
        padding_mask  [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]

    Args:
        first: ids [B, None].
        second: ids [B, None], or None.
        length: tokens a row, special tokens counted.
        tokenizer: has `cls_id`, `sep_id` and `pad_id`; one of a causal model, which lacks the
            first two, has `bos_id` and `eos_id`, what begins and ends a text.

    Returns:
        "token_ids" int32, "segment_ids" int32 and "padding_mask" bool, each [B, length].

    Raises:
        InputError: the tokenizer lacks one of the special tokens, or `length` has no room for them.
    """
    cls_id = tokenizer.bos_id if tokenizer.cls_id is None else tokenizer.cls_id
    sep_id = tokenizer.eos_id if tokenizer.sep_id is None else tokenizer.sep_id
    for role, token_id in (("cls", cls_id), ("sep", sep_id), ("pad", tokenizer.pad_id)):
        if token_id is None:
            raise files.InputError(
                "no-special-token",
                f"found a tokenizer without {role}_id, which a row of an encoder holds; wanted one "
                "with it: take an encoder, or train a vocabulary with train-tokenizer",
            )
    room = length - (2 if second is None else 3)
    if room < 1:
        raise files.InputError(
            "too-short", f"found a length of {length}; wanted room for tokens besides [SEP]"
        )
    batch = first.nrows(out_type=tf.int32)
    cls, sep = (
        tf.fill([batch, 1], tf.constant(token_id, tf.int32)) for token_id in (cls_id, sep_id)
    )
    if second is None:
        parts = [cls, head(first, tf.fill([batch], room)), sep]
        lengths_of_first = tf.fill([batch], length)
    else:
        first_length = tf.cast(first.row_lengths(), tf.int32)
        second_length = tf.cast(second.row_lengths(), tf.int32)
        first_kept, second_kept = trimmed_lengths(first_length, second_length, room)
        parts = [cls, head(first, first_kept), sep, head(second, second_kept), sep]
        lengths_of_first = first_kept + 2
    rows = tf.concat(parts, 1)  # [B, None]
    token_ids = rows.to_tensor(tf.constant(tokenizer.pad_id, tf.int32), shape=[None, length])
    place = tf.range(length)
    padding_mask = place < tf.cast(rows.row_lengths(), tf.int32)[:, None]
    in_second = (place >= lengths_of_first[:, None]) & padding_mask
    return {
        "token_ids": token_ids,
        "segment_ids": tf.cast(in_second, tf.int32),
        "padding_mask": padding_mask,
    }


def trimmed_lengths(
    first: tf.Tensor, second: tf.Tensor, room: int | tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Lengths after tokens were taken from the longer of two, one by one, until both fit.

    Of two equally long the second loses the next token, as in google-research/bert.

    >>> trimmed_lengths([10, 2, 9], [3, 9, 9], 7)
    ([4, 2, 4], [3, 5, 3])

    Args:
        first: lengths int32 [B].
        second: lengths int32 [B].
        room: tokens that both may have together.
    """
    half = room // 2
    first_kept = tf.minimum(first, tf.maximum(room - second, room - half))
    return first_kept, tf.minimum(second, room - first_kept)


def head(rows: tf.RaggedTensor, lengths: tf.Tensor) -> tf.RaggedTensor:
    """The first ids of each row: keeps what stands there if the row is shorter.

    Args:
        rows: ids [B, None].
        lengths: int32 [B], how many.
    """
    row_splits = tf.cast(rows.row_splits, tf.int32)
    size = tf.size(rows.flat_values)
    row = graph.row_of(row_splits, size)
    place = tf.range(size) - tf.gather(row_splits, row)
    kept = tf.boolean_mask(tf.cast(rows.flat_values, tf.int32), place < tf.gather(lengths, row))
    lengths = tf.minimum(lengths, row_splits[1:] - row_splits[:-1])
    splits = tf.concat([[0], tf.cumsum(tf.cast(lengths, tf.int64))], 0)
    return tf.RaggedTensor.from_row_splits(kept, splits, validate=False)


def features_of(text: str, tokenizer, length: int) -> dict[str, tf.Tensor]:
    """Features [1, L] of one text, by the tokenizer that training uses.

    Args:
        text: any.
        tokenizer: the model's.
        length: tokens that the text is cut off at, special tokens among them.
    """
    ids, row_splits = tokenizer.encode([text])
    ragged = tf.RaggedTensor.from_row_splits(ids, row_splits)
    features = pack(ragged, None, length, tokenizer)  # padded to `length`
    used = tf.math.count_nonzero(features["padding_mask"])
    return {name: feature[:, :used] for name, feature in features.items()}

"""Rows packed full: records one after the other, cut into rows, each piece attending to itself.

A record becomes [CLS] ids [SEP]. Records of a shard, in the epoch's order, form one stream, which
is cut every L tokens; only a shard's last row is padded. What a cut parts are two pieces. Each
piece has a `document_ids` number of its own in its row, which attention compares, and positions
that start from 0, so no piece can tell what stands beside it.
"""

from collections.abc import Mapping

import tensorflow as tf

PAD = -1  # in a stream, where no token is


def pack(ids, lengths, max_seq_length: int, cls_id: int, sep_id: int) -> dict[str, tf.Tensor]:
    """Joins records and cuts the stream.

    With [CLS] = 2, [SEP] = 3 and L = 4, the records [7, 8] and [9] become
    tokens [[2, 7, 8, 3], [2, 9, 3, -1]] and starts [[1, 0, 0, 0], [1, 0, 0, 1]].

    Args:
        ids: ids of the records, padded, int32 [n, W].
        lengths: tokens of each, int32 [n].
        max_seq_length: L.
        cls_id, sep_id: ids of the special tokens.

    Returns:
        `tokens` int32 [rows, L], PAD after the last; `starts` bool [rows, L], True where a record
        (or the padding) starts.
    """
    column = tf.range(tf.shape(ids)[1] + 2)
    table = tf.pad(ids, [[0, 0], [1, 1]], constant_values=cls_id)
    table = tf.where(column == lengths[:, None] + 1, sep_id, table)
    inside = column < lengths[:, None] + 2
    tokens = tf.boolean_mask(table, inside)
    starts = tf.boolean_mask(tf.broadcast_to(column == 0, tf.shape(inside)), inside)
    padding = -tf.size(tokens) % max_seq_length
    tokens = tf.pad(tokens, [[0, padding]], constant_values=PAD)
    starts = tf.concat([starts, tf.range(padding) == 0], axis=0)
    shape = [-1, max_seq_length]
    return {"tokens": tf.reshape(tokens, shape), "starts": tf.reshape(starts, shape)}


def pack_columns(
    columns: Mapping[str, tf.Tensor], sizes: tf.Tensor, max_seq_length: int
) -> dict[str, tf.Tensor]:
    """Joins records of several numbers a token and cuts the stream; whole ones stand in own rows.

    Records that fill rows to their ends stand in rows of their own, so that none of them is cut
    where a shorter one has shifted the stream; the others form the stream. The rows keep the
    records' order, each in the place of the first record in it.

    With L = 2, the tokens [7], [1, 2, 3, 4] and [8, 9, 6] become
    tokens [[7, 8], [1, 2], [3, 4], [9, 6]] and starts [[1, 1], [1, 0], [0, 0], [0, 0]].

    Args:
        columns: numbers by name, int32 [n, W] each.
        sizes: how many of each record count, the first ones, int32 [n].
        max_seq_length: L.

    Returns:
        The columns int32 [rows, L], PAD after the last, rows being ceil(sum of sizes / L); and
        `starts` bool [rows, L], True where a record starts.
    """
    column = tf.range(tf.shape(next(iter(columns.values())))[1])
    inside = column < sizes[:, None]  # [n, W]
    added = {"starts": tf.cast(column == 0, tf.int32), "record": tf.range(tf.size(sizes))[:, None]}
    columns = {n: tf.broadcast_to(x, tf.shape(inside)) for n, x in {**columns, **added}.items()}
    whole = sizes % max_seq_length == 0

    def cut(chosen):
        kept = tf.boolean_mask(inside, chosen)
        flat = {n: tf.boolean_mask(tf.boolean_mask(x, chosen), kept) for n, x in columns.items()}
        padding = [[0, -tf.size(flat["record"]) % max_seq_length]]
        return {
            name: tf.reshape(tf.pad(x, padding, constant_values=PAD), [-1, max_seq_length])
            for name, x in flat.items()
        }

    first, others = cut(whole), cut(~whole)
    rows = {name: tf.concat([first[name], others[name]], 0) for name in columns}
    order = tf.argsort(rows.pop("record")[:, 0], stable=True)
    rows = {name: tf.gather(x, order) for name, x in rows.items()}
    return rows | {"starts": rows["starts"] == 1}


def features(tokens, starts, pad_id: int) -> dict[str, tf.Tensor]:
    """Features of packed rows before masking.

    tokens [[8, 3, 2, 9, 3, -1]] with starts [[0, 0, 1, 0, 0, 1]] gives document_ids
    [[1, 1, 2, 2, 2, 0]] and position_ids [[0, 1, 0, 1, 2, 0]].

    Args:
        tokens, starts: from `pack`, [B, L].
        pad_id: id of [PAD].

    Returns:
        `token_ids`, `segment_ids` (all 0), `position_ids`, `document_ids` int32 [B, L] and
        `padding_mask` bool [B, L].
    """
    batch, length = tf.shape(tokens)[0], tokens.shape[1]
    column = tf.broadcast_to(tf.range(length), tf.shape(tokens))
    padding_mask = tokens != PAD
    document = tf.cumsum(tf.cast(starts | (column == 0), tf.int32), axis=1)  # [B, L], from 1
    flat = tf.reshape(document - 1 + tf.range(batch)[:, None] * length, [-1])
    first = tf.math.unsorted_segment_min(tf.reshape(column, [-1]), flat, batch * length)
    position = column - tf.reshape(tf.gather(first, flat), tf.shape(tokens))
    return {
        "token_ids": tf.where(padding_mask, tokens, pad_id),
        "segment_ids": tf.zeros_like(tokens),
        "position_ids": tf.where(padding_mask, position, 0),
        "document_ids": tf.where(padding_mask, document, 0),
        "padding_mask": padding_mask,
    }

import random

import numpy as np
import pytest
import tensorflow as tf

from roots_tf.storage.files import InputError
from roots_tf.tokenizers import packing


class Ids:
    pad_id, cls_id, sep_id = 0, 2, 3


def truncate_seq_pair(a: list, b: list, room: int) -> None:
    """google-research/bert, written out."""
    while len(a) + len(b) > room:
        (a if len(a) > len(b) else b).pop()


def test_pairs():
    packed = packing.pack(
        tf.ragged.constant([[5, 6, 7], [8]], tf.int32),
        tf.ragged.constant([[9], []], tf.int32),
        6,
        Ids,
    )
    np.testing.assert_array_equal(packed["token_ids"], [[2, 5, 6, 3, 9, 3], [2, 8, 3, 3, 0, 0]])
    np.testing.assert_array_equal(packed["segment_ids"], [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 0, 0]])
    np.testing.assert_array_equal(packed["padding_mask"], [[1] * 6, [1, 1, 1, 1, 0, 0]])
    assert {name: value.dtype for name, value in packed.items()} == {
        "token_ids": tf.int32,
        "segment_ids": tf.int32,
        "padding_mask": tf.bool,
    }


def test_single_texts():
    packed = packing.pack(tf.ragged.constant([[5, 6, 7, 8], []], tf.int32), None, 5, Ids)
    np.testing.assert_array_equal(packed["token_ids"], [[2, 5, 6, 7, 3], [2, 3, 0, 0, 0]])
    assert not np.any(packed["segment_ids"])


def test_trims_the_longer_as_bert_does():
    draw = random.Random(0)
    pairs = [([7] * draw.randrange(20), [8] * draw.randrange(20)) for _ in range(300)]
    for length in (4, 5, 12, 13, 50):
        packed = tf.function(packing.pack)(
            tf.ragged.constant([a for a, _ in pairs], tf.int32, row_splits_dtype=tf.int64),
            tf.ragged.constant([b for _, b in pairs], tf.int32, row_splits_dtype=tf.int64),
            length,
            Ids,
        )
        for row, (a, b) in zip(packed["token_ids"].numpy().tolist(), pairs, strict=True):
            a, b = list(a), list(b)
            truncate_seq_pair(a, b, length - 3)
            expected = [2, *a, 3, *b, 3]
            assert row == expected + [0] * (length - len(expected))


def test_works_in_a_dataset_and_has_static_shape():
    rows = tf.ragged.constant([[5, 6], [7], [8, 9, 10]], tf.int32, row_splits_dtype=tf.int64)
    dataset = tf.data.Dataset.from_tensor_slices(rows).ragged_batch(3, drop_remainder=True)
    dataset = dataset.map(lambda ids: packing.pack(ids, ids, 8, Ids))
    assert dataset.element_spec["token_ids"].shape.as_list() == [3, 8]
    assert next(iter(dataset))["token_ids"][1].numpy().tolist() == [2, 7, 3, 7, 3, 0, 0, 0]


def test_no_room_and_no_token():
    with pytest.raises(InputError, match="room"):
        packing.pack(tf.ragged.constant([[1]]), None, 2, Ids)

    class Without(Ids):
        sep_id = eos_id = None

    with pytest.raises(InputError, match="sep_id"):
        packing.pack(tf.ragged.constant([[1]]), None, 9, Without)

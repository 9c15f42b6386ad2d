"""Texts become rows, rows become batches; nothing is lost and little is padding."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from roots_tf.labelled.padding import padded_lengths
from roots_tf.labelled.token_rows import (
    RowBatcher,
    batches_by_length,
    cut,
    train_batches,
    windows,
)
from roots_tf.storage.files import InputError

SPECIAL = SimpleNamespace(cls_id=2, sep_id=3, pad_id=0)


def splits(*lengths: int) -> np.ndarray:
    return np.cumsum([0, *lengths])


def listed(rows) -> list[list[int]]:
    return [part.tolist() for part in np.split(rows.token_ids, rows.row_splits[1:-1])]


def test_rows_of_texts_that_are_cut_off():
    rows = cut(np.arange(10, 20), splits(3, 0, 7), SPECIAL, 6)
    assert listed(rows) == [[2, 10, 11, 12, 3], [2, 3], [2, 13, 14, 15, 16, 3]]
    assert rows.texts.tolist() == [0, 1, 2]
    assert rows.second.tolist() == [5, 2, 6]


def test_rows_of_pairs():
    first = (np.array([7, 8]), splits(2))
    rows = cut(np.array([10, 11]), splits(2), SPECIAL, 16, first=first)
    assert listed(rows) == [[2, 7, 8, 3, 10, 11, 3]]
    assert rows.second.tolist() == [4]


def test_windows_of_a_long_text_after_a_first_one():
    first = (np.array([7, 8]), splits(1, 1))
    rows = cut(np.arange(10, 16), splits(1, 5), SPECIAL, 7, stride=2, first=first)
    assert listed(rows) == [
        [2, 7, 3, 10, 3],
        [2, 8, 3, 11, 12, 13, 3],
        [2, 8, 3, 13, 14, 15, 3],
    ]
    assert rows.texts.tolist() == [0, 1, 1]
    assert rows.pieces.tolist() == [0, 0, 2]


@given(lengths=st.lists(st.integers(0, 30), max_size=5), room=st.integers(1, 12), data=st.data())
def test_windows_cover_every_id(lengths, room, data):
    stride = data.draw(st.integers(1, room))
    found = windows(splits(*lengths), room, stride)
    assert (found[:, 2] - found[:, 1] <= room).all()
    for text, (start, end) in enumerate(itertools.pairwise(splits(*lengths))):
        own = found[found[:, 0] == text]
        assert len(own) >= 1
        covered = {i for _, begin, stop in own for i in range(begin, stop)}
        assert covered == set(range(start, end))
        assert len(own) == 1 or (own[:, 2] - own[:, 1] == room).all()


def test_a_stride_that_would_leave_tokens_out_is_refused():
    with pytest.raises(InputError, match="found stride=5 and windows of 4 tokens"):
        cut(np.arange(9), splits(9), SPECIAL, 6, stride=5)
    long = (np.arange(9), splits(9))
    with pytest.raises(InputError, match="wanted more than 12, which special tokens and the long"):
        cut(np.arange(9), splits(9), SPECIAL, 12, stride=1, first=long)


def test_a_batch_is_padded_to_its_longest_row_or_the_next_length():
    rows = cut(np.arange(10, 60), splits(2, 40, 8), SPECIAL, 64)
    rows.of_rows["label_ids"] = np.array([5, 6, 7], np.int32)
    rows.of_tokens["marks"] = np.arange(len(rows.token_ids), dtype=np.int32)
    batcher = RowBatcher(rows, 0, [12, 44])
    batch = batcher(tf.constant([2, 0]))
    assert batch["token_ids"].shape == (2, 12)
    assert batch["token_ids"][1, :5].numpy().tolist() == [2, 10, 11, 3, 0]
    assert batch["marks"][1, :5].numpy().tolist() == [0, 1, 2, 3, -1]
    assert batch["padding_mask"].numpy().sum(-1).tolist() == [10, 4]
    assert batch["label_ids"].numpy().tolist() == [7, 5]
    assert batcher(tf.constant([1]))["token_ids"].shape == (1, 44)
    assert RowBatcher(rows, 0)(tf.constant([2, 0]))["token_ids"].shape == (2, 10)


def test_groups_stay_together():
    rows = cut(np.arange(10, 18), splits(1, 2, 2, 3), SPECIAL, 16)
    rows.group, rows.of_rows["label_ids"] = 2, np.array([0, 0, 1, 1], np.int32)
    batch = RowBatcher(rows, 0)(tf.constant([1, 0]))
    assert batch["token_ids"][:, :, 1].numpy().tolist() == [[13, 15], [10, 11]]
    assert batch["label_ids"].numpy().tolist() == [1, 0]
    assert [part.tolist() for part in batches_by_length(rows, 1)] == [[1], [0]]


def test_batches_are_a_function_of_seed_and_step():
    rows = cut(np.arange(10), splits(*[1] * 10), SPECIAL, 8)
    rows.of_rows["label_ids"] = np.arange(10, dtype=np.int32)
    batcher = RowBatcher(rows, 0)

    def batches(seed, start, count):
        dataset = train_batches(rows, batcher, 4, seed, start)
        return [batch["label_ids"].numpy().tolist() for batch in dataset.take(count)]

    whole = batches(7, 0, 10)
    assert batches(7, 4, 6) == whole[4:]
    assert batches(8, 0, 10) != whole
    order = sum(whole, [])
    for epoch in range(4):
        assert sorted(order[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert order[:10] != order[10:20]


@pytest.mark.parametrize(("group", "batch_size"), [(1, 8), (2, 8), (1, 7), (1, 1000)])
def test_training_batches_hold_examples_of_similar_length(group, batch_size):
    draw = np.random.default_rng(0)
    lengths = draw.integers(1, 60, 1000)
    rows = cut(np.arange(lengths.sum()), splits(*lengths), SPECIAL, 64)
    count = 1000 // group
    rows.group, rows.of_rows["label_ids"] = group, np.arange(1000) // group
    dataset = train_batches(rows, RowBatcher(rows, 0), batch_size, 3)
    batches = [*dataset.take(2 * count // batch_size).as_numpy_iterator()]
    order = np.concatenate([batch["label_ids"] for batch in batches])
    assert sorted(order[:count]) == list(range(count))
    assert len(set(order[count:].tolist())) == len(order) - count
    full = [batch["padding_mask"].any(tuple(range(1, group + 1))) for batch in batches]
    assert all(mask.all() for mask in full)
    padded = sum(batch["padding_mask"].size for batch in batches)
    share = sum(batch["padding_mask"].sum() for batch in batches) / padded
    by_chance = lengths.mean() / 60
    assert share > (0.9 if group == 1 and batch_size < count else by_chance)
    longest = [batch["padding_mask"].shape[-1] for batch in batches[: count // batch_size]]
    assert longest != sorted(longest) or len(longest) == 1


def test_batches_by_length_hold_every_row_once():
    rows = cut(np.arange(40), splits(5, 1, 9, 9, 3, 13), SPECIAL, 32)
    found = list(batches_by_length(rows, 4))
    assert sorted(np.concatenate(found).tolist()) == list(range(6))
    assert [rows.lengths[part].tolist() for part in found] == [[15, 11, 11, 7], [5, 3]]


@pytest.mark.parametrize("group", [1, 2])
def test_workers_take_equal_slices_of_each_batch(group):
    rows = cut(np.arange(60), splits(*[1, 5, 2, 9, 3] * 3), SPECIAL, 16)
    rows = rows if group == 1 else cut(np.arange(60), splits(*[1, 5, 2, 9, 3, 4] * 2), SPECIAL, 16)
    rows.group = group
    rows.of_rows["label_ids"] = np.arange(len(rows), dtype=np.int32) // group
    rows.of_tokens["marks"] = np.arange(len(rows.token_ids), dtype=np.int32)
    batcher = RowBatcher(rows, 0, padded_lengths(16))

    def batches(**workers):
        dataset = train_batches(rows, batcher, 4, 7, 1, **workers)
        assert all(spec.shape[0] == 4 // workers.get("num_workers", 1)
                   for spec in dataset.element_spec.values())  # fmt: skip
        return [*dataset.take(5).as_numpy_iterator()]

    parts = (batches(num_workers=2, worker_index=i) for i in range(2))
    for whole, *slices in zip(batches(), *parts, strict=True):
        for name, feature in whole.items():
            joined = np.concatenate([part[name] for part in slices])
            np.testing.assert_array_equal(joined, feature)
    with pytest.raises(InputError, match="found batches of 4 examples and 3 workers; wanted a mul"):
        train_batches(rows, batcher, 4, 7, num_workers=3)

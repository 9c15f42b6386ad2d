"""Rows in the graph are those of `labelled.token_rows`; computing by length changes nothing."""

from types import SimpleNamespace

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.labelled import token_rows
from roots_tf.tasks import graph_rows

SPECIAL = SimpleNamespace(cls_id=2, sep_id=3, pad_id=0)


def ragged(lengths: list[int], start: int) -> tf.RaggedTensor:
    values = tf.range(start, start + sum(lengths))
    return tf.RaggedTensor.from_row_lengths(values, tf.constant(lengths, tf.int64))


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(0, 40), min_size=1, max_size=5), data=st.data())
def test_rows_are_those_of_training(lengths, data):
    first, firsts = None, None
    if data.draw(st.booleans(), label="pairs"):
        firsts = data.draw(
            st.lists(st.integers(0, 5), min_size=len(lengths), max_size=len(lengths))
        )
        first = ragged(firsts, 1000)
    room = 16 - (3 + max(firsts) if firsts else 2)
    stride = data.draw(st.integers(0, room))
    ids = ragged(lengths, 100)
    found = graph_rows.cut(ids, SPECIAL, 16, stride, first=first)
    wanted = token_rows.cut(
        ids.values.numpy(), ids.row_splits.numpy(), SPECIAL, 16, stride,
        firsts and (first.values.numpy(), first.row_splits.numpy()),
    )  # fmt: skip
    mask = found.features["padding_mask"].numpy()
    assert found.features["token_ids"].numpy()[mask].tolist() == wanted.token_ids.tolist()
    assert found.lengths.numpy().tolist() == wanted.lengths.tolist()
    assert found.texts.numpy().tolist() == wanted.texts.tolist()
    assert found.pieces.numpy().tolist() == wanted.pieces.tolist()
    if first is not None:
        assert found.second.numpy().tolist() == wanted.second.tolist()
    assert mask.shape[1] == max(wanted.lengths)


def test_a_text_is_read_to_where_it_is_asked_for():
    found = graph_rows.cut(ragged([100, 1], 0), SPECIAL, 7, stride=2, most=6)
    assert found.texts.numpy().tolist() == [0, 0, 0, 1]
    assert found.pieces.numpy().tolist() == [0, 2, 4, 0]


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(0, 9), max_size=12), at_once=st.integers(1, 40))
def test_computing_by_length_changes_nothing(lengths, at_once):
    place = np.arange(max([1, *lengths]))
    values = tf.constant(np.arange(len(lengths))[:, None] * 10 + place, tf.float32)
    inside = tf.constant(place < np.array(lengths, int).reshape(-1, 1))

    def function(features):
        kept = tf.where(features["inside"], features["values"], 0.0)
        return {"sum": tf.reduce_sum(kept, 1), "double": kept[..., None] * [1.0, 2.0]}

    features = {"values": values, "inside": inside}
    found = graph_rows.by_length(
        function, features, tf.constant(lengths, tf.int32), at_once, ("double",)
    )
    for name, wanted in function(features).items():
        np.testing.assert_array_equal(found[name], wanted)


def test_memory_is_bounded_by_what_is_computed_at_once():
    sizes = []

    def function(features):
        tf.py_function(lambda values: sizes.append(tuple(values.shape)), [features["values"]], [])
        return {"sum": tf.reduce_sum(features["values"], 1)}

    lengths = [3, 1, 8, 2, 2, 2, 30]
    graph_rows.by_length(function, {"values": tf.zeros([7, 30])}, tf.constant(lengths), 8)
    assert sizes == [(1, 30), (1, 8), (2, 3), (3, 2)]

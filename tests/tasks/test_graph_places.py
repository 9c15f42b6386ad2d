"""Words and pieces in the graph are those of Python's `re` and of `roots_tf.tasks.tagging`."""

import re

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.tasks import graph_places, tagging

TEXTS = st.lists(
    st.text(st.one_of(st.sampled_from(" ab_1-.\t\u00a0é²"), st.characters(codec="utf-8"))),
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_words_are_those_that_re_finds(texts):
    found = graph_places.words(tf.constant(texts, tf.string, [len(texts)]))
    wanted = [[list(m.span()) for m in re.finditer(r"\w+|[^\w\s]", text)] for text in texts]
    splits = found.row_splits.numpy()
    places = found.places.numpy().tolist()
    assert [places[a:b] for a, b in zip(splits[:-1], splits[1:], strict=True)] == wanted


def test_words_of_every_code_point():
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    text = "".join(f"{chr(c)}\n" for c in codes)
    found = graph_places.words(tf.constant([text])).places.numpy()
    wanted = [m.span() for m in re.finditer(r"\w+|[^\w\s]", text)]
    np.testing.assert_array_equal(found, wanted)


@settings(max_examples=100, deadline=None)
@given(text=st.text("ab .-", max_size=20), data=st.data())
def test_first_pieces_are_those_of_training(text, data):
    ends = data.draw(st.sets(st.integers(1, len(text)))) if text else set()
    ends = np.array(sorted(ends), np.int32)
    spans = np.array([m.span() for m in re.finditer(r"\w+|[^\w\s]", text)]).reshape(-1, 2)
    wanted = tagging.first_pieces(ends, spans[:, 0].astype(int), spans[:, 1].astype(int))
    words = graph_places.words(tf.constant([text]))
    found = graph_places.first_pieces(tf.RaggedTensor.from_tensor(ends[None]), words)
    assert found.numpy().tolist() == wanted.tolist()


@given(text=st.text("a \u3000\n", max_size=8), data=st.data())
@settings(max_examples=60, deadline=None)
def test_next_character(text, data):
    start = data.draw(st.integers(0, len(text)))
    found = graph_places.next_character(tf.constant([text, "x"]), tf.constant([start, 0]))
    assert found.numpy().tolist() == [len(text) - len(text[start:].lstrip()), 0]

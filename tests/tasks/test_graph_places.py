"""Words and pieces in the graph are those of Python's `word_units` and `tagging`."""

import re

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.labelled import word_units
from roots_tf.tasks import graph_places, tagging

TEXTS = st.lists(
    st.text(
        st.one_of(
            st.sampled_from(" ab_1-.\t\u00a0é²e\u0301国家ไน้ำ\u3000２😀\ufe0f"),
            st.characters(codec="utf-8"),
        )
    ),
    max_size=6,
)


UNITS = pytest.mark.parametrize("unit", ["spaces", "characters", "characters_and_words"])


@UNITS
@settings(max_examples=60, deadline=None)
@given(texts=TEXTS)
def test_words_are_those_of_python(unit, texts):
    found = graph_places.words(tf.constant(texts, tf.string, [len(texts)]), unit)
    wanted = [word_units.places(text, unit).tolist() for text in texts]
    splits = found.row_splits.numpy()
    places = found.places.numpy().tolist()
    assert [places[a:b] for a, b in zip(splits[:-1], splits[1:], strict=True)] == wanted


@UNITS
@settings(max_examples=60, deadline=None)
@given(texts=TEXTS)
def test_words_with_spaces_between_are_those_that_training_saw(unit, texts):
    given_texts = tf.constant(texts, tf.string, [len(texts)])
    words = graph_places.words(given_texts, unit)
    spaced, moved = graph_places.with_spaces(given_texts, words)
    wanted = [
        word_units.join([text[a:b] for a, b in word_units.places(text, unit)], "spaces")
        for text in texts
    ]
    assert [text.decode() for text in spaced.numpy()] == [text for text, _, _ in wanted]
    of_char = np.split(moved.of_char.numpy(), moved.char_splits.numpy()[1:-1])
    for row, (text, starts, ends) in enumerate(wanted):
        base = int(words.row_splits[row])
        of_text = np.full(len(text), -1)
        for word, (start, end) in enumerate(zip(starts, ends, strict=True)):
            of_text[start:end] = base + word
        assert of_char[row].tolist() == of_text.tolist()
    np.testing.assert_array_equal(moved.places, words.places)


@UNITS
def test_words_of_every_code_point(unit):
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    text = "".join(f"{chr(c)}\n" for c in codes)
    found = graph_places.words(tf.constant([text]), unit).places.numpy()
    np.testing.assert_array_equal(found, word_units.places(text, unit))


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

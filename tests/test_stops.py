"""Texts at which to end, and what of a stream is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roots_tf.stops import Stops, Stream


def test_the_stop_that_is_complete_first_ends_a_text():
    assert Stops(["abc", "b"]).find(b"xabc") == (2, 3)
    assert Stops(["abc", "c"]).find(b"xabc") == (1, 4)  # of two that end together, the longer one
    assert Stops(["zz"]).find(b"xabc") is None
    assert not Stops() and Stops(["a"])
    with pytest.raises(ValueError, match="empty"):
        Stops(["a", ""])


def test_what_may_begin_a_stop_is_held_back():
    stream = Stream(Stops(["\n\n"]))
    assert stream.add(b"One.\n") == "One."
    assert stream.add(b"Two.\n") == "\nTwo."
    assert stream.add(b"\nThree") == ""
    assert stream.has_ended and stream.text == b"One.\nTwo."
    assert stream.add(b"more") == stream.finish() == ""


def test_half_a_character_is_held_back():
    stream = Stream(Stops())
    assert [stream.add(bytes([byte])) for byte in "漢a".encode()] == ["", "", "漢", "a"]
    assert stream.add("漢".encode()[:2]) == ""
    assert stream.finish() == "\ufffd"


@given(
    st.lists(st.binary(max_size=4), max_size=8),
    st.lists(st.text("aé漢", min_size=1, max_size=3), max_size=3),
    st.text("aé漢", max_size=12),
)
def test_a_stream_gives_what_the_whole_text_does(pieces, stops, text):
    data = text.encode()
    pieces = [*pieces, *(data[i : i + 2] for i in range(0, len(data), 2))]
    stream, made, shown = Stream(Stops(stops)), b"", ""
    for piece in pieces:
        shown += stream.add(piece)
        made += piece
        assert made.decode("utf-8", "replace").startswith(shown.rstrip("\ufffd"))
    found = Stops(stops).find(made)
    assert stream.has_ended == (found is not None)
    whole = made[: found[0]] if found else made
    assert shown + stream.finish() == whole.decode("utf-8", "replace")

"""Windows over long texts: every token is scored once, with as much before it as is promised."""

from hypothesis import given
from hypothesis import strategies as st

from roots_tf.scoring.windows import windows


def test_windows_overlap_and_the_last_ends_where_the_tokens_do():
    assert [tuple(w) for w in windows(7, room=4, stride=2)] == [(0, 4, 0), (2, 6, 4), (3, 7, 6)]
    assert [tuple(w) for w in windows(3, room=4, stride=2)] == [(0, 3, 0)]
    assert [tuple(w) for w in windows(8, room=4, stride=4)] == [(0, 4, 0), (4, 8, 4)]
    # No window is read for the tokens of a prompt alone.
    assert [tuple(w) for w in windows(9, room=4, stride=2, first=6)] == [(4, 8, 6), (5, 9, 8)]


@given(st.integers(1, 60), st.integers(1, 12), st.data())
def test_every_token_is_scored_once_with_enough_before_it(count, room, data):
    stride = data.draw(st.integers(1, room))
    first = data.draw(st.integers(0, count - 1))
    scored = []
    for window in windows(count, room, stride, first):
        assert 0 <= window.start <= window.scored < window.end <= count
        assert window.end - window.start <= room
        for place in range(window.scored, window.end):
            assert place - window.start >= min(place, room - stride) or window.start == 0
        scored += range(window.scored, window.end)
    assert scored == [*range(first, count)]

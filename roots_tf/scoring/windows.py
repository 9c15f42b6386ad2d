"""Windows over a text that is longer than a model reads at once: each token is scored once."""

from collections.abc import Iterator
from typing import NamedTuple


class Window(NamedTuple):
    """Places [start, end) that are read at once, of which those from `scored` on are scored."""

    start: int
    end: int
    scored: int


def windows(count: int, room: int, stride: int, first: int = 0) -> Iterator[Window]:
    """Windows over `count` tokens: full ones, and the last ends where the tokens do.

    >>> [tuple(window) for window in windows(7, room=4, stride=2)]
    [(0, 4, 0), (2, 6, 4), (3, 7, 6)]

    The first window scores all of its tokens from `first` on, each later one those that are new in
    it, at most `stride`: they have at least `room - stride` tokens before them.

    Args:
        count: of the tokens.
        room: tokens of a window at most.
        stride: tokens that are new in a window, at most `room`.
        first: the first token that is scored; no window is read for those before it alone.
    """
    end = min(count, max(room, first + stride))
    start, scored = max(0, end - room), first
    while scored < count:
        yield Window(start, end, scored)
        scored, end = end, min(count, end + stride)
        start = max(0, end - room)

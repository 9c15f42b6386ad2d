"""Where a text ends before its model would end it, and what of a stream may be shown already."""

import codecs
from collections.abc import Sequence


class Stops:
    """Texts at which to end.

    Args:
        texts: none of them empty.

    Raises:
        ValueError: one is empty.
    """

    def __init__(self, texts: Sequence[str] = ()):
        if "" in texts:
            raise ValueError("found an empty text to stop at; wanted one character or more")
        self._stops = [text.encode("utf-8") for text in texts]

    def __bool__(self) -> bool:
        return bool(self._stops)

    def find(self, text: bytes) -> tuple[int, int] | None:
        """Start and end of the stop that is complete first, or None.

        >>> Stops(["abc", "b"]).find(b"xabc")
        (2, 3)

        Args:
            text: bytes of UTF-8, from its start on.
        """
        found = ((text.find(stop), len(stop)) for stop in self._stops)
        places = [(start + size, start) for start, size in found if start >= 0]
        return min(places)[::-1] if places else None

    def held(self, text: bytes) -> int:
        """How many of the last bytes may be the beginning of a stop.

        >>> Stops(["abc"]).held(b"xab")
        2

        Args:
            text: in which none is found.
        """
        sizes = (
            size
            for stop in self._stops
            for size in range(min(len(stop) - 1, len(text)), 0, -1)
            if text.endswith(stop[:size])
        )
        return max(sizes, default=0)


class Stream:
    """A text that comes piece by piece: gives what is sure to stay, in whole characters.

    Args:
        stops: at which it ends.

    Attributes:
        text: bytes so far, as they came; from `stops` on they are left out.
        has_ended: whether a stop was found; nothing comes behind it.
    """

    def __init__(self, stops: Stops):
        self._stops, self._given = stops, 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.text, self.has_ended = b"", False

    def add(self, piece: bytes) -> str:
        """The characters that can be shown now that some more bytes have come."""
        if self.has_ended:
            return ""
        self.text += piece
        if found := self._stops.find(self.text):
            self.text, self.has_ended = self.text[: found[0]], True
            return self._give(len(self.text), final=True)
        return self._give(len(self.text) - self._stops.held(self.text))

    def finish(self) -> str:
        """The characters that were held back; half of one becomes U+FFFD."""
        return "" if self.has_ended else self._give(len(self.text), final=True)

    def _give(self, end: int, final: bool = False) -> str:
        piece, self._given = self.text[self._given : end], max(self._given, end)
        return self._decoder.decode(piece, final)

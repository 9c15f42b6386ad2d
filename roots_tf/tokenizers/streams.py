"""Text as its ids come, one by one; and where it is to stop.

    stream, scanner = TextStream(tokenizer), StopScanner(["\\n\\n"])
    for token_id in ids:
        text = scanner.push(stream.push([token_id]))
        print(text, end="")
        if scanner.found is not None:
            break
    else:
        print(scanner.push(stream.close()) + scanner.close(), end="")

Both take time linear in the text and hold back only what may yet change: bytes that are a part of
a character, and the beginning of a stop string.
"""

import codecs
from collections import deque
from collections.abc import Sequence

from roots_tf.storage import files
from roots_tf.tokenizers import decoding


class Decoding:
    """What the streams of a tokenizer share: its table, made once.

    Args:
        tokenizer: `roots_tf.tokenizers.Tokenizer`.

    Raises:
        InputError: its decoder is none that can be followed token by token.
    """

    def __init__(self, tokenizer):
        self.table = decoding.table(tokenizer)

    def stream(self, skip_special_tokens: bool = True) -> "TextStream":
        """A new stream; `skip_special_tokens` leaves those out."""
        return TextStream(self, skip_special_tokens)


class TextStream:
    """Increments of a text, which together are `Tokenizer.decode` of all ids.

    Args:
        source: a `Tokenizer`, or the `Decoding` of one where many streams are opened.
        skip_special_tokens: whether special tokens are left out.
    """

    def __init__(self, source, skip_special_tokens: bool = True):
        decoding_ = source if isinstance(source, Decoding) else Decoding(source)
        self._table = decoding_.table
        self._skips = skip_special_tokens
        self._is_first = True
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._run = bytearray()  # neighbouring ids that stand for bytes beside pieces of text
        self._strips = self._table.strips

    def push(self, ids: Sequence[int]) -> str:
        """What the next `ids` add to the text, as far as it is settled; often "" or a word.

        Of byte-level BPE up to three bytes are held back. Of a vocabulary with `<0xE4>` beside
        pieces of text, neighbours among those are: one that does not fit makes U+FFFD of them all.
        """
        return self._stripped("".join(self._said(int(i)) for i in ids))

    def close(self) -> str:
        """What was held back: the end of the text. The stream takes no more ids."""
        rest = self._ended_run() if not self._table.in_bytes else self._utf8.decode(b"", final=True)
        return self._stripped(rest)

    def _said(self, token_id: int) -> str:
        """What one id adds."""
        table = self._table
        if not 0 <= token_id < len(table.later):
            return ""  # as `Tokenizer.decode`
        if self._skips and table.is_special[token_id]:
            return ""
        said = (table.first if self._is_first else table.later)[token_id]
        self._is_first = False
        if table.in_bytes:
            return self._utf8.decode(said)
        if table.is_byte[token_id]:
            self._run += said
            return ""
        return self._ended_run() + said.decode()

    def _ended_run(self) -> str:
        """The text of neighbouring bytes, of which no more come."""
        run, self._run = bytes(self._run), bytearray()
        try:
            return run.decode()
        except UnicodeDecodeError:
            return decoding.REPLACEMENT * len(run)

    def _stripped(self, text: str) -> str:
        """The text without what is taken off the beginning of the whole."""
        while text and self._strips:
            if not text.startswith(self._table.stripped):
                self._strips = 0
                break
            text, self._strips = text[len(self._table.stripped) :], self._strips - 1
        return text


class StopScanner:
    """Text up to the first of several strings, however the text is cut into increments.

    The strings are looked for together, a character at a time (Aho and Corasick 1975, "Efficient
    String Matching", section 2). The one that is complete first counts; of several that end at the
    same character, the longest.

    >>> scanner = StopScanner(["User:"])
    >>> scanner.push("Yes.\\nUs"), scanner.push("er: No"), scanner.found
    ('Yes.\\n', '', 'User:')

    Args:
        stops: strings at which a text ends; none of them: it never does.

    Attributes:
        found: the string that was found; None so far. Nothing is given from it on.

    Raises:
        InputError: one of the strings is empty.
    """

    def __init__(self, stops: Sequence[str]):
        if "" in stops:
            raise files.InputError(
                'found the stop string ""; wanted strings of at least one character'
            )
        self.found: str | None = None
        self._next: list[dict[str, int]] = [{}]  # of each node of the trie
        self._depth, self._stop, self._fallback = [0], [None], [0]
        for stop in stops:
            self._add(stop)
        self._link()
        self._node, self._held = 0, ""

    def _add(self, stop: str) -> None:
        """Puts a string into the trie."""
        node = 0
        for character in stop:
            if character not in self._next[node]:
                self._next[node][character] = len(self._next)
                self._next.append({})
                self._depth.append(self._depth[node] + 1)
                self._stop.append(None)
                self._fallback.append(0)
            node = self._next[node][character]
        self._stop[node] = stop

    def _link(self) -> None:
        """Finds for each node the longest proper suffix of it that begins a string, too."""
        waiting = deque(self._next[0].values())
        while waiting:
            node = waiting.popleft()
            for character, child in self._next[node].items():
                waiting.append(child)
                self._fallback[child] = self._step(self._fallback[node], character)
            if self._stop[node] is None:
                self._stop[node] = self._stop[self._fallback[node]]

    def _step(self, node: int, character: str) -> int:
        """The node behind a character."""
        while node and character not in self._next[node]:
            node = self._fallback[node]
        return self._next[node].get(character, 0)

    def push(self, text: str) -> str:
        """Gives what is settled of the text so far: no stop string begins in it."""
        if self.found is not None:
            return ""
        text = self._held + text
        for place in range(len(self._held), len(text)):
            self._node = self._step(self._node, text[place])
            if (stop := self._stop[self._node]) is not None:
                self.found, self._held = stop, ""
                return text[: place + 1 - len(stop)]
        settled = len(text) - self._depth[self._node]
        self._held = text[settled:]
        return text[:settled]

    def close(self) -> str:
        """What was held back, where the text ends without a stop string."""
        held, self._held, self._node = self._held, "", 0
        return held

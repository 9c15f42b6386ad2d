"""Bulk encoding: many texts to one array of ids, mostly by looking words up.

Natural text repeats its words. At some places, such as spaces, a text can be cut without changing
the ids of either part. A stretch between two cuts is encoded once by Hugging Face `tokenizers`;
when it comes again, its ids are looked up. So the ids are those of `tokenizers` by construction, no
Python list of ids is made, and TensorFlow is not imported.

On 65 MB of novels and two cores that were busy with other work: `encode_batch_fast` on both cores
1.6 MB/s, the graph tokenizer 6 to 9 on one stream after 5 s and 400 MB of TensorFlow, this 8.3 in
one process after 0.2 s and some 200 MB of cache; `benchmarks/tokenizers.py` measures it again.
"""

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

import numpy as np

# What is kept before a cache starts anew; together some 200 MB.
MAX_CACHED_STRETCHES = 1 << 20
MAX_CACHED_CHARS = 1 << 25
# That `tokenizers` is given at once: what it returns holds some 100 bytes a token until it is read.
MAX_CHARS_AT_ONCE = 1 << 19

_REFUSED = -1  # stands for the ids of a stretch that cannot be encoded by itself


class _Numbers(dict):
    """Numbers its keys in the order in which they are first looked up; `new` lists those."""

    def __init__(self):
        self.new = []

    def __missing__(self, key):
        number = self[key] = len(self)
        self.new.append(key)
        return number


class StretchCache:
    """Ids of every stretch of text seen so far, as one ragged array.

    Args:
        encode: turns a list of stretches into (ids [total], row_splits [n + 1]).
    """

    def __init__(self, encode: Callable[[list[str]], tuple[np.ndarray, np.ndarray]]):
        self._encode = encode
        self._clear()

    def _clear(self) -> None:
        self._numbers = _Numbers()
        self._num_chars = 0
        self._ids = np.empty(0, np.int32)
        self._starts = np.empty(0, np.int64)
        self._lengths = np.empty(0, np.int32)

    def look_up(self, rows: Sequence[list[str]]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of rows of stretches.

        Args:
            rows: the stretches of each text.

        Returns:
            ids int32 [total] and row_splits int64 [len(rows) + 1].
        """
        if len(self._numbers) > MAX_CACHED_STRETCHES or self._num_chars > MAX_CACHED_CHARS:
            self._clear()
        row_splits = _splits(np.fromiter(map(len, rows), np.int64, len(rows)))
        numbers = np.fromiter(
            map(self._numbers.__getitem__, itertools.chain.from_iterable(rows)),
            np.int32,
            int(row_splits[-1]),
        )
        if self._numbers.new:
            self._learn(self._numbers.new)
            self._numbers.new = []
        ids, splits = _gathered(self._ids, self._starts[numbers], self._lengths[numbers])
        return ids, splits[row_splits]

    def _learn(self, stretches: list[str]) -> None:
        """Encodes stretches and appends their ids."""
        try:
            ids, splits = self._encode(stretches)
        except BaseException:
            self._clear()  # the stretches have numbers but no ids
            raise
        self._num_chars += sum(map(len, stretches))
        self._starts = np.concatenate([self._starts, splits[:-1] + len(self._ids)])
        self._lengths = np.concatenate([self._lengths, np.diff(splits).astype(np.int32)])
        self._ids = np.concatenate([self._ids, ids])


# `str.split` cuts at these; BERT's normalisation removes them, and joins their neighbours.
_NOT_SEPARATORS = re.compile("[\x0b\x0c\x1c-\x1f\x85]")
_BETWEEN_SEPARATORS = re.compile(r"[^ \t\n\r]+")


def stretches(text: str) -> list[str]:
    """The stretches between whitespace, as BERT defines whitespace."""
    # `str.split` is three times as fast as a pattern.
    return _BETWEEN_SEPARATORS.findall(text) if _NOT_SEPARATORS.search(text) else text.split()


class WholeTexts:
    """Encodes texts whole: for tokenizers without known places to cut at.

    Args:
        backend: `tokenizers.Tokenizer`.
    """

    def __init__(self, backend):
        self._backend = backend

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of texts: int32 [total], and row_splits int64 [len(texts) + 1]."""
        flat, lengths = [np.empty(0, np.int32)], []
        for some in _batches(texts):
            encodings = self._backend.encode_batch_fast(some, add_special_tokens=False)
            ids = [encoding.ids for encoding in encodings]
            lengths.extend(map(len, ids))
            total = sum(map(len, ids))
            flat.append(np.fromiter(itertools.chain.from_iterable(ids), np.int32, total))
        return np.concatenate(flat), _splits(np.array(lengths, np.int64))


class CutAtWhitespace(WholeTexts):
    """Encodes texts by what stands between whitespace.

    Args:
        backend: a tokenizer to which whitespace is a separator and nothing else.
        parts: pattern of the parts of a stretch that are encoded independently; None if there are
            none.
    """

    def __init__(self, backend, parts: str | None):
        super().__init__(backend)
        self._parts = re.compile(parts) if parts else None
        self._part_cache = StretchCache(super().encode)
        self._cache = StretchCache(self._encode_stretches) if parts else self._part_cache

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of texts: int32 [total], and row_splits int64 [len(texts) + 1]."""
        return self._cache.look_up([stretches(text) for text in texts])

    def _encode_stretches(self, stretches: list[str]) -> tuple[np.ndarray, np.ndarray]:
        return self._part_cache.look_up([self._parts.findall(text) for text in stretches])


class CutBeforeSpaces(WholeTexts):
    """Encodes texts in stretches that start at a space, as words of byte-level BPE do.

    A single space between two visible characters always starts a word. A text with any other space
    is encoded whole.
    """

    def __init__(self, backend):
        super().__init__(backend)
        self._cache = StretchCache(self._encode_stretches)

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of texts: int32 [total], and row_splits int64 [len(texts) + 1]."""
        rows = [text.split(" ") for text in texts]
        # Mark the first stretch of each text, which has no space before it; no other holds a space.
        for row in rows:
            row[0] = " " + row[0]
        ids, splits = self._cache.look_up(rows)
        refused = np.unique(np.searchsorted(splits, np.flatnonzero(ids == _REFUSED), "right") - 1)
        if not len(refused):
            return ids, splits
        whole_ids, whole_splits = super().encode([texts[row] for row in refused])
        starts, lengths = splits[:-1].copy(), np.diff(splits)
        starts[refused] = len(ids) + whole_splits[:-1]
        lengths[refused] = np.diff(whole_splits)
        return _gathered(np.concatenate([ids, whole_ids]), starts, lengths)

    def _encode_stretches(self, stretches: list[str]) -> tuple[np.ndarray, np.ndarray]:
        visible = np.fromiter(map(_is_visible, stretches), bool, len(stretches))
        ids, splits = super().encode(
            [
                stretch[1:] if stretch[0] == " " else " " + stretch
                for stretch in itertools.compress(stretches, visible)
            ]
        )
        lengths = np.ones(len(stretches), np.int64)
        starts = np.full(len(stretches), len(ids))
        lengths[visible], starts[visible] = np.diff(splits), splits[:-1]
        return _gathered(np.append(ids, np.int32(_REFUSED)), starts, lengths)


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Valid texts in lists of `MAX_CHARS_AT_ONCE` characters, or of one text that is longer."""
    batch, chars = [], 0
    for text in texts:
        if chars + len(text) > MAX_CHARS_AT_ONCE and batch:
            yield batch
            batch, chars = [], 0
        batch.append(valid_text(text))
        chars += len(text)
    if batch:
        yield batch


def _is_visible(stretch: str) -> bool:
    """Whether a stretch starts and ends with letters, numbers, punctuation or symbols.

    No normaliser removes such a character, or makes a space of it.
    """
    stretch = stretch.removeprefix(" ")
    return bool(stretch) and all(
        unicodedata.category(character)[0] in "LNPS" for character in (stretch[0], stretch[-1])
    )


def valid_text(text: str | bytes) -> str:
    """A text without unpaired surrogates or invalid UTF-8, as every decoder replaces them.

    Each maximal invalid part becomes one U+FFFD (Unicode 3.9, best practice of W3C), as in
    `tf.strings.unicode_decode`; the bytes of a surrogate become three.
    """
    if isinstance(text, bytes):
        return text.decode("utf-8", "replace")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text


def _gathered(
    values: np.ndarray, starts: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows values[start : start + length], one behind the other, and their splits.

    >>> _gathered(np.array([5, 6, 7]), np.array([1, 0]), np.array([2, 1]))
    (array([6, 7, 5]), array([0, 2, 3]))
    """
    splits = _splits(lengths)
    shift = np.repeat(starts - splits[:-1], lengths)
    return values[shift + np.arange(splits[-1])], splits


def _splits(lengths: np.ndarray) -> np.ndarray:
    """Row splits of rows with the given lengths.

    >>> _splits(np.array([2, 0, 1]))
    array([0, 2, 2, 3])
    """
    splits = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=splits[1:])
    return splits

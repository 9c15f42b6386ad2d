"""Bulk encoding: many texts to one array of ids, at the speed of looking words up.

Natural text repeats its words, and a tokenizer's answer for a stretch of text between two safe cuts
does not depend on what stands outside. So a text is cut where cutting changes nothing, each stretch
that was not seen before is encoded once by the reference implementation (Hugging Face
`tokenizers`), and all others are looked up. The ids are those of `tokenizers` by construction, no
Python list of ids is ever made, and TensorFlow is not imported.

On 65 MB of novels, two shared cores (see `benchmarks/tokenizers.py`), bare `encode_batch_fast` does
1.4-3.8 MB/s on both cores, tensorflow-text's FastBertTokenizer 7-15 on one, this some 8-15 on
one, and worker processes multiply it.
"""

import itertools
import re
from collections.abc import Callable, Sequence

import numpy as np

# What is kept before a cache starts anew; together some 200 MB.
MAX_CACHED_STRETCHES = 1 << 20
MAX_CACHED_CHARS = 1 << 25


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
        row_lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        stretch_splits = _splits(row_lengths)
        numbers = np.fromiter(
            map(self._numbers.__getitem__, itertools.chain.from_iterable(rows)),
            np.int32,
            int(stretch_splits[-1]),
        )
        if self._numbers.new:
            self._learn(self._numbers.new)
            self._numbers.new = []
        lengths = self._lengths[numbers]
        id_splits = _splits(lengths)
        shift = np.repeat(self._starts[numbers] - id_splits[:-1], lengths)
        return self._ids[shift + np.arange(id_splits[-1])], id_splits[stretch_splits]

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


class BulkEncoder:
    """Encodes texts through a cache of stretches.

    Args:
        backend: `tokenizers.Tokenizer`.
        fine: pattern that cuts a text into stretches whose ids do not depend on one another.
        whitespace: whether ids are independent across whitespace, so that `str.split` may cut
            first; it is three times as fast as a pattern, and most coarse stretches repeat.
    """

    # Whitespace to `str.split` that BERT's normalisation removes instead of cutting there.
    _NOT_SEPARATORS = re.compile("[\x0b\x0c\x1c-\x1f\x85]")

    def __init__(self, backend, fine: str, whitespace: bool):
        self._backend = backend
        self._fine = re.compile(fine)
        self._fine_cache = StretchCache(self._encode_stretches)
        self._coarse_cache = StretchCache(self._encode_coarse) if whitespace else None

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of texts: int32 [total], and row_splits int64 [len(texts) + 1]."""
        if self._coarse_cache is None or any(map(self._NOT_SEPARATORS.search, texts)):
            return self._fine_cache.look_up([self._fine.findall(text) for text in texts])
        return self._coarse_cache.look_up([text.split() for text in texts])

    def _encode_coarse(self, stretches: list[str]) -> tuple[np.ndarray, np.ndarray]:
        return self._fine_cache.look_up([self._fine.findall(text) for text in stretches])

    def _encode_stretches(self, stretches: list[str]) -> tuple[np.ndarray, np.ndarray]:
        encodings = self._backend.encode_batch_fast(
            [valid_text(text) for text in stretches], add_special_tokens=False
        )
        ids = [encoding.ids for encoding in encodings]
        splits = _splits(np.fromiter(map(len, ids), np.int64, len(ids)))
        flat = np.fromiter(itertools.chain.from_iterable(ids), np.int32, int(splits[-1]))
        return flat, splits


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


def _splits(lengths: np.ndarray) -> np.ndarray:
    """Row splits of rows with the given lengths.

    >>> _splits(np.array([2, 0, 1]))
    array([0, 2, 2, 3])
    """
    splits = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=splits[1:])
    return splits

"""Supervised models of fastText, `.bin` and `.ftz`, read and applied with numpy.

The format is that of fastText 0.9 (Joulin et al. 2016, "Bag of Tricks for Efficient Text
Classification", and 2016, "FastText.zip: Compressing text classification models"), version 12 of
the file: arguments, dictionary, input matrix, output matrix, each whole or as a product quantizer's
codes. A text is its words, their character n-grams and their word n-grams, all by the hashes that
fastText has; its vector is the mean of their rows. Nothing in such a file is code.
"""

import functools
import mmap
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from roots_tf.storage.files import InputError

MAGIC, VERSIONS, SUPERVISED = 793712314, (11, 12), 3
HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VERSUS_ALL = 1, 2, 3, 4
_FNV_BASIS, _FNV_PRIME, _WORD_NGRAM = 2166136261, 16777619, 116049371
_ARGUMENTS = (
    *("dim", "ws", "epoch", "min_count", "neg", "word_ngrams", "loss", "model", "bucket"),
    *("minn", "maxn", "lr_update_rate"),
)
_SPACES = str.maketrans(dict.fromkeys("\n\r\t\v\f\0", " "))
_END = b"</s>"
_SIZES = 256  # centroids of a quantizer


class _Reader:
    """The values of a file, one after the other.

    Raises:
        EOFError: the file ends before.
    """

    def __init__(self, path: Path):
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.place = 0

    def values(self, kinds: str) -> tuple:
        """The next values, little endian; `kinds` as for `struct`."""
        size = struct.calcsize(f"<{kinds}")
        if self.place + size > len(self._bytes):
            raise EOFError
        found = struct.unpack_from(f"<{kinds}", self._bytes, self.place)
        self.place += size
        return found

    def text(self) -> bytes:
        """Bytes up to the next zero."""
        end = self._bytes.find(b"\0", self.place)
        if end < 0:
            raise EOFError
        found, self.place = self._bytes[self.place : end], end + 1
        return found

    def array(self, kind: str, number: int) -> np.ndarray:
        """The next `number` of values as a view of the file."""
        size = number * np.dtype(kind).itemsize
        if number < 0 or self.place + size > len(self._bytes):
            raise EOFError
        found = np.frombuffer(self._bytes, kind, number, self.place)
        self.place += size
        return found

    @property
    def left(self) -> int:
        """Bytes to the end."""
        return len(self._bytes) - self.place


class _Quantizer:
    """Vectors as codes, a byte for a few dimensions each."""

    def __init__(self, reader: _Reader):
        self._dim, self.parts, self._width, _ = reader.values("4i")
        self._centroids = reader.array("<f4", self._dim * _SIZES)

    def vectors(self, codes: np.ndarray) -> np.ndarray:
        """[rows, dim] of codes [rows, parts]."""
        pieces = []
        for part in range(self.parts):
            begin = part * self._width
            width = min(self._width, self._dim - begin)
            table = self._centroids[begin * _SIZES : (begin + width) * _SIZES]
            pieces.append(table.reshape(_SIZES, width)[codes[:, part]])
        return np.concatenate(pieces, axis=1)


class _Matrix:
    """Rows of a matrix, whole or quantized; of the `rows` wanted the vectors [rows, dim]."""

    def __init__(self, reader: _Reader, is_quantized: bool):
        self._codes = None
        if not is_quantized:
            self.rows, columns = reader.values("2q")
            self._values = reader.array("<f4", self.rows * columns).reshape(self.rows, columns)
            return
        (self._has_norms,) = reader.values("?")
        self.rows, _, size = reader.values("2qi")
        codes = reader.array("u1", size)
        self._quantizer = _Quantizer(reader)
        self._codes = codes.reshape(self.rows, self._quantizer.parts)
        if self._has_norms:
            self._norms = reader.array("u1", self.rows)[:, None]
            self._norm_quantizer = _Quantizer(reader)

    def __getitem__(self, rows: Sequence[int]) -> np.ndarray:
        if self._codes is None:
            return self._values[rows]
        vectors = self._quantizer.vectors(self._codes[rows])
        return (
            vectors * self._norm_quantizer.vectors(self._norms[rows])
            if self._has_norms
            else vectors
        )


class FastText:
    """A supervised model.

    Attributes:
        labels: without `__label__`, the most frequent one of its training first.

    Args:
        path: of the file.

    Raises:
        InputError: it is no such file, is cut off, or holds vectors of words and no classifier.
    """

    def __init__(self, path: str | Path):
        try:
            self._read(_Reader(Path(path)))
            self.probabilities("a word or two")  # rows or columns that do not fit show here
        except (EOFError, ValueError, LookupError, ArithmeticError, struct.error) as error:
            raise InputError(
                "file-damaged",
                f"found the end of {path} in the middle of a fastText model, or no such model; "
                "wanted a supervised .bin or .ftz of fastText, whole: fetch it anew",
            ) from error
        except OSError as error:
            raise InputError(
                "no-such-file",
                f"could not read {path} ({error.strerror}); wanted a .bin or .ftz of fastText: "
                "correct `model` of the step classifier",
            ) from error

    def _read(self, reader: _Reader) -> None:
        magic, version = reader.values("2i")
        if magic != MAGIC or version not in VERSIONS:
            raise ValueError("another format")
        self._args = dict(zip(_ARGUMENTS, reader.values("12i"), strict=True))
        reader.values("d")
        if self._args["model"] != SUPERVISED:
            raise ValueError("vectors of words")
        if version == VERSIONS[0]:
            self._args["maxn"] = 0
        size, self._num_words, num_labels, _, pruned = reader.values("3i2q")
        entries = [(reader.text(), *reader.values("qb")) for _ in range(size)]
        self._words = {word: number for number, (word, _, kind) in enumerate(entries) if not kind}
        named = [(word.decode("utf-8", "replace"), count) for word, count, kind in entries if kind]
        self.labels = [label.removeprefix("__label__") for label, _ in named]
        if len(self.labels) != num_labels or not num_labels:
            raise ValueError("no labels")
        self._kept = None
        if pruned >= 0:  # of a quantized model, which has dropped rows
            pairs = reader.array("<i4", 2 * pruned).reshape(-1, 2).tolist()
            self._kept = dict(pairs)
        (is_quantized,) = reader.values("?")
        self._input = _Matrix(reader, is_quantized)
        (is_output_quantized,) = reader.values("?")
        output = _Matrix(reader, is_quantized and is_output_quantized)
        self._output = np.array(output[np.arange(output.rows)])
        if self._args["loss"] == HIERARCHICAL:
            self._tree = _tree([count for _, count in named])

    def probabilities(self, text: str) -> np.ndarray:
        """The probability of each label, as float32; of one-versus-all each for itself.

        A line end counts as a space: fastText itself takes one line at a time.

        Args:
            text: any text.
        """
        rows = self._rows(text)
        if not rows:
            return np.full(len(self.labels), 1 / len(self.labels), np.float32)
        hidden = self._input[rows].mean(axis=0)
        scores = self._output @ hidden
        loss = self._args["loss"]
        if loss == SOFTMAX:
            scores = np.exp(scores - scores.max())
            return scores / scores.sum()
        scores = 1 / (1 + np.exp(-scores))
        return self._leaves(scores) if loss == HIERARCHICAL else scores

    def _leaves(self, rights: np.ndarray) -> np.ndarray:
        """Probabilities of the leaves of the tree from those of turning right at each node."""
        left, right = self._tree
        number = len(self.labels)
        found = np.ones(2 * number - 1)
        for node in range(2 * number - 2, number - 1, -1):
            probability = rights[node - number]
            found[left[node]] = found[node] * (1 - probability)
            found[right[node]] = found[node] * probability
        return found[:number].astype(np.float32)

    def _rows(self, text: str) -> list[int]:
        """The rows of the input matrix that a text is made of."""
        rows, hashes = [], []
        tokens = [
            word for word in text.translate(_SPACES).encode("utf-8", "replace").split(b" ") if word
        ]
        for token in [*tokens, _END]:
            number = self._words.get(token, -1)
            if number < 0 and token.startswith(b"__label__"):
                continue
            hashes.append(_signed(_hash(token)))
            rows += self._of_word(token, number)
        n = self._args["word_ngrams"]
        for first, value in enumerate(hashes) if n > 1 else ():
            value %= 1 << 64
            for other in hashes[first + 1 : first + n]:
                value = (value * _WORD_NGRAM + other) % (1 << 64)
                rows += self._row(value % self._args["bucket"])
        return rows

    def _row(self, bucket: int) -> list[int]:
        """The row of a hashed n-gram; none where a quantized model has dropped it."""
        if self._kept is not None:
            bucket = self._kept.get(bucket, -1)
        return [self._num_words + bucket] if bucket >= 0 else []

    @functools.lru_cache(100_000)  # noqa: B019  a model lives as long as its process
    def _of_word(self, token: bytes, number: int) -> list[int]:
        rows = [number] if number >= 0 else []
        if self._args["maxn"] > 0 and token != _END:
            for value in _character_ngrams(b"<%b>" % token, self._args["minn"], self._args["maxn"]):
                rows += self._row(value % self._args["bucket"])
        return rows


def _hash(token: bytes, value: int = _FNV_BASIS) -> int:
    """FNV-1a of 32 bits, with bytes as signed numbers, as fastText has it."""
    for byte in token:
        value = (value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * _FNV_PRIME & 0xFFFFFFFF
    return value


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


def _character_ngrams(word: bytes, least: int, most: int) -> Iterator[int]:
    """Hashes of the n-grams of characters of a word in angle brackets; of no bracket alone."""
    starts = [place for place, byte in enumerate(word) if byte & 0xC0 != 0x80]
    ends = [*starts[1:], len(word)]
    for first, begin in enumerate(starts):
        value = _FNV_BASIS
        for n, (start, end) in enumerate(zip(starts[first:], ends[first:], strict=True), 1):
            if n > most:
                break
            value = _hash(word[start:end], value)
            if n >= least and not (n == 1 and (begin == 0 or end == len(word))):
                yield value


def _tree(counts: list[int]) -> tuple[list[int], list[int]]:
    """The Huffman tree of labels: of each node the left and the right one below."""
    number = len(counts)
    sizes = [*counts, *[10**15] * (number - 1)]
    left, right = [-1] * len(sizes), [-1] * len(sizes)
    leaf, node = number - 1, number
    for parent in range(number, 2 * number - 1):
        below = []
        for _ in range(2):
            if leaf >= 0 and sizes[leaf] < sizes[node]:
                below.append(leaf)
                leaf -= 1
            else:
                below.append(node)
                node += 1
        left[parent], right[parent] = below
        sizes[parent] = sizes[below[0]] + sizes[below[1]]
    return left, right

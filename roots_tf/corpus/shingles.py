"""Hashes of words and of word n-grams (shingles), of many texts at once.

A word is a run of letters, marks and digits, in any case; punctuation and symbols stand between
words. In scripts that are written without spaces a word begins at each character. It is two
characters long in Chinese and Japanese and four in Thai, Lao, Khmer, Burmese and their like, or
shorter at the end of the run; a Tibetan word is a syllable. Everything is arithmetic on arrays of
code points, at some 50 MB a second: words never become strings.
"""

import functools
import sys
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

BATCH_CHARS = 1 << 16  # hashed at once: the arrays of that many characters fit into the cache

_SEPARATOR, _PART, _PAIR, _FOUR = range(4)  # what a character is: the last two begin a word
_WIDTHS = np.array([0, 0, 2, 4])  # characters of such a word
_UNSPACED = {
    _PAIR: (  # Han, kana and their extensions
        *((0x3005, 0x3007), (0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF)),
        *((0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9D), (0x1B000, 0x1B16F)),
        (0x20000, 0x3FFFF),
    ),
    _FOUR: (  # Thai and Lao, Burmese with its extensions, Khmer; Tai, Balinese, Yi, Javanese
        *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0xA9E0, 0xA9FF)),
        *((0xAA60, 0xAA7F), (0x1950, 0x19DF), (0x1A20, 0x1AAF), (0x1B00, 0x1B7F)),
        *((0xA000, 0xA4CF), (0xA980, 0xA9DF), (0xAA80, 0xAADF)),
    ),
}
_VARIATION_SELECTORS = range(0xE0100, 0xE01F0)  # marks far behind all other letters and marks
_MULTIPLIER = 0x9E3779B97F4A7C15  # odd: 2^64 over the golden ratio, as in SplitMix64
_PERIOD = 64  # characters after which the factors of a hash repeat; few words are as long


@functools.cache
def _kinds() -> np.ndarray:
    """What each code point is."""
    kinds = np.zeros(sys.maxunicode + 1, np.uint8)
    category = unicodedata.category
    # All other code points are unassigned, private or tags.
    for code in (*range(0x40000), *_VARIATION_SELECTORS):
        if category(chr(code))[0] in "LMN":
            kinds[code] = _PART
    for kind, blocks in _UNSPACED.items():
        for first, last in blocks:
            block = kinds[first : last + 1]
            block[block > 0] = kind
    return kinds


def mix(values: np.ndarray) -> np.ndarray:
    """A one-to-one scrambling of 64-bit numbers, bit by bit as good as random.

    The finaliser of SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom number
    generators", figure 17; constants of Stafford's variant 13).

    Args:
        values: `uint64` of any shape.
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@functools.cache
def powers(number: int) -> np.ndarray:
    """The first powers of an odd number modulo 2^64, from 1: a factor for each place in a word."""
    return np.array([pow(_MULTIPLIER, power, 1 << 64) for power in range(number)], np.uint64)


def among(hashes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which of the `hashes` are in the ascending array `known`: bool, one for each."""
    if not len(known):
        return np.zeros(len(hashes), bool)
    return known[np.minimum(np.searchsorted(known, hashes), len(known) - 1)] == hashes


def word_hashes(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the words of each text.

        "Don't stop!", "DON’T: stop"  ->  [don, t, stop, don, t, stop], [0, 3, 6]

    Args:
        texts: any texts.

    Returns:
        `uint64` hashes of all words one after the other, and `int64` offsets: the words of text
        `i` are at `offsets[i]:offsets[i + 1]`.
    """
    if len(texts) == 1 and len(texts[0]) <= BATCH_CHARS:
        hashes = _words(texts[0].casefold())[0]
        return hashes, np.array([0, len(hashes)])
    counts = np.zeros(len(texts), np.int64)
    parts = [np.zeros(0, np.uint64)]
    for batch in _batches(texts):
        folded = [piece.casefold() for _, piece in batch]
        hashes, starts, _ = _words(" ".join(folded))
        parts.append(hashes)
        ends = np.cumsum([len(piece) + 1 for piece in folded])
        words = np.diff(np.searchsorted(starts, ends), prepend=0)
        np.add.at(counts, [index for index, _ in batch], words)
    return np.concatenate(parts), np.concatenate([[0], np.cumsum(counts)])


def word_places(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hashes of the words of a text and where each starts and ends in it, in characters."""
    folded = text.casefold()
    hashes, starts, ends = _words(folded)
    if len(folded) != len(text) or not text.isascii():
        lengths = [len(char.casefold()) for char in text]  # "ß" folds to "ss"
        origin = np.repeat(np.arange(len(text)), lengths)
        starts, ends = origin[starts], origin[ends - 1] + 1
    return hashes, starts, ends


def ngram_hashes(words: np.ndarray, offsets: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the n-grams of words of each text; a text of fewer words is one n-gram.

        [a, b, c, d], [0, 3, 4], n=2  ->  [ab, bc, d], [0, 2, 3]

    Args:
        words: hashes of words, as `word_hashes` gives them.
        offsets: where the words of each text start, and the end of all.
        n: words in an n-gram.

    Returns:
        `uint64` hashes and `int64` offsets, as of `word_hashes`; a text without words has none.
    """
    lengths = np.diff(offsets)
    left = np.repeat(offsets[1:], lengths) - np.arange(len(words))  # words to the end of the text
    hashes = np.zeros(len(words), np.uint64)
    for place, factor in enumerate(powers(n)[: len(words)]):
        inside = left[: len(words) - place] > place
        hashes[: len(words) - place] += np.where(inside, words[place:] * factor, np.uint64(0))
    kept = left >= n
    short = (lengths > 0) & (lengths < n)
    kept[offsets[:-1][short]] = True
    counts = np.where(short, 1, np.maximum(lengths - n + 1, 0))
    return mix(hashes[kept]), np.concatenate([[0], np.cumsum(counts)])


def _words(folded: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hashes, starts and ends of the words of a case-folded text."""
    codes = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _kinds()[codes]
    inside = kinds != _SEPARATOR
    # A word ends between two characters unless both are parts of a longer word.
    parted = np.ones(len(codes) + 1, bool)
    parted[1:-1] = (kinds[1:] != _PART) | (kinds[:-1] != _PART)
    starts = np.flatnonzero(inside & parted[:-1])
    ends = np.flatnonzero(inside & parted[1:]) + 1
    if not len(starts):
        return np.zeros(0, np.uint64), starts, ends
    first = starts[0]
    places = np.arange(first, len(codes))  # of each character in its word
    places -= np.repeat(starts, np.diff(starts, append=len(codes)))
    places &= _PERIOD - 1
    values = powers(_PERIOD)[places]
    values *= codes[first:] + np.uint32(1)
    values *= inside[first:]
    hashes = np.add.reduceat(values, starts - first)
    _widen(codes, kinds, hashes, starts, ends)
    hashes += (ends - starts).astype(np.uint64)
    return mix(hashes), starts, ends


def _widen(codes, kinds, hashes, starts, ends) -> None:
    """Lengthens words of unspaced scripts, so far a character each, by those that follow."""
    words = np.flatnonzero(kinds[starts] > _PART)
    begins, kind = starts[words], kinds[starts[words]]
    inside = np.ones(len(words), bool)
    for place in range(1, _WIDTHS.max() if len(words) else 0):
        after = np.minimum(begins + place, len(codes) - 1)
        inside &= (after == begins + place) & (kinds[after] == kind) & (_WIDTHS[kind] > place)
        more = codes[after[inside]] + np.uint32(1)
        hashes[words[inside]] += powers(_PERIOD)[place] * more
        ends[words[inside]] += 1


def _batches(texts: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Texts with their numbers, in lists of bounded size; a longer text comes in pieces."""
    batch, room = [], BATCH_CHARS
    for index, text in enumerate(texts):
        for piece in _pieces(text):
            if len(piece) > room and batch:
                yield batch
                batch, room = [], BATCH_CHARS
            batch.append((index, piece))
            room -= len(piece) + 1
    if batch:
        yield batch


def _pieces(text: str) -> Iterator[str]:
    """A text cut at spaces, where it has any, into pieces of bounded size."""
    while len(text) > BATCH_CHARS:
        cut = text.rfind(" ", BATCH_CHARS // 2, BATCH_CHARS) + 1 or BATCH_CHARS
        yield text[:cut]
        text = text[cut:]
    yield text

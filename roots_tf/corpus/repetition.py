"""Text that repeats itself: lines, paragraphs and word n-grams."""

import collections
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import regex

from roots_tf.corpus.documents import Document, share
from roots_tf.corpus.word_lists import languages
from roots_tf.words import language_of, segmenter, words

_BITS = 20  # of a place and of the numbers of two words, which are sorted as one of 60
_FEW = 1000  # pairs, which a dictionary counts faster than array operations do

_LETTER_OR_MARK = regex.compile(r"[\p{L}\p{M}\p{N}]")
_CLUSTERS = 3  # letters with their marks in a word of Thai, Lao, Khmer or Burmese

TOP_SIZES = (2, 3, 4)
DUPLICATE_SIZES = (5, 6, 7, 8, 9, 10)


def duplicate_share(pieces: Sequence[str]) -> tuple[float, int]:
    """Share of the pieces that occurred before, and how many characters they have.

    >>> duplicate_share(["a", "bc", "a", "a"])
    (0.5, 2)

    Args:
        pieces: at least one.
    """
    seen: set[str] = set()
    repeated = chars = 0
    if len(set(pieces)) < len(pieces):
        for piece in pieces:
            if piece in seen:
                repeated += 1
                chars += len(piece)
            seen.add(piece)
    return repeated / len(pieces), chars


def ngram_chars(tokens: Sequence[str], space: str = " ") -> dict[int, int]:
    """Characters in the most frequent n-gram of 2 to 4 words and in repeated ones of 5 to 10.

    The most frequent n-gram (the first of those that are) counts as often as it occurs, with the
    spaces in it. Repeated n-grams count without spaces, from the second time on, and none overlaps
    another.

    An n-gram can only be repeated where the two (n-1)-grams are that it begins and ends with.
    Natural text has next to none left from n = 4 on, which is what makes this fast.

    >>> ngram_chars("to be or not to be".split())[2]  # "to be", twice
    10

    Args:
        tokens: the words; what follows the first million is not looked at.
        space: between two words, empty in scripts without spaces.

    Returns:
        Number of characters, by n.
    """
    tokens = tokens[: 1 << _BITS]
    chars = {n: len(space.join(tokens[:n])) if n <= len(tokens) else 0 for n in TOP_SIZES}
    chars |= dict.fromkeys(DUPLICATE_SIZES, 0)
    first: dict[str, int] = {}  # a word's number is the place where it was first met
    grams = np.fromiter(map(first.setdefault, tokens, range(len(tokens))), np.int64, len(tokens))
    repeated = _repeated(np.arange(len(tokens) - 1), grams[:-1], grams[1:])
    for n in range(2, DUPLICATE_SIZES[-1] + 1):
        if not repeated:
            break
        if n in TOP_SIZES:
            counts = collections.Counter(repeated.values())
            most = max(counts.values())
            place = next(at for at, gram in repeated.items() if counts[gram] == most)
            chars[n] = most * len(space.join(tokens[place : place + n]))
        else:
            chars[n] = _chars_met_again(tokens, repeated, n)
        places = [at for at in repeated if at + 1 in repeated]
        left, right = ([repeated[at + step] for at in places] for step in (0, 1))
        repeated = (_repeated if len(places) > _FEW else _few_repeated)(places, left, right)
    return chars


def _repeated(places, left, right) -> dict[int, int]:
    """Which pairs of numbers occur more than once.

        places 0 1 2 3, left 7 8 7 9, right 8 7 8 7  ->  {0: 0, 2: 0}

    Args:
        places: of the pairs, rising.
        left: first numbers of the pairs, below 2^20, as are the places.
        right: second numbers, likewise.

    Returns:
        For each place whose pair is repeated, ascending, a number: equal for equal pairs.
    """
    left, right = np.asarray(left, np.int64), np.asarray(right, np.int64)
    packed = np.sort((left << _BITS | right) << _BITS | np.asarray(places, np.int64))
    pairs = packed >> _BITS
    same = pairs[1:] == pairs[:-1]
    if not same.any():
        return {}
    begins = np.ones(len(packed), bool)
    begins[1:] = ~same
    repeated = ~begins
    repeated[:-1] |= same
    places = packed[repeated] & ((1 << _BITS) - 1)
    numbers = np.cumsum(begins[repeated]) - 1
    order = np.argsort(places)
    return dict(zip(places[order].tolist(), numbers[order].tolist(), strict=True))


def _few_repeated(places: list[int], left: list[int], right: list[int]) -> dict[int, int]:
    """The same, of lists; the number is the place where a pair was first met."""
    first: dict[tuple[int, int], int] = {}
    numbers = [*map(first.setdefault, zip(left, right, strict=True), places)]
    if len(first) == len(places):
        return {}
    again = {number for at, number in zip(places, numbers, strict=True) if number != at}
    return {at: number for at, number in zip(places, numbers, strict=True) if number in again}


def _chars_met_again(tokens: Sequence[str], repeated: dict[int, int], n: int) -> int:
    """Characters of n-grams that were met before, from the first to the last, none overlapping.

    Args:
        tokens: the words.
        repeated: of each n-gram that is there more than once, by its place, what stands for it.
        n: its words.
    """
    seen: set[int] = set()
    chars = free = 0
    for at, gram in repeated.items():
        if at < free:
            continue
        if gram in seen:
            chars += sum(map(len, tokens[at : at + n]))
            free = at + n
        seen.add(gram)
    return chars


def _tokens(text: str, language: str) -> tuple[list[str], str]:
    """The words of a text, and what stands between two in it.

    Where nothing is known to segment a language, letters are put together until they are as many
    as a word of it has.
    """
    found = words(text, language)
    told = language_of(text)
    if not told:
        return found, " "
    if not segmenter(language or told).startswith("grapheme"):
        return found, ""
    tokens, held = [], []
    for letter in found:
        held.append(letter)
        if len(held) == _CLUSTERS or not _LETTER_OR_MARK.match(letter[-1]):
            tokens.append("".join(held))
            held = []
    return [*tokens, "".join(held)] if held else tokens, ""


@dataclass(frozen=True)
class Repetition:
    """Drops text that repeats itself; Gopher's rules (Rae et al. 2021, A.1.1 and table A1).

    Shares are of the characters of the text unless they say otherwise. In text without blank lines
    paragraphs are lines, and only these count. The limits of n-grams are for English; those of
    other languages are a multiple, `repetition` in `data/languages.toml`.
    """

    max_duplicate_lines: float = share(0.30)  # of the lines
    max_duplicate_paragraphs: float = share(0.30)  # of the paragraphs
    max_duplicate_line_chars: float = share(0.20)
    max_duplicate_paragraph_chars: float = share(0.20)
    max_top_ngram_chars: tuple[float, ...] = (0.20, 0.18, 0.16)  # n = 2, 3, 4
    max_duplicate_ngram_chars: tuple[float, ...] = (0.15, 0.14, 0.13, 0.12, 0.11, 0.10)  # 5 to 10

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """The document, or the name of the first measure that is above its limit."""
        text = document.text
        if not text or text.isspace():
            return "empty"
        paragraphs = [part.lstrip("\n") for part in text.strip().split("\n\n")]
        share, chars = duplicate_share([*filter(None, paragraphs)])
        measured["duplicate_paragraphs"] = share
        measured["duplicate_paragraph_chars"] = chars / len(text)
        lines = [line for line in text.split("\n") if line and not line.isspace()]
        share, chars = duplicate_share(lines)
        measured["duplicate_lines"] = share
        measured["duplicate_line_chars"] = chars / len(text)
        for size, chars in ngram_chars(*_tokens(text, document.language)).items():
            kind = "top" if size in TOP_SIZES else "duplicate"
            measured[f"{kind}_{size}_gram_chars"] = chars / len(text)
        for name, (_, highest) in self.limits(document.language).items():
            if measured[name] > highest:
                return name
        return document

    def limits(self, language: str) -> dict[str, tuple[float, float]]:
        """Lowest and highest value kept of each measure."""
        highest = {
            "duplicate_paragraphs": self.max_duplicate_paragraphs,
            "duplicate_paragraph_chars": self.max_duplicate_paragraph_chars,
            "duplicate_lines": self.max_duplicate_lines,
            "duplicate_line_chars": self.max_duplicate_line_chars,
        }
        more = languages().get(language, {}).get("repetition", 1.0)
        for size, limit in zip(TOP_SIZES, self.max_top_ngram_chars, strict=True):
            highest[f"top_{size}_gram_chars"] = limit * more
        for size, limit in zip(DUPLICATE_SIZES, self.max_duplicate_ngram_chars, strict=True):
            highest[f"duplicate_{size}_gram_chars"] = limit * more
        return {name: (-math.inf, limit) for name, limit in highest.items()}

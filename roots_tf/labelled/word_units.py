"""How the words of tagged files were made, so that raw text is cut into words in the same way.

    spaces                  U.N. | official        runs of letters and digits, and single marks
    characters              江 | 泽 | 民 | 1 | 9   each character but white space
    characters_and_words    江 | 泽 | 民 | BERT    each letter of scripts without spaces; else runs
    segmented               江泽民 | 会见 | 了     `roots_tf.words`, by the language's segmenter

A character is a letter with the marks behind it that belong to it, as in Thai.
"""

import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import regex

from roots_tf import words

Unit = Literal["spaces", "characters", "characters_and_words", "segmented"]

SPACE, IN_WORD, SYMBOL, CONTINUES = range(4)  # classes of code points
NUM_CODE_POINTS = 0x110000
_MINORITY = 0.01  # share of sentences, or of words, up to which others count as strays
_MARKS = regex.compile(r"[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]")


class Told(NamedTuple):
    """The unit of a file's words, and the language by which raw text is segmented, or ""."""

    unit: Unit
    language: str = ""


def told_from(sentences: Iterable[Sequence[str]]) -> Told:
    """How the words of some sentences were made.

    Words of scripts without spaces say it: a file of single characters, or one of words. A few of
    them in a file of other words, such as the names in WikiANN's English, say nothing.

    >>> told_from([["他", "说", "：", "h", "i"]]), told_from([["他", "说", "BERT"]]).unit
    (Told(unit='characters', language=''), 'characters_and_words')
    >>> told_from([["江泽民", "会见", "了"]]), told_from([["U.N.", "official"]]).unit
    (Told(unit='segmented', language='zh'), 'spaces')
    """
    count, texts = 0, []
    unspaced, others = [0, 0], [0, 0]  # words of one character, and longer ones
    for sentence in sentences:
        count += 1
        text = "".join(sentence)
        if words.language_of(text):
            texts.append(text)
        for word in sentence:
            if words.has_unspaced(word):
                unspaced[_length(word) > 1] += 1
            elif any(map(str.isalnum, word)):
                others[_length(word) > 1] += 1
    if len(texts) <= _MINORITY * count:
        return Told("spaces")
    if unspaced[1] > _MINORITY * sum(unspaced):
        return Told("segmented", words.language_of("".join(texts)))
    is_single = others[0] and others[1] <= _MINORITY * sum(others)
    return Told("characters" if is_single else "characters_and_words")


def join(sentence: Sequence[str], unit: Unit) -> tuple[str, np.ndarray, np.ndarray]:
    """A text of words, and where each starts and ends in characters, end exclusive.

    Words of the unit "spaces" have a space between them, single characters have none, and other
    words where neither is of a script without spaces.

    >>> join(("U.N.", "official"), "spaces")
    ('U.N. official', array([0, 5]), array([ 4, 13]))
    >>> join(("用", "New", "York", "的"), "characters_and_words")[0]
    '用New York的'

    Args:
        sentence: its words.
        unit: of them.
    """
    parts, starts, end, before = [], [], 0, ""
    for word in sentence:
        if before and (unit == "spaces" or _has_space_between(before, word, unit)):
            parts.append(" ")
            end += 1
        starts.append(end)
        parts.append(word)
        end += len(word)
        before = word
    begins = np.array(starts, np.int64)
    return "".join(parts), begins, begins + [len(word) for word in sentence]


def _has_space_between(left: str, right: str, unit: Unit) -> bool:
    """Whether writers put a space between two words."""
    return unit != "characters" and not any(
        words.has_unspaced(c) or unicodedata.east_asian_width(c) in "WF"
        for c in (left[-1], right[0])
    )


def places(text: str, unit: Unit, language: str = "") -> np.ndarray:
    """Where the words of a raw text stand: int64 [words, 2], in characters, end exclusive.

    >>> places("在BERT里", "characters_and_words").tolist()
    [[0, 1], [1, 5], [5, 6]]

    Args:
        text: as the user wrote it.
        unit: how it is cut.
        language: of the unit "segmented", as for `words.cut`.
    """
    if unit == "segmented":
        return np.array(words.spans(text, language), np.int64).reshape(-1, 2)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    found = classes(unit)[codes]
    before = np.concatenate([[SPACE], found])[:-1]
    continues = (found == CONTINUES) & (before != SPACE)
    # A mark is of the class of the letter that it stands on; alone it is a symbol.
    letter = np.maximum.accumulate(np.where(continues, 0, np.arange(len(found))))
    kinds = np.where(found == CONTINUES, SYMBOL, found)[letter]
    goes_on = continues | ((kinds == IN_WORD) & (np.concatenate([[SPACE], kinds])[:-1] == IN_WORD))
    inside = found != SPACE
    starts = np.flatnonzero(inside & ~goes_on)
    # A word ends where the next begins, or where a space is before that.
    is_end = inside & np.concatenate([~inside | ~goes_on, [True]])[1:]
    return np.stack([starts, np.flatnonzero(is_end) + 1], -1)


def parted(word: str, tag: str, unit: Unit) -> list[tuple[str, str]]:
    """A tagged word as a tagger of characters reads it: its characters, with tags in IOB2.

    >>> parted("北京", "B-LOC", "characters_and_words")
    [('北', 'B-LOC'), ('京', 'I-LOC')]
    >>> parted("U.N.", "B-ORG", "characters_and_words")
    [('U.N.', 'B-ORG')]

    Args:
        word: of a file.
        tag: its tag in IOB2, or "".
        unit: of the tagger; only those of characters part words.
    """
    if unit != "characters" and not (unit == "characters_and_words" and words.has_unspaced(word)):
        return [(word, tag)]
    inside = f"I{tag[1:]}" if tag[:1] == "B" else tag
    cut = [word[start:end] for start, end in places(word, unit)]
    return [(part, inside if place else tag) for place, part in enumerate(cut)]


def whole_letters(text: str, start: int, end: int) -> tuple[int, int]:
    """A span that parts no letter from the marks behind it.

    >>> whole_letters("น้ำ", 1, 2)
    (0, 3)

    Args:
        text: that it is of.
        start: its first character.
        end: its end, exclusive.
    """
    while start > 0 and _MARKS.match(text, start):
        start -= 1
    while _MARKS.match(text, end):
        end += 1
    return start, end


def agreement(
    texts: Sequence[str],
    starts: Sequence[np.ndarray],
    ends: Sequence[np.ndarray],
    told: Told,
) -> float:
    """Share of the words of a file that a cut of its texts gives too; 1 of no words.

    Args:
        texts: of the sentences.
        starts: of the words of each, in characters.
        ends: of them, exclusive.
        told: how the texts are cut.
    """
    same = total = 0
    for text, begins, stops in zip(texts, starts, ends, strict=True):
        cut = {*map(tuple, places(text, *told).tolist())}
        same += sum(place in cut for place in zip(begins.tolist(), stops.tolist(), strict=True))
        total += len(begins)
    return same / max(total, 1) if total else 1.0


@functools.cache
def classes(unit: Unit) -> np.ndarray:
    """Class of each code point, int32: for Python and for the served graph; of no "segmented"."""
    # A surrogate is no character of UTF-8.
    codes = [code for code in range(NUM_CODE_POINTS) if not 0xD800 <= code < 0xE000]
    every = "".join(map(chr, codes))
    found = np.full(NUM_CODE_POINTS, SYMBOL, np.int32)
    if unit != "characters":
        found[[ord(character) for character in re.findall(r"\w", every)]] = IN_WORD
    if unit == "characters_and_words":
        found[[code for code in codes if words.has_unspaced(chr(code))]] = SYMBOL
    found[[ord(character) for character in _MARKS.findall(every)]] = CONTINUES
    found[[ord(character) for character in re.findall(r"\s", every)]] = SPACE
    return found


def _length(word: str) -> int:
    """Characters of a word, not counting the marks that belong to them."""
    return len(word) if word.isascii() else len(_MARKS.sub("", word))

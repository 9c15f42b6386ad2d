"""What a normaliser of Hugging Face `tokenizers` does to each code point, as arrays.

The graph tokenizer looks characters up in these arrays and has no Unicode rules of its own. The
arrays are made by applying the normaliser to every code point, so the versions of Unicode that
Python and `tokenizers` follow need not agree.

A normaliser changes each character by itself, with one exception: decomposition (NFD) sorts
neighbouring combining marks by class. Most marks are then removed; some, such as U+1D165, stay.
"""

import functools
import itertools
import unicodedata
from typing import NamedTuple

import numpy as np
import tokenizers
from tokenizers import normalizers, pre_tokenizers

NUM_CODE_POINTS = 0x110000
PAGE = 256  # code points a page
# Planes with assigned characters: each of their code points is tried. The other planes hold only
# unassigned or private code points, which behave alike, and two noncharacters at the end; one of
# each is tried (a test tries them all).
_FULL_PLANES = (0, 1, 2, 3, 14)

WORD, SEPARATOR, ISOLATED, CONTINUES = range(4)


class PagedTable(NamedTuple):
    """An array over all code points, of which equal pages are stored once.

    The entry of code point c is pages[page_of[c // PAGE] * PAGE + c % PAGE].
    """

    page_of: np.ndarray  # int32 [NUM_CODE_POINTS / PAGE]
    pages: np.ndarray  # [number of distinct pages * PAGE]


def paged(values: np.ndarray) -> PagedTable:
    """Stores an array over all code points with equal pages once."""
    numbers: dict[bytes, int] = {}
    rows = values.reshape(-1, PAGE)
    page_of = [numbers.setdefault(row.tobytes(), len(numbers)) for row in rows]
    return PagedTable(np.array(page_of, np.int32), np.frombuffer(b"".join(numbers), values.dtype))


def changes(normalizer) -> dict[int, str]:
    """The code points that a normaliser changes, and the strings that they become.

    Args:
        normalizer: of `tokenizers.normalizers`, acting on characters one by one.
    """
    codes = asked()
    # One long string is normalised much faster than many short ones. "0" is a starter that no
    # character decomposes to, and that stays as it is.
    outputs = normalizer.normalize_str(_joined())[1:-1].split("0")
    assert len(outputs) == len(codes)
    changed = {c: output for c, output in zip(codes, outputs, strict=True) if output != chr(c)}
    for plane in set(range(17)) - set(_FULL_PLANES):
        start, noncharacters, end = plane << 16, (plane << 16) + 0xFFFE, (plane + 1) << 16
        for alike in (range(start, noncharacters), range(noncharacters, end)):
            output = normalizer.normalize_str(chr(alike[0]))
            if output != chr(alike[0]):
                changed |= dict.fromkeys(alike, output)
    return changed


@functools.cache
def _joined() -> str:
    """The characters that are tried, with zeros between and around them."""
    return "0" + "0".join(map(chr, asked())) + "0"


@functools.cache
def asked() -> list[int]:
    """Code points that are tried, one by one."""
    return [
        code
        for plane in _FULL_PLANES
        for code in range(plane << 16, (plane + 1) << 16)
        if not 0xD800 <= code < 0xE000 and code != ord("0")
    ]


@functools.cache
def bert_classes() -> np.ndarray:
    """Class of each code point to `BertPreTokenizer`: int8 WORD, SEPARATOR or ISOLATED."""
    classes = np.full(NUM_CODE_POINTS, WORD, np.int8)
    pieces = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(_joined())
    # Between two pieces stands either nothing or a separator; an isolated character is a piece.
    codes = asked()
    end = 0
    for piece, (start, stop) in pieces:
        if start > end:
            classes[codes[(end - 1) // 2]] = SEPARATOR
        if stop - start == 1 and piece != "0":
            classes[codes[(start - 1) // 2]] = ISOLATED
        end = stop
    return classes


def matching(pattern: str) -> np.ndarray:
    """Which code points match a pattern of one character, to `tokenizers`: bool."""
    return removed_by(pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="removed"))


def removed_by(pre_tokenizer) -> np.ndarray:
    """Which code points a pre-tokenizer removes, one by one: bool [NUM_CODE_POINTS]."""
    codes = np.array([*asked(), ord("0")])
    among = np.ones(len(codes), bool)
    for _, (start, stop) in pre_tokenizer.pre_tokenize_str("".join(map(chr, codes))):
        among[start:stop] = False
    removed = np.zeros(NUM_CODE_POINTS, bool)
    removed[codes[among]] = True
    return removed


@functools.cache
def combining_classes() -> np.ndarray:
    """Order in which NFD of `tokenizers` sorts marks: uint8 [NUM_CODE_POINTS], 0 for starters.

    The numbers are ranks of canonical combining classes, found by asking which of two marks comes
    first.
    """

    def come_first(earlier: str, codes: list[int]) -> list[bool]:
        """Which code points are sorted before a mark that stands before them."""
        pairs = "0".join(earlier + chr(code) for code in codes)
        sorted_pairs = normalizers.NFD().normalize_str(pairs).split("0")
        return [
            chr(code) != earlier and pair == chr(code) + earlier
            for code, pair in zip(codes, sorted_pairs, strict=True)
        ]

    highest = 0x345  # of class 240, the last there is
    codes = asked()
    marks = [*itertools.compress(codes, come_first(chr(highest), codes)), highest]
    # One mark of every class that Python knows. Python's Unicode may be another version, so only
    # the order counts: a mark is sorted after those references that are not sorted after it.
    references: dict[int, str] = {}
    for mark in marks:
        references.setdefault(unicodedata.combining(chr(mark)), chr(mark))
    later = np.array([come_first(reference, marks) for reference in references.values()])
    classes = np.zeros(NUM_CODE_POINTS, np.uint8)
    classes[marks] = 1 + len(references) - later.sum(0)
    return classes

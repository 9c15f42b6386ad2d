"""What a normaliser of Hugging Face `tokenizers` does to each code point, as arrays.

The graph tokenizer looks characters up here instead of following Unicode rules of its own: the
arrays hold what the normaliser answered when it was asked about every code point, so another
version of Unicode on either side changes nothing.

A normaliser works on characters one by one, but for canonical reordering: decomposition (NFD) sorts
neighbouring combining marks by class. Marks mostly vanish afterwards; some, such as U+1D165, stay.
"""

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
from tokenizers import normalizers, pre_tokenizers

NUM_CODE_POINTS = 0x110000
PAGE = 256  # code points a page
# Planes that hold assigned characters are asked about whole; each other plane holds nothing but
# unassigned or private code points, whose first stands for the rest (a test asks about them all).
_FULL_PLANES = (0, 1, 2, 3, 14)

WORD, SEPARATOR, ISOLATED, CONTINUES = range(4)


class PagedTable(NamedTuple):
    """An array over all code points, stored once a distinct page of it.

    The entry of code point c is pages[page_of[c // PAGE] * PAGE + c % PAGE].
    """

    page_of: np.ndarray  # int32 [NUM_CODE_POINTS / PAGE]
    pages: np.ndarray  # [number of distinct pages * PAGE]


def paged(values: np.ndarray) -> PagedTable:
    """Folds equal pages of an array over all code points."""
    rows = values.reshape(-1, PAGE)
    pages, page_of = np.unique(rows, axis=0, return_inverse=True)
    return PagedTable(page_of.reshape(-1).astype(np.int32), pages.reshape(-1))


def changes(normalizer) -> dict[int, str]:
    """Code points that a normaliser does not keep as they are, and what they become.

    Args:
        normalizer: of `tokenizers.normalizers`, acting on characters one by one.
    """
    codes = _asked()
    # One long string is normalised much faster than many short ones. "0" is a starter that no
    # character decomposes to, and that stays as it is.
    joined = normalizer.normalize_str("0" + "0".join(map(chr, codes)) + "0")
    outputs = joined[1:-1].split("0")
    assert len(outputs) == len(codes)
    changed = {c: output for c, output in zip(codes, outputs, strict=True) if output != chr(c)}
    for plane in set(range(17)) - set(_FULL_PLANES):
        start = plane << 16
        output = normalizer.normalize_str(chr(start))
        if output != chr(start):
            changed |= {c: output for c in range(start, start + 0x10000)}
    return changed


def _asked() -> list[int]:
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
    pieces = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(
        "0" + "0".join(map(chr, _asked())) + "0"
    )
    # Between two pieces stands either nothing or a separator; an isolated character is a piece.
    codes = _asked()
    end = 0
    for piece, (start, stop) in pieces:
        if start > end:
            classes[codes[(end - 1) // 2]] = SEPARATOR
        if stop - start == 1 and piece != "0":
            classes[codes[(start - 1) // 2]] = ISOLATED
        end = stop
    return classes


@functools.cache
def combining_classes() -> np.ndarray:
    """Order in which NFD of `tokenizers` sorts marks: uint8 [NUM_CODE_POINTS], 0 for starters.

    The numbers are ranks of canonical combining classes, found by asking which of two marks comes
    first.
    """
    nfd = normalizers.NFD()
    references: dict[int, str] = {}
    for code in range(0x300, 0x30000):
        value = unicodedata.combining(chr(code))
        if value and value not in references and unicodedata.decomposition(chr(code)) == "":
            references[value] = chr(code)
    in_order = [references[value] for value in sorted(references)]
    lowest, highest = in_order[0], in_order[-1]

    def swaps(earlier: str, later: str) -> bool:
        return nfd.normalize_str(earlier + later) == later + earlier

    codes = [code for code in _asked() if code != ord(highest)]
    joined = nfd.normalize_str("0" + "0".join(highest + chr(code) for code in codes) + "0")
    marks = [
        code
        for code, output in zip(codes, joined[1:-1].split("0"), strict=True)
        if output == chr(code) + highest
    ]
    # Of the highest class itself, which does not swap with itself.
    marks += [
        code
        for code, output in zip(codes, joined[1:-1].split("0"), strict=True)
        if output == highest + chr(code)
        and unicodedata.combining(chr(code))
        and swaps(chr(code), lowest)
    ] + [ord(highest)]
    classes = np.zeros(NUM_CODE_POINTS, np.uint8)
    for mark in marks:
        classes[mark] = 1 + sum(swaps(chr(mark), reference) for reference in in_order)
    return classes

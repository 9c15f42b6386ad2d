"""A clean document: one way to write a text, a paragraph a line; or the reason to drop it."""

import re
import unicodedata
from typing import NamedTuple

from roots_tf.corpus import paragraphs
from roots_tf.corpus.decoding import REPLACEMENT

_REMOVED = None
_CONTROLS = {code: _REMOVED for code in (*range(9), *range(14, 32), 127)}
_CONTROLS |= {0x0B: " ", 0x0C: " ", 0x2028: "\n", 0x2029: "\n\n"}
# C1 controls are windows-1252 letters that were decoded as Latin-1; browsers read them so too
# (WHATWG HTML standard, "numeric character reference end state").
_C1 = {c: bytes([c]).decode("windows-1252", "ignore") or _REMOVED for c in range(0x80, 0xA0)}
_SPACES = {code: " " for code in (0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)}
# Soft hyphen, zero-width space, word joiner and other invisible operators, byte order mark, marks
# of writing direction. The zero-width joiner and non-joiner stay: they spell words in Persian and
# in Indic scripts.
_INVISIBLE = {
    code: _REMOVED
    for code in (
        *(0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
    )
}
_LONE_SURROGATES = {code: REPLACEMENT for code in range(0xD800, 0xE000)}  # JSON can spell them
_REPAIRS = _CONTROLS | _C1 | _SPACES | _INVISIBLE | _LONE_SURROGATES
_TO_REPAIR = re.compile("[" + "".join(map(chr, sorted(_REPAIRS))) + "]")
_PAUSES = ".-\u2013\u2014\u2026\"'"  # printed apart, as in "well . . . no", they are no words


def repair(text: str) -> str:
    """Text in NFC without control, invisible and unusual space characters; lines end in "\\n".

    >>> repair("\\ufeffcafe\\u0301\\r\\nnai\\u00adve\\x00 \\x93yes\\x94\\u00a0\\u200b")
    'café\\nnaive “yes” '
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _TO_REPAIR.sub(lambda found: _REPAIRS[ord(found[0])] or "", text)
    return text if text.isascii() else unicodedata.normalize("NFC", text)


class Rules(NamedTuple):
    """What a document is cleaned with, and what it must be like to be kept."""

    join_lines: bool = True
    # Two short English sentences, the least that makes a pair for next-sentence prediction. Gopher
    # (Rae et al. 2021, A.1.1) asks for 50 words, which few docstrings and no dialogue have.
    min_chars: int = 100
    # Gopher, A.1.1: "80% of words in a document contain at least one alphabetic character".
    min_share_of_words_with_letters: float = 0.8
    # Gopher, table A1: duplicate line fraction.
    max_share_of_repeated_paragraphs: float = 0.3
    # One letter in a hundred that could not be read spoils every second sentence.
    max_share_of_unreadable: float = 0.01


def clean(text: str, rules: Rules) -> str:
    """A document as it is stored: repaired, every paragraph on a line, no blank lines.

    >>> clean("\\ufeffThe sea was calm.\\r\\n\\r\\n  The  sky\\tclear.\\r\\n", Rules())
    'The sea was calm.\\nThe sky clear.'
    """
    text = repair(text).replace("\t", " ")
    while "  " in text:
        text = text.replace("  ", " ")
    if rules.join_lines:
        return paragraphs.join_lines(text)
    return "\n".join(filter(None, map(str.strip, text.split("\n"))))


def reason_to_drop(text: str, rules: Rules) -> str | None:
    """Why a clean document is of no use; None for one to keep.

    Returns:
        `too_short`, `unreadable` (U+FFFD), `mostly_not_words` (tables, numbers, code),
        `repeated_paragraphs` or None.
    """
    if len(text) < rules.min_chars or not text:
        return "too_short"
    if text.count(REPLACEMENT) > rules.max_share_of_unreadable * len(text):
        return "unreadable"
    mixed = [word for word in text.split() if not word.isalpha()]
    pure = text.count(" ") + text.count("\n") + 1 - len(mixed)
    mixed = [word for word in mixed if word.strip(_PAUSES)]
    wanted = rules.min_share_of_words_with_letters * (pure + len(mixed)) - pure
    if wanted > 0 and sum(any(map(str.isalpha, word)) for word in mixed) < wanted:
        return "mostly_not_words"
    lines = text.split("\n")
    if len(lines) - len(set(lines)) > rules.max_share_of_repeated_paragraphs * len(lines):
        return "repeated_paragraphs"
    return None

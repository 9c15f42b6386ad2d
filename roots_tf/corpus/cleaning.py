"""Steps that clean a document: characters, spaces, line breaks; and drop what is not prose."""

import dataclasses
import functools
import math
import re
import unicodedata

from roots_tf.corpus import markup, paragraphs
from roots_tf.corpus.decoding import REPLACEMENT
from roots_tf.corpus.documents import Document, share
from roots_tf.corpus.lines import sentences
from roots_tf.corpus.text_size import has_letter, text_size
from roots_tf.storage.files import InputError
from roots_tf.words import has_unspaced, words

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
# Letters and digits alone: full-width marks are how Chinese and Japanese write theirs.
_HALF_WIDTH = {
    code: code - 0xFEE0
    for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
}
_PAUSES = ".-\u2013\u2014\u2026\"'"  # not words where they stand alone, as in "well . . . no"


def repair(text: str) -> str:
    """Text in NFC without control, invisible and unusual space characters; lines end in "\\n".

    >>> repair("\\ufeffcafe\\u0301\\r\\nnai\\u00adve\\x00 \\x93yes\\x94\\u00a0\\u200b")
    'café\\nnaive “yes” '
    """
    return _repair(text)[0]


def _repair(text: str) -> tuple[str, int]:
    """The repaired text, and how many characters were replaced or left out."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text, repaired = _TO_REPAIR.subn(lambda match: _REPAIRS[ord(match[0])] or "", text)
    return text if text.isascii() else unicodedata.normalize("NFC", text), repaired


@dataclasses.dataclass(frozen=True)
class Repair:
    """Removes control, invisible and unusual space characters; makes Unicode NFC and single spaces.

    Measures `characters_repaired`; changes by NFC and single spaces do not count.

    Args:
        mojibake: also mends text that was decoded as another encoding than it was written in
            ("cafÃ©"), a line at a time, by ftfy (Speer 2019, doi 10.5281/zenodo.2591652).
        half_width: full-width Latin letters and digits become the usual ones; punctuation stays
            ("２０１８年，ＢＥＲＴ" becomes "2018年，BERT").
    """

    mojibake: bool = False
    half_width: bool = False

    def __call__(self, document: Document, measured: dict[str, float]) -> Document:
        """See `documents.DocumentStep`."""
        text = document.text
        if self.mojibake and not text.isascii():
            fixed = _fix_encoding(text)
            measured["mojibake"] = float(fixed != text)
            text = fixed
        text, repaired = _repair(text)
        if self.half_width and not text.isascii():
            text = text.translate(_HALF_WIDTH)
        measured["characters_repaired"] = repaired
        text = text.replace("\t", " ")
        while "  " in text:
            text = text.replace("  ", " ")
        return document._replace(text=text, source=_repair_source(document.source))


@dataclasses.dataclass(frozen=True)
class JoinLines:
    """A paragraph a line, no blank lines.

    Measures `line_breaks_taken_out`.

    Args:
        hard_wrapped: joins lines that were wrapped at a width; otherwise a line is a paragraph.
    """

    hard_wrapped: bool = True

    def __call__(self, document: Document, measured: dict[str, float]) -> Document:
        """See `documents.DocumentStep`."""
        if self.hard_wrapped:
            text = paragraphs.join_lines(document.text)
        else:
            text = "\n".join(filter(None, map(str.strip, document.text.split("\n"))))
        measured["line_breaks_taken_out"] = document.text.count("\n") - text.count("\n")
        return document._replace(text=text)


@dataclasses.dataclass(frozen=True)
class BasicQuality:
    """Drops text that is not prose in any language; short paragraphs are no reason.

    Reasons: `too_short`, `unreadable` (U+FFFD), `mostly_not_words` (tables, numbers, code),
    `repeated_paragraphs`.
    """

    # Two short English sentences, the least that makes a pair for next-sentence prediction. Gopher
    # (Rae et al. 2021, A.1.1) asks for 50 words, which few docstrings and no dialogue have.
    # Characters of English: a Han letter counts 3.5, as `text_size` has it.
    min_chars: int = 100
    # In scripts without spaces, where a sentence may be very short, text that has so many sentences
    # needs half the characters.
    min_sentences: int = 2
    # Gopher, A.1.1: "80% of words in a document contain at least one alphabetic character".
    min_words_with_letters: float = share(0.8)
    # Gopher, table A1: duplicate line fraction.
    max_repeated_paragraphs: float = share(0.3)
    # One letter in a hundred that could not be read spoils every second sentence.
    max_unreadable: float = share(0.01)

    def limits(self, language: str) -> dict[str, tuple[float, float]]:
        """The lowest and highest value kept of each measure."""
        return {
            "characters": (max(self.min_chars, 1), math.inf),
            "sentences": (self.min_sentences, math.inf),
            "unreadable": (-math.inf, self.max_unreadable),
            "words_with_letters": (self.min_words_with_letters, math.inf),
            "repeated_paragraphs": (-math.inf, self.max_repeated_paragraphs),
        }

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """See `documents.DocumentStep`."""
        text = document.text
        size = text_size(text)
        short = size < self.min_chars
        if short and has_unspaced(text) and size >= self.min_chars / 2:
            measured["sentences"] = sentences(text)
            short = measured["sentences"] < self.min_sentences
        else:
            measured["characters"] = size
        if short or not text:
            return "too_short"
        measured["unreadable"] = text.count(REPLACEMENT) / len(text)
        if measured["unreadable"] > self.max_unreadable:
            return "unreadable"
        share_of_words = _words_with_letters(text)
        if share_of_words is not None and share_of_words < self.min_words_with_letters:
            rest = markup.prose(
                text
            )  # code, formulas and tables are not what an article is judged by
            if text_size(rest) >= self.min_chars:
                share_of_words = _words_with_letters(rest)
        if share_of_words is not None:
            measured["words_with_letters"] = share_of_words
            if share_of_words < self.min_words_with_letters:
                return "mostly_not_words"
        lines = text.split("\n")
        repeated = len(lines) - len(set(lines))
        measured["repeated_paragraphs"] = repeated / len(lines)
        if repeated > self.max_repeated_paragraphs * len(lines):
            return "repeated_paragraphs"
        return document


def _words_with_letters(text: str) -> float | None:
    """Share of the words that have a letter; None if there are no words but pauses."""
    all_words = words(text)
    mixed = [word for word in all_words if not word.isalpha()]
    pure = len(all_words) - len(mixed)
    mixed = [word for word in mixed if word.strip(_PAUSES)]
    with_letters = sum(map(has_letter, mixed))
    return (pure + with_letters) / (pure + len(mixed)) if pure or mixed else None


@functools.lru_cache(1024)  # documents of one file follow each other
def _repair_source(source: str) -> str:
    return " ".join(repair(source).split())


def _fix_encoding(text: str) -> str:
    """Lines that look like mojibake, mended."""
    try:
        import ftfy
    except ImportError as error:
        raise InputError(
            "missing-extra",
            "found no ftfy, which the step repair with mojibake = true needs; "
            "pip install 'roots-tf[curation]'",
        ) from error
    return "\n".join(
        line if line.isascii() or not ftfy.badness.is_bad(line) else ftfy.fix_encoding(line)
        for line in text.split("\n")
    )

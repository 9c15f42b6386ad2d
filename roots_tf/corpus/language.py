"""Which language a document is written in, by the tables of CLD2, offline."""

import functools
import re
import types
from dataclasses import dataclass

from roots_tf import spelling
from roots_tf.corpus import markup
from roots_tf.corpus.documents import Document, share
from roots_tf.storage.files import InputError

# CLD2 refuses what may not stand in a web page: controls, surrogates, noncharacters.
_REFUSED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(chr(plane << 16 | last) for plane in range(1, 17) for last in (0xFFFE, 0xFFFF))
    + "]"
)
# Codes that CLD2 had before ISO 639-1 changed them, and its two kinds of Chinese.
_CODES = {"iw": "he", "jw": "jv", "ji": "yi", "in": "id", "zh-Hant": "zh", "sr-ME": "sr"}
_UNKNOWN = re.compile("un|xx|zz")  # unknown, a script with no language to it, and CLD2's jokes

SAMPLED_CHARS = 8_000  # CLD2 is sure after a few hundred; a novel costs no more than an article
SAMPLES = 8


@functools.cache
def _detector() -> types.ModuleType:
    try:
        import pycld2
    except ImportError as error:
        raise InputError(
            "missing-extra",
            "found no pycld2, which identifies languages; wanted for the step 'language': "
            "pip install 'roots-tf[curation]'",
        ) from error
    return pycld2


@functools.cache
def _codes() -> dict[str, str]:
    """Codes of the languages that can be identified, by their English names in small letters."""
    return {
        name.lower(): _CODES.get(code, code)
        for name, code in _detector().LANGUAGES
        if not _UNKNOWN.match(code)
    }


def meant(code: str) -> str:
    """The end of a message about what is no code of a language: `"; did you mean en?"`.

    >>> meant("English"), meant("eng"), meant("zh-Hant"), meant("12")
    ('; did you mean en?', '; did you mean en?', '; did you mean zh?', '')

    Args:
        code: what stands in its place: a name, a code of three letters or one with a script.
    """
    codes, given = _codes(), code.lower()
    if given.partition("-")[0] in codes.values():
        return f"; did you mean {given.partition('-')[0]}?"
    names = spelling.nearest(given, codes) if len(given) > 3 else []
    if len(given) == 3:  # most codes of three letters begin the name
        names = [name for name in codes if name.startswith(given)]
    found = list(dict.fromkeys(codes[name] for name in names))
    return f"; did you mean {' or '.join(found)}?" if 0 < len(found) <= spelling.MOST else ""


def identify(text: str) -> tuple[str, float]:
    """The language most of a text is written in, and how much of it is.

    CLD2 (Sites 2013, "Compact Language Detector 2") scores runs of letters by tables of four
    letters, of words and, where one language has a script to itself, of scripts. A text longer
    than `SAMPLED_CHARS` is judged by pieces taken from it at even distances.

    >>> identify("All human beings are born free and equal in dignity and rights.")
    ('en', 0.98)

    Returns:
        The ISO 639-1 code, or the 639-3 code of a language that has no other, or "" where no
        language is recognised; and the share of the text's bytes that is in that language.

    Raises:
        InputError: pycld2 is not installed.
    """
    detector = _detector()
    text = _sample(text)
    try:
        _, _, detected = detector.detect(text, isPlainText=True)
    except (detector.error, UnicodeEncodeError):
        _, _, detected = detector.detect(_REFUSED.sub(" ", text), isPlainText=True)
    known = [(percent, code) for _, code, percent, _ in detected if not _UNKNOWN.match(code)]
    percent, code = max(known, default=(0, ""))
    return _CODES.get(code, code), percent / 100


def _sample(text: str) -> str:
    """Pieces of a long text, at even distances; the whole of a short one."""
    if len(text) <= SAMPLED_CHARS:
        return text
    size = SAMPLED_CHARS // SAMPLES
    last = len(text) - size
    starts = [last * piece // (SAMPLES - 1) for piece in range(SAMPLES)]
    return "\n".join(text[start : start + size] for start in starts)


@dataclass(frozen=True)
class Language:
    """Adds the language to a document; drops it if that is unknown, mixed or not wanted.

    Attributes:
        keep: codes of the languages to keep; empty for all.
        min_score: share of the text that must be in its main language. The default is our own:
            below a half, other languages have as much of the text.
        unidentified: whether documents in no known language are kept, with language "".
    """

    keep: tuple[str, ...] = ()
    min_score: float = share(0.5)
    unidentified: bool = False

    def __post_init__(self):
        known = set(_codes().values()) if self.keep else set()
        if unknown := [code for code in self.keep if code not in known]:
            raise InputError(
                "no-such-choice",
                f"found {unknown[0]!r} in keep of the step language; wanted codes such as en, de "
                f"or zh{meant(unknown[0])}",
            )

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """The document with its language, or `uncertain_language` or `other_language`."""
        prose = markup.prose(document.text)  # code and formulas are in no language, or in English
        language, score = identify(document.text if not prose.strip() else prose)
        measured["language_score"] = score
        if score < self.min_score:
            language = ""
            if not self.unidentified:
                return "uncertain_language"
        if language and self.keep and language not in self.keep:
            return "other_language"
        return document._replace(language=language)

    def limits(self, language: str) -> dict[str, tuple[float, float]]:
        """Lowest and highest value kept of each measure."""
        return {"language_score": (0.0 if self.unidentified else self.min_score, 1.0)}

"""What a text loses where its non-spacing marks (Mn of Unicode) are taken off, by script.

BERT takes all of them off lower-cased text. In Latin and Greek they are accents, which people leave
out and are understood. Elsewhere they are letters, or parts of one:

    Thai, Devanagari and their kin   vowels, tones and the sign that joins consonants
    Hiragana and Katakana            what parts "ka" from "ga"
    Cyrillic                         й, ё, ї and ў are letters of their alphabets
    Arabic                           short vowels, but also the hamza of أ, ؤ and ئ
    Hebrew                           points, which part two letters in ש, and all vowels of Yiddish
    Vietnamese                       tones, and the horn of ơ and ư; the rest counts as Latin
    Hangul                           has no marks, but its syllables come apart into single letters
"""

import functools
import itertools
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roots_tf.tokenizers.tokenizer import Tokenizer

ACCENTED = frozenset({"Latin", "Greek"})  # scripts whose marks are accents
LEAST_SHARE = 1e-4  # of the characters; fewer letters of other scripts do not decide for a corpus
_OF_VIETNAMESE = "\u031b\u0309"  # horn, hook above
_SYLLABLES = re.compile("[\uac00-\ud7a3]")


def letters(text: str) -> list[str]:
    """The letters of a text that become others without their marks, each with its marks.

    >>> letters("Noe\u0308l")
    ['e\u0308']
    """
    return [
        *_marked().findall(unicodedata.normalize("NFD", text)),
        *_SYLLABLES.findall(text),
    ]


def stripped(letter: str) -> str:
    """What is left of a letter without its marks."""
    return "".join(c for c in unicodedata.normalize("NFD", letter) if not _is_mark(c))


def script(letter: str) -> str:
    """The script of a letter with marks, as Unicode's names begin; "" where none is lost.

    >>> script("\u0438\u0306"), script("\u2764\ufe0f")     # й, and a heart with its colour
    ('Cyrillic', '')
    """
    base = letter[0]
    if base.isalpha() and not _is_mark(base):
        if any(mark in _OF_VIETNAMESE for mark in letter[1:]):
            return "Vietnamese"
        name = unicodedata.name(base, "")
    else:
        name = unicodedata.name(letter[-1], "")
    first = name.partition(" ")[0].capitalize()
    return "" if first in ("Combining", "Variation", "Digit") else first


def by_script(counts: Mapping[str, int]) -> dict[str, Counter[str]]:
    """The letters of `letters` by their scripts, the most frequent script first."""
    scripts: dict[str, Counter[str]] = {}
    for letter, count in counts.items():
        if name := script(letter):
            scripts.setdefault(name, Counter())[letter] += count
    return dict(sorted(scripts.items(), key=lambda item: (-item[1].total(), item[0])))


def are_accents(counts: Mapping[str, int], characters: int) -> bool:
    """Whether marks can be taken off: next to none stands in a script where they are letters.

    Args:
        counts: of `letters`.
        characters: of the whole text.
    """
    scripts = by_script(counts)
    lost = sum(letters.total() for name, letters in scripts.items() if name not in ACCENTED)
    return lost <= LEAST_SHARE * characters


def describe(counts: Mapping[str, int], strips: bool) -> str:
    """A line on what becomes of the marks, with the flag that does the other; "" without marks.

    Args:
        counts: of `letters`.
        strips: whether the marks are taken off.
    """
    scripts = by_script(counts)
    if not scripts:
        return ""
    listed = _listed(scripts)
    if not strips:
        return f"marks stay on letters; without them would change: {listed}. " + (
            "--strip_accents=true takes them all off, as BERT does with lower-cased text"
        )
    lost = [name for name in scripts if name not in ACCENTED]
    what = f"LETTERS ARE LOST in {', '.join(lost)}, where marks are no accents" if lost else ""
    return f"{what or 'accents are taken off letters, as in BERT'}: {listed}. " + (
        "--strip_accents=false keeps them"
    )


def lost_by(tokenizer: "Tokenizer", texts: Iterable[str]) -> str:
    """A line on the letters of texts that a tokenizer makes others of; "" where it takes none.

    Args:
        tokenizer: such as one that was trained for text in another language.
        texts: some of those that it is to encode.
    """
    settings = tokenizer.settings["normalizer"] or {}
    strips = settings.get("strip_accents")
    if not (settings.get("lowercase") if strips is None else strips):
        return ""
    counts: Counter[str] = Counter()
    characters = 0
    for text in texts:
        characters += len(text)
        counts.update(() if text.isascii() else letters(text))
    if are_accents(counts, characters):
        return ""
    lost = {name: found for name, found in by_script(counts).items() if name not in ACCENTED}
    return (
        f"the tokenizer takes marks off letters, which LOSES LETTERS here: {_listed(lost)} in a "
        f"sample of {characters:,} characters; a vocabulary that train-tokenizer makes of this "
        "text keeps them"
    )


def _listed(scripts: Mapping[str, Counter[str]]) -> str:
    """Scripts with the number of letters and the three most frequent."""
    parts = []
    for name, of_script in scripts.items():
        some = ", ".join(
            f"{unicodedata.normalize('NFC', letter)} to {stripped(letter)}"
            for letter, _ in of_script.most_common(3)
        )
        parts.append(f"{name} {of_script.total():,} ({some})")
    return "; ".join(parts)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) == "Mn"


@functools.cache
def _marked() -> re.Pattern:
    """A character with the marks behind it."""
    categories = map(unicodedata.category, map(chr, range(sys.maxunicode + 1)))
    codes = [code for code, category in enumerate(categories) if category == "Mn"]
    # Codes of a run less their places in the list are one number.
    runs = itertools.groupby(enumerate(codes), lambda pair: pair[1] - pair[0])
    ranges = ""
    for run in (list(pairs) for _, pairs in runs):
        ranges += f"\\U{run[0][1]:08x}-\\U{run[-1][1]:08x}"
    return re.compile(f"[^{ranges}]?[{ranges}]+", re.DOTALL)

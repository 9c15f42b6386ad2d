"""Whether a text is prose: the rules of Gopher and ROOTS on its words, each number with its source.

Gopher is Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training
Gopher", appendix A.1.1. ROOTS is Laurençon et al. 2022, "The BigScience ROOTS Corpus". Limits that
depend on the language are in `data/languages.toml`.
"""

import math
import re
from dataclasses import dataclass

from roots_tf.corpus import markup
from roots_tf.corpus.documents import Document, share
from roots_tf.corpus.lines import sentences, trails_off
from roots_tf.corpus.text_size import has_letter, has_letter_or_number
from roots_tf.corpus.word_lists import flagged_words, languages, stop_words, unspaced
from roots_tf.words import language_of, words

Limits = dict[str, tuple[float, float]]

_ELLIPSIS = re.compile(r"\.\.\.|\u2026{1,2}|\u22ef{1,2}")  # that of Chinese is two letters
_HEADING = re.compile(r"^ {0,3}(#{1,6})(?!#)(?=[ \t]|[^\x00-\x7f])", re.MULTILINE)  # of Markdown
_BULLETS = ("\u2022", "-")
_ENOUGH_WORDS = 50  # as Gopher has it
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


def _outside(
    measured: dict[str, float], limits: Limits, reasons: dict[str, tuple[str, str]]
) -> str:
    """Reason for the first measure that is outside its limits; empty if none is."""
    for name, (lowest, highest) in limits.items():
        if not lowest <= measured.get(name, lowest) <= highest:
            return reasons[name][measured[name] > highest]
    return ""


def _with_letters(all_words: list[str]) -> float:
    """Share of words that have a letter."""
    mixed = [word for word in all_words if not word.isalpha()]
    return (len(all_words) - len(mixed) + sum(map(has_letter, mixed))) / max(len(all_words), 1)


@dataclass(frozen=True)
class Length:
    """Drops text with too few or too many words, or with words too short or too long.

    Words without a letter or digit are not counted. The lengths are those of the words as written,
    with their punctuation.
    """

    min_words: float = 50  # of English, Gopher; of Chinese fewer, `words` in data/languages.toml
    max_words: float = math.inf  # Gopher: 100,000, more than half of all novels have
    # Mean letters a word; 0 for the limits of the language, Gopher's 3 and 10 if it has none.
    min_word_length: float = 0
    max_word_length: float = 0

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """The document; or `too_few_words`, `too_many_words`, `short_words` or `long_words`."""
        all_words = words(document.text, document.language)
        mixed = [word for word in all_words if not word.isalnum()]
        symbols = [word for word in mixed if not has_letter_or_number(word)]
        count = len(all_words) - len(symbols)
        letters = len("".join(all_words)) - len("".join(symbols))
        measured["words"] = count
        if document.language or not language_of(document.text):  # else no limits are known
            measured["mean_word_length"] = letters / max(count, 1)
        reasons = {
            "words": ("too_few_words", "too_many_words"),
            "mean_word_length": ("short_words", "long_words"),
        }
        return _outside(measured, self.limits(document.language), reasons) or document

    def limits(self, language: str) -> Limits:
        """Lowest and highest value kept of each measure."""
        shortest, longest = languages().get(language, {}).get("mean_word_length", (3, 10))
        words_for_one = languages().get(language, {}).get("words", 1.0)
        return {
            "words": (self.min_words * words_for_one, self.max_words),
            "mean_word_length": (
                self.min_word_length or shortest,
                self.max_word_length or longest,
            ),
        }


@dataclass(frozen=True)
class Symbols:
    """Drops text made of symbols, lists, cut-off lines or words without letters."""

    max_hashes_per_word: float = 0.1  # Gopher
    max_ellipses_per_word: float = 0.1  # Gopher
    max_bullet_lines: float = share(0.9)  # share of lines that begin with a bullet; Gopher
    max_ellipsis_lines: float = share(0.3)  # share of lines that end in an ellipsis; Gopher
    min_words_with_letters: float = share(0.8)  # share of words; Gopher

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """The document; or `hashes`, `ellipses`, `bullets`, `cut_lines` or `few_letters`."""
        text = document.text
        all_words = words(text, document.language)
        count = max(len(all_words), 1)
        lines = text.splitlines() or [""]
        hashes = text.count("#")
        if hashes:
            hashes -= sum(len(match[1]) for match in _HEADING.finditer(text))
        measured["hashes_per_word"] = hashes / count
        measured["ellipses_per_word"] = sum(1 for _ in _ELLIPSIS.finditer(text)) / count
        measured["bullet_lines"] = measured["ellipsis_lines"] = 0.0
        if any(mark in text for mark in _BULLETS):
            bullets = sum(line.lstrip().startswith(_BULLETS) for line in lines)
            measured["bullet_lines"] = bullets / len(lines)
        if measured["ellipses_per_word"]:
            cut = sum(map(trails_off, map(str.rstrip, lines)))
            if cut and unspaced(
                document.language or language_of(text)
            ):  # "很好，下次还来。。。" is no teaser
                cut = sum(trails_off(line.rstrip()) and not sentences(line[:-3]) for line in lines)
            measured["ellipsis_lines"] = cut / len(lines)
        measured["words_with_letters"] = _with_letters(all_words)
        if measured["words_with_letters"] < self.min_words_with_letters:
            # An article is not judged by its code, formulas and tables, if it has more than these.
            rest = words(markup.prose(text), document.language)
            if len(rest) >= _ENOUGH_WORDS:
                measured["words_with_letters"] = _with_letters(rest)
        reasons = {
            "hashes_per_word": ("", "hashes"),
            "ellipses_per_word": ("", "ellipses"),
            "bullet_lines": ("", "bullets"),
            "ellipsis_lines": ("", "cut_lines"),
            "words_with_letters": ("few_letters", ""),
        }
        return _outside(measured, self.limits(document.language), reasons) or document

    def limits(self, language: str) -> Limits:
        """Lowest and highest value kept of each measure."""
        return {
            "hashes_per_word": (-math.inf, self.max_hashes_per_word),
            "ellipses_per_word": (-math.inf, self.max_ellipses_per_word),
            "bullet_lines": (-math.inf, self.max_bullet_lines),
            "ellipsis_lines": (-math.inf, self.max_ellipsis_lines),
            "words_with_letters": (self.min_words_with_letters, math.inf),
        }


@dataclass(frozen=True)
class StopWords:
    """Drops text that has not even two of the commonest function words of its language.

    A language that is not in `data/languages.toml` is not judged.
    """

    min_stop_words: int = 2  # different ones; Gopher

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """The document, or `few_stop_words`."""
        wanted = stop_words(document.language)
        if not wanted:
            return document
        if unspaced(document.language):
            count = sum(word in document.text for word in wanted)
        else:
            count = len(wanted.intersection(words(document.text, document.language)))
        measured["stop_words"] = count
        return document if count >= self.min_stop_words else "few_stop_words"

    def limits(self, language: str) -> Limits:
        """Lowest and highest value kept of each measure."""
        return {"stop_words": (self.min_stop_words, math.inf)}


@dataclass(frozen=True)
class FlaggedWords:
    """Drops text of which too many words are those of pornographic pages.

    A language that is not in `data/flagged_words.toml` is not judged.
    """

    # Share of the words. ROOTS (parameters_filtering.py of bigscience-workshop/data-preparation)
    # has .01 for English and Spanish, .008 for French, .007 for Portuguese.
    max_flagged_words: float = share(0.01)

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """The document, or `flagged_words`."""
        flagged = flagged_words(document.language)
        if not flagged:
            return document
        if unspaced(document.language):  # a segmenter may part them
            text = document.text.lower()
            total = max(len(words(document.text, document.language)), 1)
            measured["flagged_words"] = sum(map(text.count, flagged)) / total
            over = measured["flagged_words"] > self.max_flagged_words
            return "flagged_words" if over else document
        # Text full of them has one in lower case with a space on either side.
        if flagged.isdisjoint(words(document.text, document.language)):
            measured["flagged_words"] = 0.0
            return document
        all_words = _WORD.findall(document.text.lower())
        count = sum(map(flagged.__contains__, all_words))
        measured["flagged_words"] = count / max(len(all_words), 1)
        over = measured["flagged_words"] > self.max_flagged_words
        return "flagged_words" if over else document

    def limits(self, language: str) -> Limits:
        """Lowest and highest value kept of each measure."""
        return {"flagged_words": (-math.inf, self.max_flagged_words)}

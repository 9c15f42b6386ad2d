"""Lines that are no prose: the rules of C4 and FineWeb, each number with its source.

C4 is Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
Transformer", section 2.2. FineWeb is Penedo et al. 2024, "The FineWeb Datasets", section 3.6. Their
marks at the end of a sentence are English; here they are those of all scripts.
"""

import math
import re
from dataclasses import dataclass

from roots_tf.corpus import markup
from roots_tf.corpus.documents import Document, share
from roots_tf.corpus.repetition import duplicate_share
from roots_tf.corpus.text_size import text_size
from roots_tf.corpus.word_lists import languages, unspaced
from roots_tf.words import language_of, words

# Unicode property Sentence_Terminal, of the scripts that are in use.
TERMINALS = (
    ".!?\u2026\u22ef\u3002\uff01\uff0e\uff1f\uff61\u203c\u203d\u2047\u2048\u2049"  # to Chinese
    "\u0589\u05c3\u061d\u061e\u061f\u06d4\u0700\u0701\u0702\u0964\u0965"  # Armenian ... Devanagari
    "\u104a\u104b\u1362\u1367\u1368\u17d4\u17d5\u166e\u1803\u1809\u0df4"  # Myanmar ... Sinhala
)
_QUOTES = "\"'\u2018\u2019\u201c\u201d\u00ab\u00bb\u2039\u203a\u300d\u300f"  # »so« and „so“, too
_CLOSING = _QUOTES + r")\]\u3011\uff09"
# A sentence ends at such marks and the quotes and brackets after them, before a space; in Chinese
# and Japanese no space is needed. Possessive repeats: a line of dots is read once.
_SENTENCE_END = re.compile(
    rf"(?<![{TERMINALS}])[{TERMINALS}]++[{_CLOSING}]*+(?=\s|$|[\u2e80-\uffef])"
)
_LINE_END = re.compile(rf"(?:[{TERMINALS}][{_CLOSING}]*|[{_QUOTES}])$")
_ELLIPSES = ("\u2026\u2026", "\u22ef\u22ef")  # a mark of its own (GB/T 15834)
_CITATION = re.compile(r"\[\d{0,4}\]|\[edit\]|\[citation needed\]")
# C4's phrases of legal notices on web pages.
_POLICIES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)


def sentences(text: str) -> int:
    """How many sentences end in a text; a mark in front of all words ends none.

    >>> sentences("房间很干净。服务也好！！"), sentences("Mr. Brown is here, i.e. at home")
    (2, 2)

    Args:
        text: any text; full stops of abbreviations count as well.
    """
    return sum(1 for _ in _SENTENCE_END.finditer(text))


def trails_off(line: str) -> bool:
    """Whether a line ends in an ellipsis, as one that was cut; not in that of Chinese, "……".

    Args:
        line: without white space at its end.
    """
    return line.endswith(("...", "\u2026", "\u22ef")) and not line.endswith(_ELLIPSES)


def ends_sentence(line: str) -> bool:
    """Whether a line ends as a sentence does: in a mark, maybe quoted or in brackets, or a quote.

    >>> ends_sentence("He said: “Stop!”"), ends_sentence("Read more ..."), ends_sentence("Menu")
    (True, True, False)
    """
    tail = line.rstrip()[-8:]
    return bool(tail) and (tail[-1] in ".!?" or bool(_LINE_END.search(tail)))


def _has_sentence(line: str) -> bool:
    return ends_sentence(line) or _SENTENCE_END.search(line) is not None


@dataclass(frozen=True)
class Lines:
    """Drops text whose lines are those of menus and lists; FineWeb's rules.

    The rule on the ends of lines does not apply to languages without such marks.
    """

    min_sentence_lines: float = share(0.12)  # share of lines that end a sentence
    max_short_lines: float = share(0.67)  # share of lines of at most `short_line_chars`
    short_line_chars: int = 30  # of English; a Han letter counts 3.5, as `text_size` has it
    # Share of characters in lines that were there before: .1 in the paper, .01 in its code.
    max_duplicate_line_chars: float = share(0.1)
    # FineWeb's code (fineweb_quality_filter.py of huggingface/datatrove), not in the paper.
    max_line_breaks_per_word: float = 0.3

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """The document; or `no_lines`, or the name of the measure that is outside its limits."""
        text = document.text
        lines = [line for line in text.split("\n") if line and not line.isspace()]
        if not lines:
            return "no_lines"
        # In scripts without spaces a paragraph's last mark is often left out, or there are none.
        told = document.language or language_of(text)
        if document.language or languages().get(told, {}).get("sentence_ends", True):
            ends = _has_sentence if unspaced(told) else ends_sentence
            measured["sentence_lines"] = sum(map(ends, lines)) / len(lines)
            if measured["sentence_lines"] < self.min_sentence_lines:
                # An article is not judged by its code, formulas and tables.
                rest = [line for line in markup.prose(text).split("\n") if line.strip()]
                measured["sentence_lines"] = sum(map(ends, rest)) / max(len(rest), 1)
        short = sum(text_size(line) <= self.short_line_chars for line in lines)
        measured["short_lines"] = short / len(lines)
        breaks = text.count("\n")
        measured["repeated_line_chars"] = duplicate_share(lines)[1] / (len(text) - breaks)
        measured["line_breaks_per_word"] = breaks / len(words(text, document.language))
        for name, (lowest, highest) in self.limits(document.language).items():
            if not lowest <= measured.get(name, lowest) <= highest:
                return name
        return document

    def limits(self, language: str) -> dict[str, tuple[float, float]]:
        """Lowest and highest value kept of each measure."""
        marked = languages().get(language, {}).get("sentence_ends", True)
        return {
            "sentence_lines": (self.min_sentence_lines if marked else -math.inf, math.inf),
            "short_lines": (-math.inf, self.max_short_lines),
            "repeated_line_chars": (-math.inf, self.max_duplicate_line_chars),
            "line_breaks_per_word": (-math.inf, self.max_line_breaks_per_word),
        }


@dataclass(frozen=True)
class SentenceLines:
    """Keeps the lines that are sentences, and the text if enough of it is; C4's rules.

    A line is removed if it does not end a sentence (or ends in an ellipsis), if it has few words or
    a very long one, or if it mentions JavaScript, cookies or terms of use. Citation marks such as
    "[1]" are removed.
    """

    min_sentences: int = 3  # C4 as in JMLR 21 and c4_utils.py of tensorflow/datasets; first 5
    min_line_words: int = 5  # likewise; first 3
    max_word_chars: int = 1000  # c4_utils.py
    terminal_marks: bool = True  # whether lines that end no sentence go

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """The document with fewer lines; or `lorem_ipsum`, `curly_bracket`, `few_sentences`."""
        told = document.language or language_of(document.text)
        marked = languages().get(told, {}).get("sentence_ends", True)
        kept, sentences, total = [], 0, 0
        for line in document.text.splitlines():
            total += 1
            line = line.strip()
            if len(line) > self.max_word_chars and self.max_word_chars < max(
                map(len, line.split())
            ):
                continue
            if "[" in line:
                line = _CITATION.sub("", line)
            cut = self.terminal_marks and marked
            if cut and (trails_off(line) or not ends_sentence(line)):
                continue
            short = len(line.split(None, self.min_line_words)) < self.min_line_words
            if (
                short and len(words(line, document.language)) < self.min_line_words
            ):  # in an unspaced script as well
                continue
            lower = line.lower()
            if "lorem ipsum" in lower:
                return "lorem_ipsum"
            if "javascript" in lower:
                continue
            if "{" in line:
                return "curly_bracket"
            if any(phrase in lower for phrase in _POLICIES):
                continue
            if sentences < self.min_sentences:
                sentences += max(sum(1 for _ in _SENTENCE_END.finditer(line)), 1)
            kept.append(line)
        measured["lines_taken_out"] = total - len(kept)
        if marked and sentences < self.min_sentences:
            return "few_sentences"
        return document._replace(text="\n".join(kept)) if kept else "few_sentences"

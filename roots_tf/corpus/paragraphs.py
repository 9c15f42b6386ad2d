"""Lines to paragraphs: tells line breaks of a fixed width from those that end a paragraph."""

import collections
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

# Scripts written without spaces, with their marks: lines join without one. Thai and Lao, Tibetan,
# Myanmar, Khmer, Tai, Javanese and Balinese; Chinese and Japanese with full-width forms. No Hangul.
_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f\u2e80-\u312f"
    "\u3190-\u4dbf\u4e00-\ua4cf\ua980-\ua9ff\uaa60-\uaadf\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff9f"
    "\U00016fe0-\U00018dff\U0001aff0-\U0001b2ff\U00020000-\U0003ffff]"
)
# Beside these no space stands in text without spaces, though text with spaces has them as well.
_UNSPACED_AFTER = tuple("([{<\u2018\u201c\u00b7\u2014\u2026")
_UNSPACED_BEFORE = tuple(")]}>,.;:!?%\u2019\u201d\u00b7\u2014\u2026")
UNSPACED_SHARE = 0.2  # of the letters of a text, from which it is one without spaces
# Two columns wide on a screen (Unicode's East_Asian_Width W and F).
_WIDE = re.compile(
    "[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60"
    "\uffe0-\uffe6\U0001f300-\U0001faff\U00020000-\U0003fffd]"
)
_SENTENCE_ENDS = tuple(".!?:\u2026\u0964\u06d4\u061f\u3002\uff01\uff1f")
_AFTER_SENTENCE_END = "\"'\u2019\u201d\u00bb\u300d\u300f)] -"
_TITLE = re.compile(r".*(?<!\w)[A-Z][a-z]{0,2}\.$")  # Mr. Mrs. Dr. St. and initials
_OPENS_QUOTE = ('"', "'", "\u201c", "\u2018", "\u00ab", "\u201e", "\u300c")
_ENDS_QUOTE = ('"', "\u201d", "\u00bb", "\u300d")
_LIST_ITEM = re.compile(r"(?:[-*+\u2022]|\d+[.)]|\(\w{1,3}\))\s")  # "- a", "1. a", "(b) a"
_NAMED_ITEM = re.compile(r"\w+ ?:\s")  # "name: a"; prose has it too, but not where it would fit
# Words of scripts with spaces, at the start and the end of a line and anywhere.
_SPACED = rf"(?:(?!{_UNSPACED.pattern})\w)"
_FIRST_WORD = re.compile(rf"\s?{_SPACED}+")
_LAST_WORD = re.compile(rf"{_SPACED}+$")
_WORDS = re.compile(rf"{_SPACED}+")
_WORDS_WITH_HYPHENS = re.compile(rf"{_SPACED}+(?:-{_SPACED}+)*")
_HYPHEN_REST = re.compile(rf"(?!\d|_){_SPACED}+")
_HYPHENATED = re.compile(rf".*?({_SPACED}*[^\W\d_])-$")

WRAP_WIDTHS = range(40, 121)  # letters; narrower lines are verse or lists, wider are paragraphs
UNSPACED_WRAP_WIDTHS = range(15, 121)
# Over the 87 English and 10 German novels of the tests and 36 translations of a legal text, this
# share is .25 and more where lines are wrapped by hand and .02 and less where they are not.
WRAPPED_SHARE = 0.15
BLANK_SHARE = 0.05  # of lines: from here on blank lines are what parts paragraphs
WIDTH_LINES = 5000  # that the width is estimated from
# Of lines before a word, full ones: nearly all where lines were cut, one in five where they were
# wrapped between words, whose lengths vary as words do.
CUT_SHARE = 0.75
CUT_LINES = 6  # full ones in text with spaces: of that many in a row none was seen by chance
LONG_WORD = 8  # columns that a word of a script without spaces leaves free at most
SHORT = 0.25  # of the width: a line that leaves more room than this ends a paragraph


def join_lines(text: str) -> str:
    """Joins hard-wrapped lines into paragraphs, one line each; space between words is kept.

    A line break was put in by an editor, and is taken out, if the first word of the next line
    would not have fitted; the width is the length that nine lines in ten keep to. It also goes if
    the sentence goes on in lower case. Everything else ends a paragraph: a blank line, a line that
    could have been much longer (a heading, verse), a list item, a new speaker, an indent, and,
    where no blank lines part the paragraphs, a sentence that ends before the width is used up.
    Text that is not wrapped keeps its lines. A hyphen at a line end stays unless the document has
    the word without it. No space is put beside a letter or mark of a script without spaces. Where
    lines were cut at one width, in the middle of words, full lines are joined as they were.

    >>> print(join_lines('''Chapter I
    ... The sea-wind was in his hair, and his
    ... eyes were agleam with snow.
    ... "Is it you?" said a voice, which came, as
    ... if from a well, out of the dark.'''))
    Chapter I
    The sea-wind was in his hair, and his eyes were agleam with snow.
    "Is it you?" said a voice, which came, as if from a well, out of the dark.
    """
    raw = text.split("\n")
    wrapping = _wrapping(raw, text)
    if wrapping is None:
        return "\n".join(filter(None, map(str.strip, raw)))
    words = None
    paragraphs, held = [], []
    before, before_indented = "", False
    for line in raw:
        indented = line[:1].isspace()
        new_indent = indented and not before_indented
        full = bool(before) and wrapping.is_full(before, line)
        bare = line.strip()
        if not bare or not before or wrapping.ends(before, line, full, new_indent):
            if held:
                paragraphs.append("".join(held).strip())
            held = [line if wrapping.cut else bare] if bare else []
        elif full:
            held.append(line.lstrip() if held[-1][-1:].isspace() else line)
        else:
            held[-1] = held[-1].rstrip()
            if held[-1].endswith("-") and not held[-1].endswith(" -"):
                if words is None:
                    find = _WORDS_WITH_HYPHENS.findall if wrapping.unspaced else str.split
                    words = set(find(text))
                held[-1] = _join_hyphen(held[-1], bare, words)
            else:
                held.append(wrapping.space(held, bare) + bare)
        before, before_indented = line if bare else "", indented
    if held:
        paragraphs.append("".join(held).strip())
    return "\n".join(paragraphs)


def is_unspaced(text: str) -> bool:
    """Whether a fifth of the letters of a text are of scripts that are written without spaces."""
    if text.isascii():
        return False
    sample = text[: WIDTH_LINES * 20]
    unspaced = len(_UNSPACED.findall(sample))
    return unspaced > 0 and unspaced >= UNSPACED_SHARE * sum(map(str.isalpha, sample))


def _columns(line: str) -> int:
    """Columns of a line on a screen, where a letter of Chinese, Japanese or Korean takes two."""
    return len(line) if line.isascii() else len(line) + len(_WIDE.findall(line))


class _Wrapping(NamedTuple):
    """How the lines of a text were made."""

    size: Callable[[str], int]  # of a line: its letters, or its columns
    width: int  # that lines were wrapped to
    cut: bool  # at the width, in the middle of words
    blank_parts: bool  # whether blank lines are what parts paragraphs
    indented: bool  # whether paragraphs begin with an indent
    unspaced: bool  # whether the text is one without spaces

    def is_full(self, before: str, line: str) -> bool:
        """Whether a line, not stripped, was cut where it ends, so that the next goes on in it."""
        return self.cut and _is_full(before, line, self.size, self.width)

    def ends(self, before: str, line: str, full: bool, new_indent: bool) -> bool:
        """Whether a paragraph ends between two lines, of which the first is full or is not."""
        if full:
            return new_indent and self.indented
        before, line = before.strip(), line.strip()
        room = _room(before, line, self.width, self.size)
        return _ends(before, line, self.width, room, self.blank_parts, new_indent)

    def space(self, held: list[str], line: str) -> str:
        """What stands for a line break: a space, or nothing.

        Args:
            held: the pieces of the paragraph so far.
            line: the next one.
        """
        last, first = held[-1][-1], line[0]
        if max(last, first) > "\u0dff" and (_UNSPACED.match(last) or _UNSPACED.match(first)):
            return ""
        if self.unspaced:
            if last in _UNSPACED_AFTER or first in _UNSPACED_BEFORE:
                return ""
            inside_quotes = sum(piece.count('"') for piece in held) % 2
            if inside_quotes and '"' in (last, first):  # an opening one, or the one that closes it
                return ""
        return " "


def _is_full(before: str, line: str, size: Callable[[str], int], width: int) -> bool:
    """Whether a line is as long as it can be; a wide letter may have left a column free.

    The indent of a first line has been made a single space by then.
    """
    room = width - size(before)
    wide = size is _columns and bool(_WIDE.match(line))
    return room == 0 or (room == 1 and (wide or before[0].isspace()))


def _wrapping(raw: list[str], text: str) -> _Wrapping | None:
    """How the lines of a text were wrapped; None if they were not.

    Args:
        raw: its lines, not stripped.
        text: the whole.
    """
    sample = raw[:WIDTH_LINES]
    size = _size_of(sample, text)
    unspaced = is_unspaced(text)
    lines = list(map(str.strip, sample))
    blank = sum(not line or line.isspace() for line in raw)
    blank_parts = blank >= BLANK_SHARE * len(raw)
    cut = _cut_width(sample, size, unspaced)
    if cut is not None:
        begins = [
            line[0].isspace()
            for before, line in zip(["", *sample], sample, strict=False)
            if line.strip() and not (before.strip() and _is_full(before, line, size, cut))
        ]
        return _Wrapping(size, cut, True, blank_parts, 2 * sum(begins) > len(begins), unspaced)
    width = wrap_width(lines, size, unspaced)
    return width and _Wrapping(size, width, False, blank_parts, True, unspaced)


def _size_of(raw: list[str], text: str) -> Callable[[str], int]:
    """Whether lines were wrapped by letters or by columns: by what more of them are full in."""
    if text.isascii() or not _WIDE.search(text):
        return len
    full = {}
    for size in (len, _columns):
        width = _nine_in_ten([size(line) for line in raw if line.strip()])
        pairs = zip(raw, raw[1:], strict=False)
        full[size] = sum(_is_full(a, b, size, width) for a, b in pairs if a.strip())
    return _columns if full[_columns] > full[len] else len


def _nine_in_ten(lengths: list[int]) -> int:
    """The length that nine lines in ten keep to."""
    return sorted(lengths)[len(lengths) * 9 // 10] if lengths else 0


def _cut_width(raw: list[str], size: Callable[[str], int], unspaced: bool) -> int | None:
    """Width that lines were cut at, in the middle of words; None if they were not.

    Lines that are wrapped between words differ in length, since a word that does not fit goes to
    the next line. Where lines were cut, the next line begins with any letter, and all lines before
    such a word are full, but for a space that somebody has taken off at the end.

    Args:
        raw: lines, not stripped.
        size: of a line, in letters or columns.
        unspaced: whether the text is one without spaces.
    """
    lengths = [size(line) for line in raw if line.strip()]
    width = _nine_in_ten(lengths)
    if width not in (UNSPACED_WRAP_WIDTHS if unspaced else WRAP_WIDTHS):
        return None
    if max(lengths) > 1.5 * width:
        return None
    full, short = collections.Counter(), collections.Counter()  # by whether a word comes next
    at_spaces, pieces = 0, []
    for before, line in zip(raw, raw[1:], strict=False):
        if not before.strip() or not line.strip() or _LIST_ITEM.match(line):
            continue
        word = _FIRST_WORD.match(line)
        if _is_full(before, line, size, width):
            full[bool(word)] += 1
            at_spaces += line[0].isspace() or before[-1].isspace()
            if word and (last := _LAST_WORD.search(before)):
                pieces.append((last[0], word[0]))
        elif word and size(before) < width - 1:
            short[True] += size(before) + 1 + size(word[0].strip()) > width
        elif unspaced and size(before) < width - 1:
            short[False] += width - size(before) < LONG_WORD
    enough = all(full[word] >= CUT_SHARE * (full[word] + short[word]) for word in (True, False))
    if not enough or full.total() < (1 if unspaced else CUT_LINES):
        return None
    # What is parted by a line end is in the text in two pieces; a word that is not, as a whole.
    counts = collections.Counter(_WORDS.findall("\n".join(raw)))
    whole = sum(left + right in counts for left, right in pieces)
    if not unspaced:
        return width if whole or at_spaces else None
    apart = sum(counts[left] > 1 and counts[right] > 1 for left, right in pieces)
    return None if full[True] < 3 and apart > whole else width


def _join_hyphen(before: str, line: str, words: set[str]) -> str:
    """Joins two lines at a hyphen, which goes if the document only has the word without it."""
    left, right = _HYPHENATED.match(before), _HYPHEN_REST.match(line)
    if left and right:
        whole = left[1] + right[0]
        if whole in words and f"{left[1]}-{right[0]}" not in words:
            before = before[:-1]
    return before + line


def wrap_width(
    lines: list[str], size: Callable[[str], int] = len, unspaced: bool = False
) -> int | None:
    """Width that lines were wrapped to by hand, in letters or columns; None if they were not.

    Args:
        lines: stripped lines; blank ones are empty.
        size: of a line.
        unspaced: whether the text is one without spaces.
    """
    lengths = sorted(size(line) for line in lines if line)
    if not lengths:
        return None
    width = _nine_in_ten(lengths)
    if width not in (UNSPACED_WRAP_WIDTHS if unspaced else WRAP_WIDTHS):
        return None
    if lengths[len(lengths) * 97 // 100] > 1.5 * width:  # too many lines broke the rule
        return None
    pairs = wrapped = 0
    for before, line in zip(lines, lines[1:], strict=False):
        if not before or not line:
            continue
        pairs += 1
        lower = line[0].islower()
        if not lower and unicodedata.category(line[0]) != "Lo":  # a script without cases
            continue
        if _room(before, line, width, size) < (SHORT * width if lower else 0):
            item = _LIST_ITEM.match(line) or _NAMED_ITEM.match(line)
            wrapped += not item and not _ends_sentence(before)
    return width if wrapped and wrapped >= WRAPPED_SHARE * pairs else None


def _room(before: str, line: str, width: int, size: Callable[[str], int]) -> int:
    """Letters or columns that a line has left for the next word, if that were added to it."""
    if line[0] > "\u0dff" and _UNSPACED.match(line):
        return width - size(before) - 1
    word = line.partition(" ")[0]
    if not word.isascii() and (letter := _UNSPACED.search(word)):  # "(Masked掩码" goes on in Han
        word = word[: letter.start()]
    return width - size(before) - 1 - size(word)


def _ends_sentence(line: str) -> bool:
    bare = line.rstrip(_AFTER_SENTENCE_END)
    return bare.endswith(_SENTENCE_ENDS) and not (bare[-1] == "." and _TITLE.match(line[-5:]))


def _ends(
    before: str, line: str, width: int, room: int, blank_parts: bool, new_indent: bool
) -> bool:
    """Whether a paragraph of wrapped text ends between two lines, the first of which has room."""
    first = line[0]
    if not first.isalpha() and _LIST_ITEM.match(line):
        return True
    ends_sentence = _ends_sentence(before)
    if first.islower() and not ends_sentence:
        return bool(_NAMED_ITEM.match(line)) and room >= 0
    if new_indent or (before.endswith(_ENDS_QUOTE) and line.startswith(_OPENS_QUOTE)):
        return True
    return room >= SHORT * width or (room >= 0 and ends_sentence and not blank_parts)

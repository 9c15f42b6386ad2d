"""Lines to paragraphs: tells line breaks of a fixed width from those that end a paragraph."""

import re
import unicodedata

# Scripts written without spaces (Thai to Khmer, Chinese, Japanese): lines join without one.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3001-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff9f]"
)
_SENTENCE_ENDS = tuple(".!?:\u2026\u0964\u06d4\u061f\u3002\uff01\uff1f")
_AFTER_SENTENCE_END = "\"'\u2019\u201d\u00bb\u300d\u300f)] -"
_TITLE = re.compile(r".*(?<!\w)[A-Z][a-z]{0,2}\.$")  # Mr. Mrs. Dr. St. and initials
_OPENS_QUOTE = ('"', "'", "\u201c", "\u2018", "\u00ab", "\u201e", "\u300c")
_ENDS_QUOTE = ('"', "\u201d", "\u00bb", "\u300d")
_LIST_ITEM = re.compile(r"(?:[-*+\u2022]|\d+[.)]|\(\w{1,3}\))\s")  # "- a", "1. a", "(b) a"
_NAMED_ITEM = re.compile(r"\w+ ?:\s")  # "name: a"; prose has it too, but not where it would fit
_HYPHENATED = re.compile(r".*?(\w*[^\W\d_])-$")
_WORD = re.compile(r"[^\W\d_]\w*")

WRAP_WIDTHS = range(40, 121)  # letters; narrower lines are verse or lists, wider are paragraphs
UNSPACED_WRAP_WIDTHS = range(15, 121)
# Over the 87 English and 10 German novels of the tests and 36 translations of a legal text, this
# share is .25 and more where lines are wrapped by hand and .02 and less where they are not.
WRAPPED_SHARE = 0.15
BLANK_SHARE = 0.05  # of lines: from here on blank lines are what parts paragraphs
WIDTH_LINES = 5000  # that the width is estimated from
SHORT = 0.25  # of the width: a line that leaves more room than this ends a paragraph


def join_lines(text: str) -> str:
    """Joins hard-wrapped lines into paragraphs, one line each; space between words is kept.

    A line break was put in by an editor, and is taken out, if the first word of the next line
    would not have fitted; the width is the length that nine lines in ten keep to. It also goes if
    the sentence goes on in lower case. Everything else ends a paragraph: a blank line, a line that
    could have been much longer (a heading, verse), a list item, a new speaker, an indent, and,
    where no blank lines part the paragraphs, a sentence that ends before the width is used up.
    Text that is not wrapped keeps its lines. A hyphen at a line end stays unless the document has
    the word without it.

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
    lines = list(map(str.strip, raw))
    width = wrap_width(lines[:WIDTH_LINES])
    if width is None:
        return "\n".join(line for line in lines if line)
    blank_parts = lines.count("") >= BLANK_SHARE * len(lines)
    words = None
    paragraphs, held = [], []
    before, before_indented = "", False
    for line, raw_line in zip(lines, raw, strict=True):
        indented = raw_line[:1].isspace()
        new_indent = indented and not before_indented
        if not line or not before or _ends(before, line, width, blank_parts, new_indent):
            if held:
                paragraphs.append(" ".join(held))
            held = [line] if line else []
        elif before[-1] == "-" and not before.endswith(" -"):
            if words is None:
                words = set(text.split())
            held[-1] = _join_hyphen(held[-1], line, words)
        elif before[-1] > "\u0dff" and _UNSPACED.match(before[-1]) and _UNSPACED.match(line):
            held[-1] += line
        else:
            held.append(line)
        before, before_indented = line, indented
    if held:
        paragraphs.append(" ".join(held))
    return "\n".join(paragraphs)


def _join_hyphen(before: str, line: str, words: set[str]) -> str:
    """Joins two lines at a hyphen, which goes if the document only has the word without it."""
    left, right = _HYPHENATED.match(before), _WORD.match(line)
    if left and right:
        whole = left[1] + right[0]
        if whole in words and f"{left[1]}-{right[0]}" not in words:
            before = before[:-1]
    return before + line


def wrap_width(lines: list[str]) -> int | None:
    """Width that lines were wrapped to by hand, in letters; None if they were not.

    Args:
        lines: stripped lines; blank ones are empty.
    """
    lengths = sorted(len(line) for line in lines if line)
    if not lengths:
        return None
    width = lengths[len(lengths) * 9 // 10]
    longest = max(lines, key=len)
    spaced = _UNSPACED.match(longest[len(longest) // 2]) is None
    if width not in (WRAP_WIDTHS if spaced else UNSPACED_WRAP_WIDTHS):
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
        if _room(before, line, width) < (SHORT * width if lower else 0):
            item = _LIST_ITEM.match(line) or _NAMED_ITEM.match(line)
            wrapped += not item and not _ends_sentence(before)
    return width if wrapped and wrapped >= WRAPPED_SHARE * pairs else None


def _room(before: str, line: str, width: int) -> int:
    """Letters that a line has left for the next word, if that word were added to it."""
    if line[0] > "\u0dff" and _UNSPACED.match(line):
        return width - len(before) - 1
    first_word = line.find(" ")
    return width - len(before) - 1 - (len(line) if first_word < 0 else first_word)


def _ends_sentence(line: str) -> bool:
    bare = line.rstrip(_AFTER_SENTENCE_END)
    return bare.endswith(_SENTENCE_ENDS) and not (bare[-1] == "." and _TITLE.match(line[-5:]))


def _ends(before: str, line: str, width: int, blank_parts: bool, new_indent: bool) -> bool:
    """Whether a paragraph of wrapped text ends between two lines."""
    first = line[0]
    if not first.isalpha() and _LIST_ITEM.match(line):
        return True
    ends_sentence = _ends_sentence(before)
    if first.islower() and not ends_sentence:
        return bool(_NAMED_ITEM.match(line)) and _room(before, line, width) >= 0
    if new_indent or (before.endswith(_ENDS_QUOTE) and line.startswith(_OPENS_QUOTE)):
        return True
    room = _room(before, line, width)
    return room >= SHORT * width or (room >= 0 and ends_sentence and not blank_parts)

"""Markdown, LaTeX and fenced code: kept, stripped of their marks, or dropped.

A text is taken for Markdown or LaTeX by signs that prose does not have: headings, fences, links,
rules of tables, bold; commands such as section, begin, textbf. Without one it is left alone.
Every pattern repeats a bounded number of times.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from roots_tf import spelling
from roots_tf.corpus import latex
from roots_tf.corpus.documents import Document
from roots_tf.storage.files import InputError

Action = Literal["keep", "strip", "drop"]
ACTIONS = ("keep", "strip", "drop")

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^`\n]*)$")
_DISPLAY = re.compile(
    r"\$\$[^$]{1,4000}\$\$|\\\[.{1,4000}?\\\]"
    rf"|\\begin\{{(?P<environment>(?:{latex.MATH})\*?)\}}.{{1,8000}}?\\end\{{(?P=environment)\}}",
    re.DOTALL,
)
# As Pandoc has it: no space inside the dollars, no digit after them; and what is between is no
# prose, so that "$5 and $6" is none.
_INLINE_MATH = re.compile(
    r"(?<![\\$\w])\$(?=[^\s$])(?:[^$\n\\\u2e80-\uffef]|\\[^\n]){1,400}(?<=[^\s\\])\$(?![\d$])"
    r"|(?<=[\u2e80-\uffef])\$(?=[^\s$])(?:[^$\n\\\u2e80-\uffef]|\\[^\n]){1,400}(?<=[^\s\\])\$(?![\d$])"
    r"|\\\([^\n]{1,400}?\\\)"
)
_FORMULA = re.compile(
    r"[\\^_=<>{|]|^\$[^$A-Za-z]{0,9}[A-Za-z]{1,2}(?:[^$A-Za-z]{1,9}[A-Za-z]{1,2}){0,9}[^$A-Za-z]{0,9}\$$"
)
_INLINE_CODE = re.compile(r"(?<!`)(?:`([^`\n]{1,400})`|``([^\n]{1,400}?)``)(?!`)")
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+.!|~>-])")
_HELD = 0xF0000  # private letters that stand for what is not to be read; those of the text as well
_HELD_LETTER = re.compile("[\U000f0000-\U000ffffd]")

_HEADING = re.compile(r"^ {0,3}(?:#{1,6}[ \t]+|#{2,6}(?=[^\s#!-~]))(\S.{0,300}?)[ \t]*#*$", re.M)
_TABLE_RULE = re.compile(
    r"^ {0,3}\|? ?:?-{2,}:? ?(?:\| ?:?-{2,}:? ?){1,60}\|? *$|^ *\|:?-{2,}:?\| *$", re.M
)
_BOLD = re.compile(
    r"(?<![\\*\w])(\*{2,3})(?=[^\s*])([^\n]{1,300}?)(?<=[^\s*])\1(?![*A-Za-z0-9])"
    r"|(?<=[^\x00-\x7f])(\*{2,3})(?=[^\s*])([^\n]{1,300}?)(?<=[^\s*])\3(?![*A-Za-z0-9])"
    r"|(?<!\w)__(?=[^\s_])(?![A-Za-z0-9_]{1,40}__)([^\n]{1,300}?)(?<=[^\s_])__(?!\w)"
)
_ITALIC = re.compile(
    r"(?<![\\*A-Za-z0-9])\*(?=[^\s*])([^\n*]{1,300}?)(?<=[^\s*])\*(?![*A-Za-z0-9])"
    r"|(?<![\w\\])_(?=[^\s_])([^\n_]{1,300}?)(?<=[^\s_])_(?!\w)"
)
_STRUCK = re.compile(r"~~(?=\S)([^\n~]{1,300}?)(?<=\S)~~|==(?=[^\s=])([^\n=]{1,300}?)(?<=[^\s=])==")
_IMAGE = re.compile(r"!\[([^\]\n]{0,300})\](?:\([^)\n]{0,500}\)|\[[^\]\n]{0,100}\])")
_LINK = re.compile(
    r"(?<!!)\[([^\]\[\n]{1,300})\]\((?:[^()\s]|\([^()\s]{0,100}\)){0,500}"
    r"(?: +\"[^\"\n]{0,200}\")? *\)"
)
_REFERENCE = re.compile(r"\[([^\]\[\n]{1,300})\]\[[^\]\n]{0,100}\]|\[\^[^\]\s]{1,40}\](?!:)")
_DEFINITION = re.compile(
    r"^ {0,3}\[[^\]^\n][^\]\n]{0,100}\]: *\S{1,500}(?: +[\"'(].{0,200})?$\n?", re.M
)
_NOTE = re.compile(r"^ {0,3}\[\^[^\]\s]{1,40}\]: *", re.M)
_AUTOLINK = re.compile(r"<((?:https?|ftp|mailto):[^\s<>]{1,500})>")
_COMMENT = re.compile(r"<!--.{0,4000}?-->", re.DOTALL)
_BREAK = re.compile(r"<br ?/?>| {2,}$|(?<!\\)\\$", re.M)
_RULE = re.compile(r"^ {0,3}(?:(?:[-*_] ?){3,80}|={3,80}) *$\n?", re.M)
_QUOTE = re.compile(r"^ {0,3}(?:> ?){1,9}", re.M)
_BULLET = re.compile(r"^([ \t]{0,12})[-*+][ \t]+(?:\[[ xX]\] )?(?=\S)", re.M)
_FRONT = re.compile(r"\A---\n(?:[\w-]{1,40}:.{0,500}\n|[ -].{0,500}\n){1,60}---\n")
_SIGNS = (_HEADING, _TABLE_RULE, _BOLD, _LINK, _IMAGE)


@dataclass(frozen=True)
class Markup:
    """Takes the marks of Markdown and LaTeX out of a text, and code and formulas if so wanted.

    What is kept stands as it was; what is stripped loses its marks; what is dropped goes. Numbers
    of lists stay, as a reader sees them; cells of tables are parted by a space. Text without marks
    is not touched. Measures `markup`, 1 if there are marks; with marks = "drop" the whole document
    goes, with the reason `markup`.

    Raises:
        InputError: an action that there is not.
    """

    marks: Action = "strip"  # of headings, emphasis, links, lists, tables; LaTeX's commands
    fenced_code: Action = "keep"  # in fences or `verbatim`; strip: without the fence
    inline_code: Action = "strip"  # strip: without its backticks
    math: Action = "keep"  # strip: without dollars and `\\begin`

    def __post_init__(self):
        wrong = {name: value for name, value in vars(self).items() if value not in ACTIONS}
        if wrong:
            name, value = next(iter(wrong.items()))
            raise InputError(
                "no-such-choice",
                f"found {name} = {value!r} in the step markup; wanted one of {', '.join(ACTIONS)}"
                f"{spelling.suggestion(str(value), ACTIONS)}",
            )

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """See `documents.DocumentStep`."""
        found = is_marked_up(document.text)
        measured["markup"] = float(found)
        if not found:
            return document
        if self.marks == "drop":
            return "markup"
        return document._replace(text=self._stripped(document.text))

    def _stripped(self, text: str) -> str:
        pieces = []
        for kind, piece in _segments(text):
            if kind == "prose":
                pieces.append(self._prose(piece))
            elif self.fenced_code == "keep":
                pieces.append(piece)
            elif self.fenced_code == "strip":
                pieces.append(piece.split("\n", 1)[1].rstrip("\n").rpartition("\n")[0] + "\n")
        return "".join(pieces)

    def _prose(self, text: str) -> str:
        """Text outside of fences, block by block once its formulas are out of sight."""
        held: list[str] = []

        def hold(pattern: re.Pattern, shown) -> None:
            nonlocal text
            text = pattern.sub(lambda match: _letter(held, shown(match)), text)

        hold(_HELD_LETTER, lambda match: match[0])
        hold(_INLINE_CODE, lambda match: _shown(match[0], match[1] or match[2], self.inline_code))
        hold(_DISPLAY, lambda match: _shown(match[0], latex.inside(match[0]), self.math))
        hold(
            _INLINE_MATH,
            lambda match: (
                _shown(match[0], latex.inside(match[0]), self.math)
                if _FORMULA.search(match[0])
                else match[0]
            ),
        )
        if self.marks == "strip":
            hold(_ESCAPED, lambda match: match[0] if latex.is_latex(text) else match[1])
            text = latex.strip(text) if latex.is_latex(text) else text
            text = _without_marks(text)
        return _HELD_LETTER.sub(lambda match: _of(held, match[0]), text)


def _letter(held: list[str], piece: str) -> str:
    """A letter that stands for a piece; the piece itself once there are no more letters."""
    if _HELD + len(held) > 0xFFFFD:
        return piece
    held.append(piece)
    return chr(_HELD + len(held) - 1)


def _of(held: list[str], letter: str) -> str:
    """The piece that a letter stands for, with those in it."""
    piece = held[ord(letter) - _HELD]
    own = piece == letter or not _HELD_LETTER.search(piece)
    return piece if own else _HELD_LETTER.sub(lambda match: _of(held, match[0]), piece)


def _shown(whole: str, inside: str, action: Action) -> str:
    return {"keep": whole, "strip": inside, "drop": ""}[action]


def is_marked_up(text: str) -> bool:
    """Whether a text is Markdown, LaTeX or has fenced code or formulas."""
    if not any(mark in text for mark in "#*_[|`~$\\"):
        return False
    if any(sign.search(text) for sign in _SIGNS) or latex.is_latex(text):
        return True
    if any(_FORMULA.search(match[0]) for match in _INLINE_MATH.finditer(text)):
        return True
    return bool(_DISPLAY.search(text)) or any(kind == "code" for kind, _ in _segments(text))


def prose(text: str) -> str:
    """What is left of a text without code, formulas, tables and marks; all if it has no marks.

    >>> prose("# 标题\\n\\n设$x^2$为……\\n\\n```\\na = b\\n```\\n").split()
    ['标题', '设为……']

    Args:
        text: any text.
    """
    if not is_marked_up(text):
        return text
    rows = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith(("|", "+-")))
    return Markup(fenced_code="drop", inline_code="drop", math="drop")._stripped(rows)


def _segments(text: str) -> Iterator[tuple[str, str]]:
    """Prose and code in fences or in LaTeX's verbatim, as they follow each other.

    A fence that is not closed is none.
    """
    lines = text.splitlines(keepends=True)
    unclosed: set[str] = set()
    held, place = [], 0
    while place < len(lines):
        bare = lines[place].rstrip("\n")
        fence = _FENCE.match(bare)
        mark = fence[1] if fence else latex.verbatim(bare)
        end = None
        if mark and mark not in unclosed:
            end = _closing(lines, place + 1, mark)
            if end is None:
                unclosed.add(mark)
        if end is None:
            held.append(lines[place])
            place += 1
            continue
        if held:
            yield "prose", "".join(held)
        yield "code", "".join(lines[place : end + 1])
        held, place = [], end + 1
    if held:
        yield "prose", "".join(held)


def _closing(lines: list[str], place: int, mark: str) -> int | None:
    """The line that closes a fence or a verbatim environment."""
    for at in range(place, len(lines)):
        line = lines[at].strip()
        if line.startswith(mark) and not line.strip(mark[0]):
            return at
        if mark[0] == "\\" and line.startswith(mark):
            return at
    return None


def _without_marks(text: str) -> str:
    """Text without the marks of Markdown."""
    text = _COMMENT.sub("", _FRONT.sub("", text))
    if _TABLE_RULE.search(text):
        text = "\n".join(_cells(line) for line in text.split("\n") if not _TABLE_RULE.match(line))
    text = _QUOTE.sub("", text)
    text = _RULE.sub("", text)
    text = _HEADING.sub(r"\1", text)
    text = _DEFINITION.sub("", text)
    text = _NOTE.sub("", text)
    text = _BULLET.sub(r"\1", text)
    text = _IMAGE.sub(r"\1", text)
    text = _LINK.sub(r"\1", text)
    text = _REFERENCE.sub(lambda match: match[1] or "", text)
    text = _AUTOLINK.sub(r"\1", text)
    for pattern in (_BOLD, _BOLD, _ITALIC, _STRUCK):
        text = pattern.sub(_inside, text)
    return _BREAK.sub("", text)


def _inside(match: re.Match) -> str:
    """What stands between the marks of emphasis: the last group that has matched."""
    return match[match.lastindex]


def _cells(line: str) -> str:
    """A row of a table as its cells, parted by a space; another line as it is."""
    if not line.lstrip().startswith("|"):
        return line
    return " ".join(cell.strip() for cell in line.strip().strip("|").split("|") if cell.strip())

"""The skeleton of a page of HTML that needs nothing else, and what stands in it: texts, tables.

Texts come from anywhere: they are escaped, characters that cannot be seen or that turn the writing
around are shown as their code points, and the page forbids scripts and requests.
"""

import html
import math
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

STYLE = Path(__file__).with_name("page.css")
SHOWN = frozenset("\n\t\u200c\u200d")  # the last two, the (non-)joiner, spell words in Persian
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # Unicode's general categories


class Section(NamedTuple):
    """A part of a page with its own heading.

    Attributes:
        name: by which links find it.
        title: a text.
        content: HTML.
    """

    name: str
    title: str
    content: str


def render(title: str, header: str, sections: Sequence[Section], is_wide: bool = False) -> str:
    """A whole page: header, contents, sections.

    Args:
        title: of the window, a text.
        header: HTML above the contents, with the heading of the page.
        sections: of the page, in order.
        is_wide: whether three charts stand side by side.
    """
    contents = "".join(
        f'<li><a href="#{section.name}">{text(section.title)}</a></li>' for section in sections
    )
    body = "".join(
        f'<section id="{section.name}"><h2>{text(section.title)}</h2>{section.content}</section>'
        for section in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{plain(title)}</title>\n<style>\n{STYLE.read_text('utf-8')}</style></head>\n"
        f"<body{' class=wide' if is_wide else ''}><header>{header}</header>\n"
        f'<nav aria-label="Contents"><ol>{contents}</ol></nav>\n<main>{body}</main></body></html>\n'
    )


def text(value: str) -> str:
    """A text as HTML: escaped; characters that are unseen or reverse the writing as code points.

    >>> text("<b>\\u202eabc\\u0000")
    '&lt;b&gt;<span class="code">U+202E</span>abc<span class="code">U+0000</span>'
    """
    if value.isascii() and value.isprintable():
        return html.escape(value)
    return "".join(
        f'<span class="code">U+{ord(c):04X}</span>' if is_unseen(c) else html.escape(c)
        for c in value
    )


def plain(value: str) -> str:
    """A text for an attribute or for SVG, where no element may stand: as `text`, without `span`.

    >>> plain("<b>\\u202eabc")
    '&lt;b&gt;[U+202E]abc'
    """
    return "".join(f"[U+{ord(c):04X}]" if is_unseen(c) else html.escape(c) for c in value)


def is_unseen(character: str) -> bool:
    """Whether a character has no shape of its own, or turns those around it."""
    return character not in SHOWN and unicodedata.category(character) in _UNSEEN


def number(value: float) -> str:
    """A value as people read it.

    >>> [number(value) for value in (0.25, 3, 1234567.0, float("inf"))]
    ['0.25', '3', '1,234,567', '∞']
    """
    if math.isnan(value):
        return "no number"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) >= 1e15:
        return f"{value:.4g}"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


class Cell(str):
    """A cell of a table that is HTML already."""


def table(head: Sequence[str], rows: Iterable[Sequence], chosen: Sequence[bool] = ()) -> str:
    """An HTML table.

    Args:
        head: titles of the columns.
        rows: cells; strings are escaped, numbers are aligned right, a `Cell` is written as it is,
            None is a dash.
        chosen: whether each row is highlighted; empty for none.
    """

    def cell(value) -> str:
        if isinstance(value, Cell):
            return value
        if isinstance(value, str):
            return (
                f'<td dir="auto">{text(value)}</td>'
                if not value.isascii()
                else (f"<td>{text(value)}</td>")
            )
        return f'<td class="n">{"–" if value is None else number(value)}</td>'

    rows = list(rows)
    right = [
        bool(rows) and (not isinstance(value, str) or value.startswith('<td class="n"'))
        for value in (rows or [head])[0]
    ]
    heads = "".join(
        f'<th scope="col"{" class=n" if is_number else ""}>{text(name)}</th>'
        for name, is_number in zip(head, right, strict=True)
    )
    lines = "".join(
        f"<tr{' class=chosen' if place < len(chosen) and chosen[place] else ''}>"
        f"{''.join(map(cell, row))}</tr>"
        for place, row in enumerate(rows)
    )
    return (
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )

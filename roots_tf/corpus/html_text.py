"""HTML to text: removes what readers do not see, refuses what would take too long to parse.

A page is tokenised here once, by the rules of the HTML standard (WHATWG HTML, 13.2.5), and given to
the parser without scripts, comments, drawings and overlong attributes. So what is counted here is
what the parser meets, and a page cannot hide from the limits behind a comment or a quote.
"""

import html
import re
from collections.abc import Iterator

from roots_tf.storage.files import InputError

# Elements whose content is not text of the page, or is tokenised by other rules.
_RAW = {"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"}
_REMOVED = _RAW | {"template", "select", "svg", "math"}
_END = {name: re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE) for name in _REMOVED}
_COMMENT_END = re.compile(r"--!?>")
# A tag: an attribute is a name, then perhaps a value in quotes or up to a space. A quote elsewhere
# is a letter like another.
_ATTRIBUTES = (
    r"(?:[\t\n\f\r /]+|[^\t\n\f\r />][^\t\n\f\r />=]*(?:[\t\n\f\r ]*=[\t\n\f\r ]*"
    r"(?:\"[^\"]*(?:\"|\Z)|'[^']*(?:'|\Z)|[^\t\n\f\r >]*))?)*+>?"
)
_TAG = re.compile(rf"<(?:(/?)([a-zA-Z][^\t\n\f\r />]*)({_ATTRIBUTES})|(!--)|[!?/])")
_REST_OF_TAG = re.compile(_ATTRIBUTES)
# A parser compares each attribute of an element with all others; pictures as data: are longer.
MAX_ATTRIBUTE_CHARS = 2000
# WHATWG HTML, 13.1.2 "Void elements", and those that the tree builder treats so.
_VOID = {"area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "image"}
_VOID |= {"img", "input", "keygen", "link", "meta", "param", "source", "track", "wbr"}
# 13.2.4.3 "The list of active formatting elements", without <a>, of which one is open at most.
_FORMATTING = {"b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong"}
_FORMATTING |= {"tt", "u"}
_MARKERS = {"applet", "caption", "marquee", "object", "td", "th"}  # begin a list of their own
_SCOPES = _MARKERS | {"html", "table"}  # 13.2.4.2: an end tag closes nothing beyond these
_OF_TABLES = {"table", "tbody", "tfoot", "thead", "tr", "td", "th", "caption"}
_DOCUMENT = {"html", "head", "body"}  # one of each; end with the page
# 13.2.6.4.7 "In body": end tags that close what is open inside their element. Others, such as
# </span>, close nothing beyond such an element.
_BLOCKS = {"address", "article", "aside", "blockquote", "button", "center", "details", "dialog"}
_BLOCKS |= {"dir", "div", "dl", "fieldset", "figcaption", "figure", "footer", "header", "hgroup"}
_BLOCKS |= {"listing", "main", "menu", "nav", "ol", "pre", "search", "section", "summary", "ul"}
_BLOCKS |= {"h1", "h2", "h3", "h4", "h5", "h6", "p", "li", "dd", "dt"} | _MARKERS | _OF_TABLES
# What an end tag closes nothing beyond (13.2.4.2); of names that are not here, it is _SPECIAL.
_WALLS = dict.fromkeys(_BLOCKS, _SCOPES) | dict.fromkeys(_OF_TABLES, {"table", "html"})
_WALLS |= {"p": _SCOPES | {"button"}, "li": _SCOPES | {"ol", "ul"}}
_ENDS_PARAGRAPH = _BLOCKS - _OF_TABLES - _MARKERS
_FORGOTTEN = _FORMATTING | {"a", "form", "head"}  # may end before what was opened inside
_INLINE = _FORMATTING | {"p", "a"}
_SPECIAL = _BLOCKS | _DOCUMENT | {"form", "noscript", "frameset", "colgroup"}
# A start tag that ends an open element: which, and what may stand open between.
_CELLS, _ROWS, _GROUPS = {"td", "th"}, {"tr"}, {"tbody", "tfoot", "thead"}
_ENDS = {name: cells for cells in (_CELLS, _ROWS, _GROUPS) for name in cells}
_ENDS |= {"p": {"p"}, "li": {"li"}, "dd": {"dd", "dt"}, "dt": {"dd", "dt"}}


class TooComplexError(ValueError):
    """A page that no parser reads in good time: its text is the reason to drop it."""


def visible(page: str, max_depth: int, max_tags: int) -> tuple[str, str, int, int]:
    """A page without the parts that readers do not see.

    Args:
        page: HTML.
        max_depth: elements open at once.
        max_tags: tags, with those that the parser adds where formatting is not closed.

    Returns:
        The page to parse, its title, the greatest number of elements open at once, and of tags.

    Raises:
        TooComplexError: there are more: `too_deep`, `too_many_tags`.
    """
    kept, title = [], ""
    at = copied = 0  # up to where the page is read, and is in `kept` if it is to be
    nesting = _Nesting(max_depth, max_tags)
    without_end: set[str] = set()
    is_xml = page.startswith("<?xml")  # there, <script/> is a whole element
    while tag := _TAG.search(page, at):
        slash, name, attributes, comment = tag.groups()
        start, at = tag.span()
        if name is None:
            kept.append(page[copied:start])
            # If not a comment, a document type or what the standard calls a bogus comment.
            at = _end_of_comment(page, at) if comment else page.find(">", at) + 1 or len(page)
            copied = at
            continue
        name = name.lower()
        if name in _REMOVED:
            kept.append(page[copied:start])
            copied = at
            if slash or (is_xml and attributes.endswith("/>")) or name in without_end:
                continue
            if (end := _END[name].search(page, at)) is None:
                without_end.add(name)
                if name in _RAW:
                    copied = at = len(page)
                continue
            if name == "title":
                title = title or " ".join(html.unescape(page[at : end.start()]).split())
            copied = at = _REST_OF_TAG.match(page, end.end()).end()
            kept.append(" ")
            continue
        if name == "plaintext":
            kept.append(page[copied:start])
            copied = len(page)
            break
        if len(attributes) > MAX_ATTRIBUTE_CHARS:
            kept.append(f"{page[copied:start]}<{slash}{name}>")
            copied = at
        nesting.count()
        if slash:
            nesting.close(name)
        elif name not in _VOID:
            nesting.open(name, attributes)
    kept.append(page[copied:])
    return "".join(kept), title, nesting.deepest, nesting.tags


def _end_of_comment(page: str, start: int) -> int:
    if page.startswith((">", "->"), start):  # 13.2.5.43 "Comment start state"
        return page.index(">", start) + 1
    end = _COMMENT_END.search(page, start)
    return end.end() if end else len(page)


class _Nesting:
    """Counts open elements as the tree builder of the standard would, or a few more."""

    def __init__(self, max_depth: int, max_tags: int):
        self.max_depth, self.max_tags = max_depth, max_tags
        self.deepest = self.tags = 0
        self.names: list[str] = []
        # By marker, tag: times open. They open again in every block until they are closed.
        self.formatting: list[dict[tuple[str, str], int]] = [{}]

    def count(self) -> None:
        """Counts a tag, and the formatting elements that the parser may open again after it."""
        self.tags += 1
        if self.formatting[-1]:
            self.tags += sum(self.formatting[-1].values())
        if self.tags > self.max_tags:
            raise TooComplexError("too_many_tags")

    def open(self, name: str, attributes: str) -> None:
        if name in _OF_TABLES and name != "table" and "table" not in self.names:
            return  # the parser ignores it too
        if name in _DOCUMENT and name in self.names:
            return
        if ends := _ENDS.get(name):
            self._end_sibling(ends, name in _OF_TABLES)
        elif name == "a":
            self._forget("a")
        if name in _ENDS_PARAGRAPH:
            self.close("p")
        self.names.append(name)
        depth = len(self.names)
        if name in _FORMATTING:
            tags, tag = self.formatting[-1], (name, attributes)
            tags[tag] = min(tags.get(tag, 0) + 1, 3)  # the tree builder keeps three equal ones
            depth = max(depth, sum(tags.values()))
        elif name in _MARKERS:
            self.formatting.append({})
        if depth > self.deepest:
            self.deepest = depth
            if depth > self.max_depth:
                raise TooComplexError("too_deep")

    def close(self, name: str) -> None:
        if name in _FORGOTTEN:
            self._forget(name)
            return
        if name in _DOCUMENT or name not in self.names:
            return
        walls = _WALLS.get(name, _SPECIAL)
        for index in range(len(self.names) - 1, -1, -1):
            if self.names[index] == name:
                self._cut(index)
                return
            if self.names[index] in walls:
                return

    def _end_sibling(self, ends: set[str], of_tables: bool) -> None:
        for index in range(len(self.names) - 1, -1, -1):
            open_name = self.names[index]
            if open_name in ends:
                self._cut(index)
                return
            if open_name == "table" if of_tables else open_name not in _INLINE:
                return

    def _cut(self, index: int) -> None:
        if len(self.formatting) > 1 and (
            markers := sum(name in _MARKERS for name in self.names[index:])
        ):
            del self.formatting[-markers:]
        del self.names[index:]

    def _forget(self, name: str) -> None:
        """Closes an element that may end before the elements inside it do."""
        tags = self.formatting[-1]
        for tag in reversed(tags):
            if tag[0] == name:
                tags[tag] -= 1
                if not tags[tag]:
                    del tags[tag]
                break
        for index in range(len(self.names) - 1, -1, -1):
            if self.names[index] == name:
                del self.names[index]
                return
            if self.names[index] in _SCOPES:
                return


def extract(page: str, main_content: bool, comments: bool) -> str:
    """Text of a page that `visible` gave: a paragraph, heading or list item a line.

    Args:
        page: HTML.
        main_content: leave out menus, footers and the like, as resiliparse tells them.
        comments: the comments of readers belong to the main content.

    Raises:
        InputError: the library resiliparse is not installed.
    """
    text = _extractor()(
        page,
        preserve_formatting=True,
        main_content=main_content,
        list_bullets=False,
        alt_texts=False,
        comments=comments,
    )
    return "\n".join(_lines(text))


def _lines(text: str) -> Iterator[str]:
    """Lines without spaces around them, and no two blank ones on end."""
    blank = True
    for line in map(str.strip, text.split("\n")):
        if line or not blank:
            yield line
        blank = not line


def _extractor():
    try:
        from resiliparse.extract.html2text import extract_plain_text
    except ImportError as error:
        raise InputError(
            "missing-extra",
            "found no package resiliparse, which reads HTML; "
            "install it: pip install 'roots-tf[curation]'",
        ) from error
    return extract_plain_text

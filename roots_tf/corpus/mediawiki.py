"""Wikis: the articles of a MediaWiki XML dump, as a stream.

The format is https://www.mediawiki.org/wiki/Help:Export. Read are pages of the main namespace that
are no redirects; of several revisions the last one in the file.
"""

import html
import json
import re
import urllib.parse
import xml.parsers.expat
from collections.abc import Iterator

from roots_tf.corpus import decoding
from roots_tf.corpus.documents import Document
from roots_tf.corpus.tally import Tally
from roots_tf.storage import compression, ranges, urls
from roots_tf.storage.files import InputError

PAGE_BORDER = re.compile(rb"(?=<page>)")  # in a text, "<" is written "&lt;"
HEAD_BYTES = 1 << 16  # that hold the names of the wiki and of its namespaces
MAX_DEPTH = 20  # of elements; a dump has five: mediawiki, page, revision, contributor, id
MAX_TOKEN_BYTES = 16 << 20  # that the parser may hold without finding a tag or a text
_BASE = re.compile(rb"<base>([^<]*)</base>")
_FIELDS = {
    "siteinfo/base": "base",
    "page/title": "title",
    "page/ns": "namespace",
    "page/revision/timestamp": "date",
    "page/revision/model": "model",
    "page/revision/text": "text",
}


class _DamageError(Exception):
    """Not the XML of a dump; its text is the reason."""


class _Pages:
    """Collects pages from the events of the XML parser."""

    def __init__(self, max_chars: int):
        self.max_chars = max_chars
        self.finished: list[dict[str, str]] = []
        self.begun = False  # whether it is a dump
        self.active = False  # whether the parser has found anything of late
        self.base = ""  # address of the wiki's main page
        self._path: list[str] = []  # names of the open elements
        self._page: dict[str, str] = {}
        self._field: str | None = None
        self._pieces: list[str] = []
        self._length = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.active = True
        if not self._path and name != "mediawiki":
            raise _DamageError("not_a_dump")
        self.begun = True
        if len(self._path) >= MAX_DEPTH:
            raise _DamageError("too_deep")
        self._path.append(name)
        inside = "/".join(self._path[1:])
        if inside == "page":
            self._page = {}
        elif inside == "page/redirect":
            self._page["redirect"] = attributes.get("title", "")
        self._field = _FIELDS.get(inside)
        self._pieces, self._length = [], 0

    def text(self, data: str) -> None:
        self.active = True
        if self._field:
            self._length += len(data)
            if self._length <= self.max_chars + len(data):  # enough to see that it is too long
                self._pieces.append(data)

    def end(self, name: str) -> None:
        if self._field:
            self._page[self._field] = "".join(self._pieces)
            self._field = None
        self._path.pop()
        if name == "base":
            self.base = self._page.pop("base", "")
        if name == "page" and len(self._path) == 1:
            self.finished.append(self._page)

    def doctype(self, *_) -> None:
        raise _DamageError("document_type")  # entities are declared there; no dump has one


def read(path: str, start: int, end: int, max_chars: int, tally: Tally) -> Iterator[Document]:
    """Articles of a dump, as wikitext.

    Where the XML is damaged the articles before it are read, and one document is dropped as
    `damaged_file`, `document_type` (it could declare entities) or `too_deep`.

    Args:
        path: a file, compressed as its suffix says.
        start: its first byte, 0 or where a page begins; only 0 for a compressed file.
        end: the byte after the last; -1 for the end of the file.
        max_chars: longer articles are dropped as `too_long`.
        tally: counts dropped articles, and notes pages that are not articles.

    Raises:
        InputError: the file is no MediaWiki dump at all.
    """
    name = urls.name_of(path)
    pages = _Pages(max_chars)
    parser = _parser(pages)
    if start:
        with ranges.opened(path) as file:
            head = _BASE.search(file.read(HEAD_BYTES))
            pages.base = html.unescape(head[1].decode("utf-8", "replace")) if head else ""
        parser.Parse("<mediawiki>")
    silent = 0
    try:
        for block in decoding.text_blocks(path, start, end, tally):
            pages.active = False
            parser.Parse(block)
            silent = 0 if pages.active else silent + len(block)
            if silent > MAX_TOKEN_BYTES:
                raise _DamageError("damaged_file")
            yield from _articles(pages, tally)
        if end < 0 or end == ranges.size(path):
            parser.Parse("", True)
    except xml.parsers.expat.ExpatError as error:
        yield from _articles(pages, tally)
        if not pages.begun:
            raise _no_dump(path, str(error)) from error
        _drop("damaged_file", f"{error}", name, tally)
    except _DamageError as error:
        yield from _articles(pages, tally)
        if str(error) == "not_a_dump":
            raise _no_dump(path, "another root element") from error
        _drop(str(error), "", name, tally)
    except compression.DamagedFileError as error:
        yield from _articles(pages, tally)
        _drop("damaged_file", str(error), name, tally)


def _parser(pages: _Pages) -> xml.parsers.expat.XMLParserType:
    parser = xml.parsers.expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.buffer_size = 1 << 16
    parser.StartElementHandler = pages.start
    parser.EndElementHandler = pages.end
    parser.CharacterDataHandler = pages.text
    parser.StartDoctypeDeclHandler = pages.doctype
    return parser


def _articles(pages: _Pages, tally: Tally) -> Iterator[Document]:
    """Articles among the pages that have been read whole; forgets these pages."""
    for page in pages.finished:
        yield from _article(page, pages.base, pages.max_chars, tally)
    pages.finished.clear()


def _article(page: dict[str, str], base: str, max_chars: int, tally: Tally) -> Iterator[Document]:
    title, text = page.get("title", ""), page.get("text", "")
    if page.get("namespace", "0") != "0":
        tally.note("pages_of_other_namespaces")
    elif "redirect" in page:
        tally.note("redirects")
    elif page.get("model", "wikitext") != "wikitext":
        tally.note("pages_not_wikitext")
    elif not text.strip():
        tally.note("pages_without_text")  # deleted from the public dump
    elif len(text) > max_chars:
        _drop("too_long", text, title, tally)
    else:
        metadata = {"date": page.get("date", ""), "title": title}
        if base:
            folder = base.rpartition("/")[0]
            metadata["url"] = f"{folder}/" + urllib.parse.quote(
                title.replace(" ", "_"), safe="/:@!$*(),;"
            )
        yield Document(text, title, "", "wikitext", json.dumps(metadata, ensure_ascii=False))


def _no_dump(path: str, found: str) -> InputError:
    return InputError(
        "wrong-format",
        f"found no MediaWiki dump in {path} ({found}); wanted the XML that Special:Export or "
        "dumps.wikimedia.org gives: convert it to text, or leave it out",
    )


def _drop(reason: str, text: str, source: str, tally: Tally) -> None:
    tally.read(text)
    tally.drop(reason, text, source)

"""A page as a parser of HTML sees it."""

import html.parser

VOID = {"br", "circle", "line", "meta", "path", "rect"}


class Page(html.parser.HTMLParser):
    """Elements, which must close what they open, and the text; nothing acts or is fetched."""

    def __init__(self, page: str):
        super().__init__()
        self.open, self.ids, self.links, self.words = [], set(), set(), []
        self.tags, self.classes, self.titles = set(), [], []
        self.feed(page)
        self.close()
        assert not self.open
        assert {link.removeprefix("#") for link in self.links} <= self.ids

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self._seen(tag, values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self._seen(tag, dict(attrs))

    def _seen(self, tag, values):
        self.tags.add(tag)
        assert not [name for name in values if name.startswith("on")]
        assert "src" not in values
        assert tag not in ("script", "img", "link", "iframe", "object")
        self.classes += (values.get("class") or "").split()
        self.ids.add(values.get("id"))
        if "href" in values:
            self.links.add(values["href"])
            assert values["href"].startswith("#")

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.open[-1] == "title":
            self.titles.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)

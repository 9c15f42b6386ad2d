"""The step `extract`: HTML or wikitext becomes text."""

import dataclasses
import json

from roots_tf.corpus import html_text, wikitext
from roots_tf.corpus.documents import Document


@dataclasses.dataclass(frozen=True)
class Extract:
    """Takes the markup out of documents that have some; the others pass untouched.

    Measures:
        markup_chars: length before. text_share: characters of text a character of markup.
        depth: HTML elements open at once. tags: HTML tags. Neither of a page that has too many.

    Reasons: `too_deep`, `too_many_tags`, `no_text`.
    """

    main_content: bool = True  # leave out menus, headers, footers, sidebars
    comments: bool = True  # what readers wrote below an article belongs to it
    # Where Chromium stops nesting is 512 (HTMLConstructionSite, kMaximumHTMLParserDOMTreeDepth);
    # Chromium nests no deeper than 512 (kMaximumHTMLParserDOMTreeDepth); at 256, and so many tags,
    # the most hostile page of four million characters takes seconds and 250 MB.
    max_depth: int = 256
    max_tags: int = 200_000

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """See `documents.DocumentStep`."""
        if not document.markup:
            return document
        measured["markup_chars"] = len(document.text)
        metadata = document.metadata
        if document.markup == "html":
            try:
                page, title, measured["depth"], measured["tags"] = html_text.visible(
                    document.text, self.max_depth, self.max_tags
                )
            except html_text.TooComplexError as error:
                return str(error)
            text = html_text.extract(page, self.main_content, self.comments)
            if title:
                metadata = _with_title(metadata, title)
        else:
            text = wikitext.plain_text(document.text)
        measured["text_share"] = len(text) / max(len(document.text), 1)
        if not text.strip():
            return "no_text"
        return document._replace(text=text, markup="", metadata=metadata)

    def limits(self, language: str) -> dict[str, tuple[float, float]]:
        """See `documents.DocumentStep`."""
        del language
        least = float("-inf")
        return {"depth": (least, self.max_depth), "tags": (least, self.max_tags)}


def _with_title(metadata: str, title: str) -> str:
    """Metadata with the title of the page, unless its source gave one."""
    fields = {"title": title[:1000], **json.loads(metadata or "{}")}
    return json.dumps(fields, ensure_ascii=False, sort_keys=True)

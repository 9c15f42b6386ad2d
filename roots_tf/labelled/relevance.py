"""Queries and the texts of a corpus that are relevant to them."""

from pathlib import Path
from typing import NamedTuple

from roots_tf.labelled import tables
from roots_tf.labelled.text_files import short
from roots_tf.storage.files import InputError


class Relevance(NamedTuple):
    """What is searched, and what should be found.

    Attributes:
        corpus: texts.
        queries: texts.
        relevant: of each query, places of texts in the corpus, each once, at least one.
    """

    corpus: list[str]
    queries: list[str]
    relevant: list[list[int]]

    def first(self, count: int) -> "Relevance":
        """The same with the first `count` queries."""
        return self._replace(queries=self.queries[:count], relevant=self.relevant[:count])


def read(corpus: str | Path, queries: str | Path, encoding: str = "utf-8") -> Relevance:
    """Reads a corpus and queries, tables as `tables.read` takes them.

        corpus   {"id": "p1", "text": "Seals live in cold water."}
        queries  {"text": "Where do seals live?", "relevant": ["p1"]}

    Args:
        corpus: file with `id` and `text`.
        queries: file with `text` and `relevant`: an id, ids that spaces part, or a list of ids.
        encoding: name of that of texts without a byte order mark.

    Raises:
        InputError: something is wrong with a file, an id stands twice in the corpus, or a relevant
            one is none of it; names the line.
    """
    texts = tables.read(corpus, ("id", "text"), encoding=encoding)
    places: dict[str, int] = {}
    for row, name in enumerate(tables.strings(texts, "id")):
        if places.setdefault(name, row) != row:
            raise InputError(
                "wrong-row",
                f"found the id {name!r} in {texts.where(row)} and in {texts.where(places[name])}; "
                "wanted another for each text",
            )
    asked, relevant = tables.read(queries, ("text", "relevant"), encoding=encoding), []
    for row, cell in enumerate(asked.columns["relevant"]):
        names = cell if isinstance(cell, list) else str(cell).split()
        names = list(dict.fromkeys(map(str, names)))
        if missing := [name for name in names if name not in places]:
            raise InputError(
                "wrong-row",
                f"found {short(missing[0])} as relevant in {asked.where(row)}; wanted ids of "
                f"{corpus}",
            )
        relevant.append([places[name] for name in names])
    return Relevance(tables.strings(texts, "text"), tables.strings(asked, "text"), relevant)

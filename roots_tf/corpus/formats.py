"""Formats of files of documents, which their suffixes tell."""

import functools
import os
from typing import Literal

from absl import logging

from roots_tf import spelling
from roots_tf.storage import compression, urls

_SUFFIXES = {
    "json_lines": (".jsonl", ".json", ".ndjson"),
    "html": (".html", ".htm", ".xhtml"),
    "warc": (".warc", ".wet"),
    "mediawiki": (".xml",),
}
_OF_TEXT = ("", ".txt", ".text", ".md", ".tex", ".rst")


def format_of(path: str) -> Literal["parquet", "json_lines", "html", "warc", "mediawiki", "text"]:
    """Format of a file, by its suffix.

    >>> format_of("CC-MAIN-00000.warc.gz"), format_of("notes.2024")
    ('warc', 'text')
    """
    path = (urls.plain(path) if urls.is_url(path) else path).lower()
    if path.endswith(".parquet"):
        return "parquet"
    plain = compression.without_compression(path)
    return next((name for name, suffixes in _SUFFIXES.items() if plain.endswith(suffixes)), "text")


def warn_of_suffix(path: str) -> None:
    """Tells of a file that is read as plain text and whose suffix is nearly one of another format.

    Of each suffix it is told once.
    """
    _warn(os.path.splitext(compression.without_compression(path.lower()))[1])


@functools.cache
def _warn(suffix: str) -> None:
    others = (".parquet", *(end for ends in _SUFFIXES.values() for end in ends))
    if suffix not in _OF_TEXT and (meant := spelling.suggestion(suffix, others)):
        logging.warning("files with suffix %s are read as plain text%s", suffix, meant)

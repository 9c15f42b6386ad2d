"""What the tables in `data/` hold for each language: stop words, flagged words, limits."""

import functools
import tomllib
from pathlib import Path

_DATA = Path(__file__).parent / "data"


@functools.cache
def languages() -> dict[str, dict]:
    """What `data/languages.toml` says of each language, by its code."""
    return tomllib.loads((_DATA / "languages.toml").read_text("utf-8"))


@functools.cache
def stop_words(language: str) -> frozenset[str]:
    """The stop words of a language; empty for one that is not in the table."""
    return frozenset(languages().get(language, {}).get("stop_words", "").split())


@functools.cache
def flagged_words(language: str) -> frozenset[str]:
    """Words of pornographic pages in a language; empty for one that is not in the table."""
    table = tomllib.loads((_DATA / "flagged_words.toml").read_text("utf-8"))
    return frozenset(table.get(language, "").split())


def unspaced(language: str) -> bool:
    """Whether a language is written without spaces, so that its words cannot be looked up."""
    return languages().get(language, {}).get("unspaced", False)

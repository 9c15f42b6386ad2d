"""Words as the quality rules count them, and what is known of each language they are counted in."""

import functools
import re
import tomllib
from pathlib import Path

_DATA = Path(__file__).parent / "data"

# Written without spaces: Han and kana, of which about two letters make a word; Thai, Lao, Myanmar
# and Khmer, of which about four do.
_SHORT = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9d"
    "\U00020000-\U0003ffff"
)
_LONG = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_UNSPACED = re.compile(f"[{_SHORT}{_LONG}]")
_PIECE = re.compile(
    rf"[{_SHORT}]{{1,2}}[^\w\s]*|[{_LONG}]{{1,4}}(?:(?![{_LONG}])[^\w\s])*|[^\s{_SHORT}{_LONG}]+"
)


@functools.lru_cache(maxsize=1)  # the steps of a recipe ask for the words of one document in turn
def words(text: str) -> list[str]:
    """Words of a text, with the punctuation that is written on to them; not to be changed.

    Words are what stands between spaces. Text in a script without spaces is cut every two or four
    letters from where a clause begins: no words of that language, but as long as its words, and
    the same wherever the clause is repeated.

    >>> words("The sea, calm.")
    ['The', 'sea,', 'calm.']
    >>> words("人人生而自由，BERT等")
    ['人人', '生而', '自由，', 'BERT', '等']
    """
    if text.isascii() or not _UNSPACED.search(text):
        return text.split()
    return _PIECE.findall(text)


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

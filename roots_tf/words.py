"""What a word is: between spaces, or an equal share of letters where a script has no spaces."""

import functools
import re

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

    A word is what stands between spaces. A clause in a script without spaces is cut from its start
    into pieces of two or four letters. Such pieces are not words of the language, but they are
    about as long as its words, and a clause that is repeated is cut the same way each time.

    >>> words("The sea, calm.")
    ['The', 'sea,', 'calm.']
    >>> words("人人生而自由，BERT等")
    ['人人', '生而', '自由，', 'BERT', '等']
    """
    if text.isascii() or not _UNSPACED.search(text):
        return text.split()
    return _PIECE.findall(text)

"""Texts as ids of their characters: what spells a special token is a text like any other."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from roots_tf.storage.files import InputError
from roots_tf.tokenizers import Tokenizer


def specials(tokenizer: Tokenizer) -> re.Pattern:
    """Matches texts that the tokenizer reads as a special token, the longest first."""
    contents = (token["content"] for token in tokenizer.added_tokens if token["special"])
    longest_first = sorted(contents, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def pieces(text: str, special: re.Pattern) -> Iterator[str]:
    """The text in pieces, none of which holds a special token's text.

    >>> list(pieces("a [SEP] b", re.compile(re.escape("[SEP]"))))
    ['a [', 'SEP] b']

    Args:
        text: of any characters.
        special: from `specials`.
    """
    start = 0
    while match := special.search(text, start):
        yield text[start : match.start() + 1]
        start = match.start() + 1
    yield text[start:]


def special_among(ids: np.ndarray, tokenizer: Tokenizer) -> str:
    """The first special token among ids of pieces, which a normaliser has made of others; or "".

    Args:
        ids: int32 [total].
        tokenizer: that made them.
    """
    special = [i for i in tokenizer.special_ids if i != tokenizer.unk_id]
    found = ids[np.isin(ids, special)]
    return tokenizer.vocabulary[found[0]] if len(found) else ""


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Ids of texts, as `Tokenizer.encode` gives them, but for special tokens: there are none.

    Args:
        tokenizer: of the model.
        texts: any number.

    Returns:
        ids int32 [total] and row_splits int64 [len(texts) + 1].

    Raises:
        InputError: a text gives a special token all the same.
    """
    special = specials(tokenizer)
    cut = [list(pieces(text, special)) for text in texts]
    ids, splits = tokenizer.encode([piece for of_text in cut for piece in of_text])
    if found := special_among(ids, tokenizer):
        raise InputError(
            "wrong-row",
            f"found a text that gives the special token {found!r}; wanted texts that give none: "
            "take it out of the text",
        )
    return ids, splits[np.cumsum([0, *map(len, cut)])]

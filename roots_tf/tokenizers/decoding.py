"""What each id says when a text is decoded: tables for the graph and for texts that come id by id.

A decoder of Hugging Face `tokenizers` looks at one token at a time, but for three things: the first
token of a text has no space before it, bytes of several tokens make one character, and a space may
be taken off the whole. So two strings an id, a flag, and these rules are all that is needed to
decode in the graph, or a token at a time, to the same bytes as `Tokenizer.decode`.
"""

import dataclasses
import json
import re

import numpy as np
from tokenizers import decoders

from roots_tf.storage import files
from roots_tf.tokenizers.shown import byte_letters

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2}|\+[0-9A-Fa-f])>")  # as Rust reads two digits
_TOKEN_BY_TOKEN = ("WordPiece", "Metaspace", "Replace")


@dataclasses.dataclass(frozen=True)
class Table:
    """Strings of all ids and the rules that join them.

    Attributes:
        first: bytes of each id where it is the first of its text.
        later: bytes of each id elsewhere.
        is_special: ids that are left out where special tokens are: bool [V].
        is_byte: ids that stand for one byte beside pieces of text, such as `<0xE4>`: bool [V].
            Neighbours among them make up text if all together are valid UTF-8, else each is U+FFFD.
        in_bytes: whether all ids stand for bytes, as in byte-level BPE; each maximal part that is
            not valid UTF-8 becomes U+FFFD.
        stripped: character that is taken off the beginning of a text, or "".
        strips: how many of it, at most.
    """

    first: list[bytes]
    later: list[bytes]
    is_special: np.ndarray
    is_byte: np.ndarray
    in_bytes: bool
    stripped: str
    strips: int


def table(tokenizer) -> Table:
    """The table of a `Tokenizer`.

    Raises:
        InputError: its decoder is none that this module knows.
    """
    parts = _parts(json.loads(tokenizer.backend.to_str())["decoder"])
    by_token, kinds, strip = _checked(parts)
    size = tokenizer.size
    is_byte = np.zeros(size, bool)
    if "ByteLevel" in kinds:
        byte_of = {letter: byte for byte, letter in enumerate(byte_letters())}
        first = later = [_bytes_of(token, byte_of) for token in tokenizer.vocabulary]
    else:
        first, later = _texts(tokenizer.vocabulary, by_token, joined=bool(parts))
        if "ByteFallback" in kinds:
            matches = [_BYTE.fullmatch(text.decode()) for text in first]
            is_byte = np.array([match is not None for match in matches])
            spelled = [match and bytes([int(match[1], 16)]) for match in matches]
            first = [b if b is not None else f for b, f in zip(spelled, first, strict=True)]
            later = [b if b is not None else x for b, x in zip(spelled, later, strict=True)]
    # An ordinary token may have the name of a special one only where it is that one.
    is_special = np.zeros(size, bool)
    is_special[list(tokenizer.special_ids)] = True
    content, count = (strip["content"], strip["start"]) if strip else ("", 0)
    return Table(first, later, is_special, is_byte, "ByteLevel" in kinds, content, count)


def continuing(tokenizer) -> list[bytes]:
    """What each id adds to a text that goes on, so that it can be shown id by id.

    Special tokens add nothing.

    Args:
        tokenizer: `roots_tf.tokenizers.Tokenizer`.

    Raises:
        InputError: as `table`.
    """
    found = table(tokenizer)
    return [b"" if s else text for s, text in zip(found.is_special, found.later, strict=True)]


def _parts(decoder: dict | None) -> list[dict]:
    """The parts of a decoder, one behind the other."""
    if decoder is None:
        return []
    if decoder["type"] == "Sequence":
        return [part for inner in decoder["decoders"] for part in _parts(inner)]
    return [decoder]


def _checked(parts: list[dict]) -> tuple[list[dict], list[str], dict | None]:
    """The parts that look at single tokens, the types of all, and what strips the whole.

    Raises:
        InputError: there are others, or they stand in an order which the tables cannot say.
    """
    kinds = [part["type"] for part in parts]
    by_token = [part for part in parts if part["type"] in _TOKEN_BY_TOKEN]
    rest = parts[len(by_token) :]
    strip = rest[-1] if rest and rest[-1]["type"] == "Strip" else None
    order = [part["type"] for part in rest]
    if strip:
        order.pop()
    known = (["ByteLevel"], ["ByteFallback", "Fuse"], ["ByteFallback"], ["Fuse"], [])
    fits = by_token == parts[: len(by_token)] and order in known
    fits &= "ByteLevel" not in kinds or not by_token
    fits &= strip is None or ("Fuse" in kinds and not strip["stop"])
    if not fits:
        raise files.InputError(
            "unsupported-tokenizer",
            f"found a tokenizer whose decoder is {' + '.join(kinds)}; wanted WordPiece, ByteLevel, "
            "Metaspace, or Replace, ByteFallback, Fuse and Strip in this order: decode its ids "
            "as a whole",
        )
    return by_token, kinds, strip


def _texts(
    vocabulary: list[str], parts: list[dict], joined: bool
) -> tuple[list[bytes], list[bytes]]:
    """What tokens say, first in a text and elsewhere, by the decoder of `tokenizers` itself.

    Args:
        vocabulary: tokens by id.
        parts: those of the decoder that look at one token at a time.
        joined: whether there is a decoder at all; without one, tokens are joined by spaces.
    """
    if not parts:
        bare = [token.encode() for token in vocabulary]
        return bare, bare if joined else [b" " + token for token in bare]
    decoder = _decoder({"type": "Sequence", "decoders": parts})
    first = [decoder.decode([token]).encode() for token in vocabulary]
    # Nothing as the first token: what comes behind it is what the second one says.
    return first, [decoder.decode(["", token]).encode() for token in vocabulary]


def _decoder(settings: dict):
    """A decoder of `tokenizers` from its part of a `tokenizer.json`."""
    made = decoders.Sequence([])
    made.__setstate__(json.dumps(settings).encode())
    return made


def _bytes_of(token: str, byte_of: dict[str, int]) -> bytes:
    """The bytes of a token of letters that stand for bytes; of one that has others, its own."""
    if all(letter in byte_of for letter in token):
        return bytes(byte_of[letter] for letter in token)
    return token.encode()

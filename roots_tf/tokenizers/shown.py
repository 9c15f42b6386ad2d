"""Pieces as people read them: byte-level BPE spells a text in letters that stand for its bytes."""

import functools
import re
from collections.abc import Sequence

import numpy as np

SPACE = "▁"  # as SentencePiece writes a space, so that all models look alike
_BYTE, _CONTINUED = re.compile(r"<0x[0-9A-F]{2}>$"), re.compile("<0x[89AB]")


def shown(tokenizer, ids_or_pieces: Sequence[int | str]) -> list[str]:
    """What each piece says, a string for each.

    Pieces of byte-level BPE become the text of their bytes, with `▁` for a space; bytes that are
    only a part of a character stand as SentencePiece writes bytes, `<0xE5>`. Pieces of the other
    models are text already. What a terminal would obey, such as a line feed, is escaped.

    >>> shown(bpe, ["åĮĹäº¬", "Ġthe", "åĮ", "[MASK]", "Ċ"])
    ['北京', '▁the', '<0xE5><0x8C>', '[MASK]', '\\n']

    Args:
        tokenizer: a `tokenizers.Tokenizer`, that they are of.
        ids_or_pieces: ids, or entries of its vocabulary.
    """
    pieces = [
        piece if isinstance(piece, str) else tokenizer.vocabulary[int(piece)]
        for piece in ids_or_pieces
    ]
    if is_byte_level(tokenizer.settings):
        added = {token["content"] for token in tokenizer.added_tokens}
        byte_of = {letter: byte for byte, letter in enumerate(byte_letters())}
        pieces = [piece if piece in added else _text_of(piece, byte_of) for piece in pieces]
    if tokenizer.kind == "character":
        pieces = [SPACE if piece == " " else piece for piece in pieces]
    return [_printable(piece) for piece in pieces]


def is_byte_level(settings: dict) -> bool:
    """Whether the vocabulary is spelled in the letters of bytes."""
    stages = [settings.get("pre_tokenizer"), settings.get("decoder")]
    for stage in filter(None, stages):
        parts = [stage, *stage.get("pretokenizers", ()), *stage.get("decoders", ())]
        if any(part["type"] == "ByteLevel" for part in parts):
            return True
    return False


def _text_of(piece: str, byte_of: dict[str, int]) -> str:
    """The text of a piece in letters of bytes; as it is where a letter stands for no byte."""
    if not all(letter in byte_of for letter in piece):
        return piece
    data, text = bytes(byte_of[letter] for letter in piece), ""
    while data:
        try:
            return text + data.decode().replace(" ", SPACE)
        except UnicodeDecodeError as error:
            text += data[: error.start].decode().replace(" ", SPACE)
            text += "".join(f"<0x{byte:02X}>" for byte in data[error.start : error.end])
            data = data[error.end :]
    return text


def _printable(piece: str) -> str:
    """The piece, with characters escaped that are no letters to look at, nor marks on them."""
    if piece.isprintable():
        return piece
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in piece
    )


def byte_letters() -> list[str]:
    """The character that stands for each byte in byte-level vocabularies.

    GPT-2's `bytes_to_unicode`: printable Latin-1 characters for themselves, the others from U+0100.
    """
    letters, others = [], 0
    for byte in range(256):
        if 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or 0xAE <= byte <= 0xFF:
            letters.append(chr(byte))
        else:
            letters.append(chr(256 + others))
            others += 1
    return letters


@functools.lru_cache(maxsize=4)
def characters(tokenizer) -> np.ndarray:
    """Characters that each id stands for, without spaces: int64 [V].

    Of the bytes that a character was cut into, the first counts for it. The unknown token counts
    for one; other special tokens stand for none.

    Args:
        tokenizer: that the ids are of.
    """
    if is_byte_level(tokenizer.settings):
        continued = {byte_letters()[byte] for byte in range(0x80, 0xC0)} | {byte_letters()[0x20]}
        counts = [sum(c not in continued for c in piece) for piece in tokenizer.vocabulary]
    else:
        prefix = tokenizer.settings["model"].get("continuing_subword_prefix") or SPACE
        counts = [
            _CONTINUED.match(piece) is None if _BYTE.match(piece)
            else len(piece.removeprefix(prefix).replace(SPACE, ""))
            for piece in tokenizer.vocabulary
        ]  # fmt: skip
    if tokenizer.kind == "character":
        counts = [int(not piece.isspace()) for piece in tokenizer.vocabulary]
    counts = np.array(counts, np.int64)
    counts[list(tokenizer.special_ids)] = 0
    if tokenizer.unk_id is not None:
        counts[tokenizer.unk_id] = 1
    return counts

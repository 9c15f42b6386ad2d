"""The bytes that each id adds to a text, so that a text can be decoded an id at a time."""

import re

from roots_tf.tokenizers.shown import byte_letters, is_byte_level
from roots_tf.tokenizers.tokenizer import Tokenizer

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")  # a byte that SentencePiece has no piece for
_SPACE = "▁"  # as SentencePiece writes it


def piece_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """What each id adds to a text that goes on; special tokens add nothing.

    Byte-level BPE gives the text's own bytes. WordPiece, which keeps no spaces, puts one before
    each word; Unigram's and SentencePiece's pieces have theirs in them.

    Args:
        tokenizer: of any kind.
    """
    special = set(tokenizer.special_ids)
    added = {token["id"] for token in tokenizer.added_tokens}
    spell = _speller(tokenizer)
    return [
        b"" if i in special else piece.encode("utf-8") if i in added else spell(piece)
        for i, piece in enumerate(tokenizer.vocabulary)
    ]


def _speller(tokenizer: Tokenizer):
    """The function from an ordinary piece to its bytes."""
    if is_byte_level(tokenizer.settings):
        byte_of = {letter: byte for byte, letter in enumerate(byte_letters())}
        return lambda piece: bytes(byte_of[letter] for letter in piece if letter in byte_of)
    if tokenizer.kind == "wordpiece":
        prefix = tokenizer.settings["model"]["continuing_subword_prefix"]
        return lambda piece: (
            piece.removeprefix(prefix) if piece.startswith(prefix) else f" {piece}"
        ).encode("utf-8")

    def spell(piece: str) -> bytes:
        if found := _BYTE.fullmatch(piece):
            return bytes([int(found[1], 16)])
        return piece.replace(_SPACE, " ").encode("utf-8")

    return spell

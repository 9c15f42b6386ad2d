"""SentencePiece's `.model` files of the Unigram kind, without the sentencepiece package.

Format: google/sentencepiece `sentencepiece_model.proto`, of which this knows the pieces, the kind
of model and the normaliser. What becomes of them follows `transformers` (convert_slow_tokenizer).
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from roots_tf.storage import files

ORDINARY, _UNKNOWN, _CONTROL, _USER_DEFINED, BYTE = 1, 2, 3, 4, 6  # SentencePiece.Type
_UNIGRAM = 1  # TrainerSpec.ModelType
_LARGEST = 256 << 20  # bytes of a file


class Piece(NamedTuple):
    """A line of a model: its text, its log probability and its kind, 1 of an ordinary one."""

    text: str
    score: float
    kind: int = ORDINARY


class Model(NamedTuple):
    """What a `.model` holds.

    Attributes:
        pieces: in the order of ids.
        unknown: id of the piece that stands for what no piece covers.
        charsmap: of the normaliser, as it is compiled; empty where there is none.
    """

    pieces: list[Piece]
    unknown: int
    charsmap: bytes


def read_model(path: str | Path) -> tokenizers.Tokenizer:
    """A tokenizer of a `.model`, with its ids.

    Raises:
        InputError: the file is damaged, or not of the Unigram kind.
    """
    pieces, unknown, charsmap = parse(path)
    backend = tokenizers.Tokenizer(
        models.Unigram(
            [(piece.text, piece.score) for piece in pieces],
            unk_id=unknown,
            byte_fallback=any(piece.kind == BYTE for piece in pieces),
        )
    )
    surround(backend, charsmap, path)
    special = (_UNKNOWN, _CONTROL, _USER_DEFINED)
    backend.add_special_tokens([piece.text for piece in pieces if piece.kind in special])
    return backend


def parse(path: str | Path) -> Model:
    """What a `.model` holds.

    Raises:
        InputError: the file is damaged, or not of the Unigram kind.
    """
    pieces, model_type, charsmap = [], _UNIGRAM, b""
    content = files.read_bytes(path, "the `.model` file that `spm_train` writes", _LARGEST)
    try:
        for field, value in _fields(content):
            if field == 1:
                pieces.append(_piece(value))
            elif field == 2:
                model_type = dict(_fields(value)).get(3, _UNIGRAM)
            elif field == 3:
                charsmap = dict(_fields(value)).get(2, b"")
    except (LookupError, AttributeError, ValueError, TypeError, struct.error) as error:
        raise files.InputError(
            "wrong-format",
            f"found no SentencePiece model in {path} ({error}); wanted the `.model` file as "
            "`spm_train` writes it",
        ) from error
    unknown = [i for i, piece in enumerate(pieces) if piece.kind == _UNKNOWN]
    if model_type != _UNIGRAM or not unknown:
        raise files.InputError(
            "unsupported-tokenizer",
            f"found a SentencePiece model of type {model_type} with {len(unknown)} unknown pieces "
            f"in {path}; wanted Unigram (type 1) with one; convert others to tokenizer.json",
        )
    return Model(pieces, unknown[0], charsmap)


def surround(backend: tokenizers.Tokenizer, charsmap: bytes, path: str | Path) -> None:
    """Gives a Unigram model what SentencePiece has around it: characters, words and spaces.

    Args:
        backend: with the model.
        charsmap: of the normaliser; or empty.
        path: of the `.model`, for messages.

    Raises:
        InputError: the character map is damaged.
    """
    if charsmap:
        try:
            backend.normalizer = normalizers.Precompiled(charsmap)
        except Exception as error:  # the Rust side raises the bare class
            raise files.InputError(
                "file-damaged",
                f"found a damaged character map of {len(charsmap)} bytes in "
                f"{path} ({error}); wanted the `.model` file as `spm_train` writes it",
            ) from error
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    backend.decoder = decoders.Metaspace(prepend_scheme="always")


def written(model: Model) -> bytes:
    """The content of a `.model` of the Unigram kind, whose first piece is the unknown one.

    The second and third piece are those that begin and end a text, as `spm_train` has them.
    """
    pieces = b"".join(
        _field(1, _field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + bytes([24, kind]))
        for text, score, kind in model.pieces
    )
    trainer = _field(2, bytes([24, _UNIGRAM]))
    return pieces + trainer + _field(3, _field(2, model.charsmap) if model.charsmap else b"")


def _field(number: int, value: bytes) -> bytes:
    """A field of a protocol buffer that holds bytes."""
    length, head = len(value), bytearray([number << 3 | 2])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*head, length]) + value


def _piece(content: bytes) -> Piece:
    fields = dict(_fields(content))
    return Piece(fields[1].decode("utf-8"), float(fields.get(2, 0.0)), fields.get(3, 1))


def _fields(content: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Numbers and values of the fields of a protocol buffer."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(content, at)
        elif wire == 2:
            length, at = _varint(content, at)
            if at + length > len(content):
                raise ValueError(f"it ends inside a field of {length} bytes")
            value, at = content[at : at + length], at + length
        elif wire == 5:
            (value,), at = struct.unpack_from("<f", content, at), at + 4
        elif wire == 1:
            (value,), at = struct.unpack_from("<d", content, at), at + 8
        else:
            raise ValueError(f"it holds a field of wire type {wire}")
        yield tag >> 3, value


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A base-128 number, and the place behind it."""
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7

"""OPUS-MT's tokenizer: two SentencePiece models, of sources and of targets, and ids of both.

    source.spm, target.spm     cut a text, each by pieces of its own
    vocab.json                 {"</s>": 0, "<unk>": 1, "▁the": 4, ...}: one id a piece, of either

Format: `MarianTokenizer` of transformers. A text may begin with its target language, `>>deu<<`.
"""

import base64
from pathlib import Path

import tokenizers as backends
from tokenizers import models

from roots_tf.storage import files
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import Tokenizer, sentencepiece, transformers_settings
from roots_tf.tokenizers.sentencepiece import Model, Piece

SOURCE, TARGET, IDS = "source.spm", "target.spm", "vocab.json"
_ROLES = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
# Scores of pieces that the other language alone has. Far below all others, they change no path
# between this language's. A character of the other is taken where this one has none for it, such
# as "ß" in an English text, for transformers looks such a character up too; a longer one
# only where it holds a character that alone is a piece of neither, which `<unk>` would stand for.
_OTHERS_CHARACTER, _OTHERS = -1e6, -1e9


def read(folder: Path) -> Tokenizer:
    """The tokenizer of sources, which has that of targets in it.

    `>>deu<<` stands for its token anywhere in a text, in transformers at its beginning alone.

    Raises:
        InputError: a file is missing or damaged, the two languages have ids of their own, an id is
            there twice or not at all, or a language has pieces of bytes.
    """
    if (folder / "target_vocab.json").is_file():
        raise InputError(
            "unsupported-tokenizer",
            f"found target_vocab.json in {folder}; wanted one vocab.json for sources and targets",
        )
    ids = files.read_json(folder / IDS)
    numbers = list(ids.values()) if isinstance(ids, dict) else []
    are_whole = bool(numbers) and all(type(number) is int for number in numbers)
    if not are_whole or sorted(numbers) != list(range(len(numbers))):
        raise InputError(
            "broken-vocabulary",
            f"found {len(numbers)} tokens in {folder / IDS}, whose ids leave one out or have one "
            "twice; wanted each from 0 once, {token: id}",
        )
    if missing := [token for token in _ROLES.values() if token not in ids]:
        raise InputError(
            "broken-vocabulary",
            f"found no token {missing[0]!r} in {folder / IDS}; wanted {', '.join(_ROLES.values())}",
        )
    source, target = (_backend(folder / name, ids) for name in (SOURCE, TARGET))
    return Tokenizer(source, _ROLES, Tokenizer(target, _ROLES))


def _backend(path: Path, ids: dict[str, int]) -> backends.Tokenizer:
    """A SentencePiece model with the ids of both languages."""
    pieces, _, charsmap = sentencepiece.parse(path)
    if any(piece.kind == sentencepiece.BYTE for piece in pieces):
        raise InputError(
            "unsupported-tokenizer",
            f"found pieces of bytes in {path}; wanted none, as OPUS-MT's models have: what has no "
            "piece is one unknown token here",
        )
    own = {piece.text: piece.score for piece in pieces if piece.kind == sentencepiece.ORDINARY}
    vocabulary = [
        (token, own.get(token, _OTHERS_CHARACTER if len(token) == 1 else _OTHERS))
        for token in sorted(ids, key=ids.get)
    ]
    backend = backends.Tokenizer(models.Unigram(vocabulary, unk_id=ids[_ROLES["unk"]]))
    sentencepiece.surround(backend, charsmap, path)
    backend.add_special_tokens(list(_ROLES.values()))
    languages = [token for token in ids if token.startswith(">>") and token.endswith("<<")]
    backend.add_tokens([backends.AddedToken(token, normalized=False) for token in languages])
    return backend


def write(folder: Path, ours: Tokenizer, length: int) -> None:
    """Writes what `MarianTokenizer` of transformers loads.

    Args:
        folder: where to.
        ours: as `read` makes it.
        length: tokens of a text at most.
    """
    for name, side in ((SOURCE, ours), (TARGET, ours.targets)):
        (folder / name).write_bytes(sentencepiece.written(_model(side)))
    files.write_json(folder / IDS, {token: i for i, token in enumerate(ours.vocabulary)})
    said = {f"{role}_token": token for role, token in ours.roles.items() if role in _ROLES}
    said |= {"tokenizer_class": "MarianTokenizer", "model_max_length": length}
    files.write_json(folder / transformers_settings.CONFIG_NAME, said)


def _model(side: Tokenizer) -> Model:
    """The pieces of one language."""
    special = [Piece("<unk>", 0.0, 2), Piece("<s>", 0.0, 3), Piece("</s>", 0.0, 3)]
    pieces = [
        Piece(token, score)
        for token, score in side.settings["model"]["vocab"]
        if score > _OTHERS_CHARACTER and token not in side.roles.values()
    ]
    charsmap = (side.settings["normalizer"] or {}).get("precompiled_charsmap", "")
    return Model([*special, *pieces], 0, base64.b64decode(charsmap))

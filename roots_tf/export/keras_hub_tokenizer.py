"""keras-hub's `BertTokenizer`, in and out: settings that both have, and ids that are compared."""

import dataclasses
import unicodedata
from pathlib import Path
from typing import Literal

import numpy as np
from tokenizers import normalizers

from roots_tf.storage import schema
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import Tokenizer, vocabulary
from roots_tf.tokenizers.tokenizer import wordpiece_backend

_ROLES = {"pad_id": "[PAD]", "cls_id": "[CLS]", "sep_id": "[SEP]", "mask_id": "[MASK]"}
_FLAGS = ("lstrip", "rstrip", "single_word", "normalized")
_TEXTS = ("The ship.", "ÉCOLE Élève naïve", "don't (1,024)!", "漢字 kanji漢字", "x" * 40, "")


@dataclasses.dataclass(frozen=True)
class _Rules:
    lowercase: bool = False
    strip_accents: bool = False
    split: Literal[True] = True
    split_on_cjk: bool = True
    suffix_indicator: Literal["##"] = "##"
    oov_token: Literal["[UNK]"] = "[UNK]"
    special_tokens: list[str] | None = None
    special_tokens_in_strings: bool = False


@dataclasses.dataclass(frozen=True)
class _Saved:
    config: _Rules = _Rules()


def read(folder: Path) -> Tokenizer:
    """The WordPiece tokenizer of a preset.

    [MASK] and the like in a text are special tokens here, whether they are so in the preset or
    pieces, as a fill-mask request is written that way.

    Args:
        folder: of the preset.

    Raises:
        InputError: it has a rule that ours lacks, or is damaged.
    """
    path = folder / "tokenizer.json"
    config = schema.read(path, _Saved, others_may_stand=True).config
    tokens = vocabulary.read_vocabulary(folder / "assets" / "tokenizer" / "vocabulary.txt")
    backend = wordpiece_backend(tokens)
    same = config.strip_accents == config.lowercase
    backend.normalizer = normalizers.BertNormalizer(
        lowercase=config.lowercase,
        strip_accents=None if same else config.strip_accents,
        handle_chinese_chars=config.split_on_cjk,
    )
    backend.add_special_tokens(list(vocabulary.SPECIAL_TOKENS))
    special = (config.special_tokens or []) if config.special_tokens_in_strings else []
    if unknown := [token for token in special if token not in tokens]:
        raise InputError(
            "broken-vocabulary",
            f"found the special token {unknown[0]!r} in {path}, which vocabulary.txt has no line "
            "of; wanted one of its tokens",
        )
    backend.add_special_tokens(special)
    return Tokenizer(backend)


def rules(tokenizer: Tokenizer, source: str) -> dict:
    """Arguments of a `BertTokenizer` that gives the same ids.

    Args:
        tokenizer: of a model.
        source: folder of the model, for messages.

    Raises:
        InputError: no `BertTokenizer` that is saved and loaded again does.
    """
    if tokenizer.kind != "wordpiece":
        raise InputError(
            "cannot-export",
            f"found a {tokenizer.kind} tokenizer in {source}; wanted WordPiece, which "
            "keras-hub's BertTokenizer is: choose another --format",
        )
    normalizer = tokenizer.settings["normalizer"] or {}
    pre_tokenizer = (tokenizer.settings["pre_tokenizer"] or {}).get("type")
    model = tokenizer.settings["model"]
    wanted = {  # split_on_cjk=False is an argument there, but presets do not keep it
        "normalizer": (normalizer.get("type"), "BertNormalizer"),
        "pre_tokenizer": (pre_tokenizer, "BertPreTokenizer"),
        "clean_text": (normalizer.get("clean_text"), True),
        "handle_chinese_chars": (normalizer.get("handle_chinese_chars"), True),
        "max_input_chars_per_word": (model["max_input_chars_per_word"], 100),
        "unk_token": (model["unk_token"], "[UNK]"),
        "continuing_subword_prefix": (model["continuing_subword_prefix"], "##"),
    }
    wanted |= {name: (_name(tokenizer, name), token) for name, token in _ROLES.items()}
    for name, (found, only) in wanted.items():
        if found != only:
            raise InputError(
                "cannot-export",
                f"found {name.replace('_id', '_token')}={found!r} in the tokenizer of {source}; "
                f"keras-hub's BertTokenizer has {only!r} only: choose another --format",
            )
    lowercase, strips = bool(normalizer.get("lowercase")), normalizer.get("strip_accents")
    return {
        "vocabulary": tokenizer.vocabulary,
        "lowercase": lowercase,
        "strip_accents": lowercase if strips is None else strips,
        "special_tokens_in_strings": True,
        "special_tokens": _special_tokens(tokenizer, source),
    }


def _name(tokenizer: Tokenizer, role: str) -> str | None:
    """The token of a role, such as `mask_id`."""
    token_id = getattr(tokenizer, role)
    return None if token_id is None else tokenizer.vocabulary[token_id]


def _special_tokens(tokenizer: Tokenizer, source: str) -> list[str]:
    """Special tokens that `BertTokenizer` has not by itself, the longest first.

    Raises:
        InputError: one is found by a rule that is not there; or it would not be found, as accents
            and Chinese characters are taken care of there before special tokens are.
    """
    usual, special = set(_ROLES.values()), []
    for token in tokenizer.added_tokens:
        content, flags = token["content"], [flag for flag in _FLAGS if token[flag]]
        changed = unicodedata.normalize("NFD", content) != content or not content.isascii()
        covers = [other for other in usual if content != other and content.startswith(other)]
        if flags or changed or covers:
            why = flags or (["letters beyond ASCII"] if changed else [f"{covers[0]} in front"])
            raise InputError(
                "cannot-export",
                f"found the token {content!r} with {' and '.join(why)} in the tokenizer of "
                f"{source}, which keras-hub's BertTokenizer does not find: choose another --format",
            )
        special += [content] * (content not in usual)
    return sorted(special, key=len, reverse=True)


def check_same(ours: Tokenizer, theirs) -> None:
    """Compares the tokenizer of a preset with that of the model.

    Args:
        ours: of the model.
        theirs: `BertTokenizer`, as it is loaded from the preset.

    Raises:
        InputError: they differ.
    """
    for one, other in zip(ours.vocabulary, theirs.get_vocabulary(), strict=True):
        if one != other:
            raise InputError(
                "cannot-export",
                f"found the token {one!r}, which a vocabulary.txt of keras-hub gives as {other!r}; "
                "wanted tokens without spaces at their ends: choose another --format",
            )
    tokens = [token["content"] for token in ours.added_tokens]
    texts = [*_TEXTS, *tokens, *(f"a{token}b {token}{token} c" for token in tokens)]
    ids, splits = ours.encode(texts)
    for row, found in enumerate(theirs(texts)):
        text, wanted = texts[row], ids[splits[row] : splits[row + 1]].tolist()
        if (found := np.asarray(found).tolist()) != wanted:
            raise InputError(
                "export-differs",
                f"keras-hub's BertTokenizer makes {found} of {text!r}, and the model's {wanted}; "
                "nothing was exported: choose another --format",
            )

"""A vocabulary of characters: each code point is a token, line feeds and spaces too.

Ids follow the order of code points behind the special tokens, so those of a small corpus are the
ids of nanoGPT's `data/shakespeare_char/prepare.py` plus the number of special tokens. `tokenizers`
has no model of characters; this is its WordLevel, whose words are cut between all characters.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from roots_tf.tokenizers import bulk

NUM_CODE_POINTS = 0x110000
_ANY = r"[\s\S]"  # "." leaves out line feeds


def prepare(backend: tokenizers.Tokenizer) -> None:
    """Sets the parts of a `backend` that cut texts between all characters and join them again."""
    backend.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(_ANY), "isolated")
    backend.decoder = decoders.Fuse()


def model(special_tokens: Sequence[str], characters: Sequence[str]) -> models.WordLevel:
    """The model whose ids are those of the special tokens, then of the characters.

    Args:
        special_tokens: [UNK] is among them.
        characters: each once.
    """
    tokens = [*special_tokens, *characters]
    return models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]")


def is_of_characters(settings: Mapping) -> bool:
    """Whether the `settings` of a `tokenizer.json` are those of such a vocabulary."""
    pre_tokenizer = settings["pre_tokenizer"] or {}
    return (
        settings["model"]["type"] == "WordLevel"
        and pre_tokenizer.get("type") == "Split"
        and pre_tokenizer["pattern"] == {"Regex": _ANY}
        and pre_tokenizer["behavior"] == "Isolated"
        and not pre_tokenizer["invert"]
    )


def ids_of_characters(settings: Mapping) -> np.ndarray:
    """Id of each code point, that of [UNK] where it has none: int32 [NUM_CODE_POINTS].

    Args:
        settings: of a `tokenizer.json`.
    """
    vocab = settings["model"]["vocab"]
    ids = np.full(NUM_CODE_POINTS, vocab[settings["model"]["unk_token"]], np.int32)
    for token, token_id in vocab.items():
        if len(token) == 1:
            ids[ord(token)] = token_id
    return ids


class CharacterTable(bulk.WholeTexts):
    """Encodes texts by looking each character up: some 100 MB a second.

    Args:
        backend: a tokenizer without a normaliser, whose added tokens are found as they stand.
        settings: its `tokenizer.json`.
    """

    def __init__(self, backend, settings: Mapping):
        super().__init__(backend)
        self._ids = ids_of_characters(settings)
        self._added = {token["content"]: token["id"] for token in settings["added_tokens"]}
        contents = sorted(self._added, key=len, reverse=True)  # of several, the longest is found
        self._pattern = re.compile("|".join(map(re.escape, contents)) or r"(?!)")

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of texts: int32 [total], and row_splits int64 [len(texts) + 1]."""
        rows = [np.empty(0, np.int32), *map(self._row, map(bulk.valid_text, texts))]
        splits = np.cumsum([len(row) for row in rows], dtype=np.int64)
        return np.concatenate(rows), splits

    def _row(self, text: str) -> np.ndarray:
        """Ids of one text."""
        ids = self._ids[np.frombuffer(text.encode("utf-32-le"), np.uint32)]
        kept = None
        for match in self._pattern.finditer(text):
            kept = np.ones(len(ids), bool) if kept is None else kept
            ids[match.start()] = self._added[match[0]]
            kept[match.start() + 1 : match.end()] = False
        return ids if kept is None else ids[kept]

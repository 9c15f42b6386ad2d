"""A tokenizer, whatever its model: saving, encoding, decoding, tables over the ids."""

import functools
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from roots_tf.storage import checksums, files
from roots_tf.tokenizers import bulk, single_characters, vocabulary

JSON_NAME = "tokenizer.json"
TARGETS_NAME = "target_tokenizer.json"
VOCABULARY_NAME = "vocab.txt"
_ROLES = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}
END_OF_TEXT = "<|endoftext|>"  # of GPT-2: one token that begins and ends texts
# What stands before and behind a text of a causal model; without one of these, [CLS] and [SEP] do.
_TEXT_ENDS = {
    "bos": ("<|begin_of_text|>", END_OF_TEXT),
    "eos": ("<|end_of_text|>", END_OF_TEXT),
}
BERT_ROLES = {role: names[0] for role, names in _ROLES.items()}
_ASCII_PUNCTUATION = r"!-/:-@\[-`{-~"


class Encoded(NamedTuple):
    """Ids of several texts and where each stands, in characters of its text: [start, end)."""

    ids: np.ndarray  # int32 [total]
    row_splits: np.ndarray  # int64 [texts + 1]
    starts: np.ndarray  # int32 [total]
    ends: np.ndarray  # int32 [total]


class Tokenizer:
    """Text to ids and back.

    Attributes:
        kind: "wordpiece", "bpe", "unigram" or "character".
        vocabulary: token of each id.
        size: number of ids.
        pad_id, unk_id, cls_id, sep_id, mask_id: ids of the special tokens; None for one that a
            loaded vocabulary does not have.
        bos_id, eos_id: ids of what begins and ends a text of a causal model, one and the same in
            GPT-2; those of [CLS] and [SEP] where the vocabulary has no tokens for it.
        causal_pad_id: id that stands on padding in rows of causal models, which see none of it:
            `pad_id`, or `eos_id` of a vocabulary without a padding token, such as GPT-2's.
        special_ids: ids of all tokens that no ordinary text gives, ascending; of the added tokens
            those that are special.
        roles: names of special tokens that were given, by role, such as {"mask": "<mask>"}.
        settings: the parsed `tokenizer.json`: model, normalizer, pre_tokenizer, added_tokens.
        targets: the tokenizer of the targets of an encoder-decoder, which has the same ids: itself,
            but for Marians that cut the words of either language by a model of its own.

    Args:
        backend: `tokenizers.Tokenizer`; its truncation, padding and post-processor are replaced.
        roles: names of the special tokens, by role; for roles that are left out, those of BERT and
            those of RoBERTa are looked for.
        targets: see there; None for itself.

    Raises:
        InputError: the model is none of WordPiece, BPE, Unigram and characters, ids are missing, or
            `targets` has other ids.
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        roles: Mapping[str, str] | None = None,
        targets: "Tokenizer | None" = None,
    ):
        backend.no_truncation()
        backend.no_padding()
        self.backend = backend
        self.settings = json.loads(backend.to_str())
        self.kind = self.settings["model"]["type"].lower()
        if single_characters.is_of_characters(self.settings):
            self.kind = "character"
        if self.kind not in ("wordpiece", "bpe", "unigram", "character"):
            raise files.InputError(
                "unsupported-tokenizer",
                f"found a tokenizer of the model {self.settings['model']['type']}; "
                "wanted WordPiece, BPE, Unigram or characters",
            )
        ids = backend.get_vocab(with_added_tokens=True)
        self.size = len(ids)
        self.vocabulary = sorted(ids, key=ids.get)
        if [ids[token] for token in self.vocabulary] != list(range(self.size)):
            raise files.InputError(
                "broken-vocabulary",
                f"found {self.size} tokens with ids up to {max(ids.values())}; wanted each id from "
                "0 once: two tokens share an id, or ids are missing",
            )
        self.added_tokens = self.settings["added_tokens"]
        added = {token["id"]: token for token in self.added_tokens}
        self.special_ids = tuple(sorted(i for i, token in added.items() if token["special"]))
        self.roles = dict(roles or {})
        for role, names in (_ROLES | _TEXT_ENDS).items():
            names = (self.roles[role],) if role in self.roles else names
            found = [ids[name] for name in names if ids.get(name) in self.special_ids]
            setattr(self, f"{role}_id", found[0] if found else None)
        self.bos_id = self.cls_id if self.bos_id is None else self.bos_id
        self.eos_id = self.sep_id if self.eos_id is None else self.eos_id
        self.causal_pad_id = self.eos_id if self.pad_id is None else self.pad_id
        if self.cls_id is not None and self.sep_id is not None:
            backend.post_processor = _bert_template(
                self.vocabulary[self.cls_id], self.cls_id, self.vocabulary[self.sep_id], self.sep_id
            )
        else:
            # Others shift offsets: ByteLevel may cut the space off them.
            backend.post_processor = processors.Sequence([])
        self._bulk = self._bulk_encoder()
        self.targets = targets or self
        if self.targets.vocabulary != self.vocabulary:
            raise files.InputError(
                "broken-vocabulary",
                f"found {self.size} tokens of sources and {self.targets.size} of targets that are "
                f"not the same; wanted {JSON_NAME} and {TARGETS_NAME} of one model",
            )

    def encode(self, texts: Sequence[str | bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of texts, without [CLS] and [SEP].

        >>> tokenizer.encode(["Hello, world", "", "[MASK]"])
        (array([7592, 1010, 2088,  103], dtype=int32), array([0, 3, 3, 4]))

        Args:
            texts: strings, or bytes of UTF-8; what is not valid is read as U+FFFD.

        Returns:
            ids int32 [total] and row_splits int64 [len(texts) + 1]: the ids of text i are
            ids[row_splits[i] : row_splits[i + 1]].
        """
        return self._bulk.encode(
            [text if isinstance(text, str) else bulk.valid_text(text) for text in texts]
        )

    def encode_with_offsets(self, texts: Sequence[str | bytes]) -> Encoded:
        """Encodes with the characters of each id; slower than `encode`: it looks no words up."""
        encodings = self.backend.encode_batch(
            [bulk.valid_text(text) for text in texts], add_special_tokens=False
        )
        splits = np.zeros(len(encodings) + 1, np.int64)
        np.cumsum([len(encoding) for encoding in encodings], out=splits[1:])
        total = int(splits[-1])
        ids = itertools.chain.from_iterable(encoding.ids for encoding in encodings)
        offsets = itertools.chain.from_iterable(
            itertools.chain.from_iterable(encoding.offsets for encoding in encodings)
        )
        spans = np.fromiter(offsets, np.int32, 2 * total).reshape(total, 2)
        return Encoded(np.fromiter(ids, np.int32, total), splits, spans[:, 0], spans[:, 1])

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Text of `ids`; `skip_special_tokens` leaves out [CLS] and the like.

        An id that is not in the vocabulary says nothing, such as a -1 that fills a row.
        """
        kept = [i for i in np.asarray(ids).tolist() if 0 <= i < self.size]
        return self.backend.decode(kept, skip_special_tokens=skip_special_tokens)

    def check_cuts_alike(self, purpose: str) -> None:
        """Refuses a tokenizer of two ways, where a text may be a source as well as a target.

        Args:
            purpose: what it is wanted for, for the message.

        Raises:
            InputError: targets are cut in another way than sources.
        """
        if self.targets is not self:
            raise files.InputError(
                "unsupported-tokenizer",
                f"found a tokenizer that cuts sources and targets in two ways, as OPUS-MT's do; "
                f"wanted one that cuts all texts alike for {purpose}: it is for its own model, in "
                "finetune and predict",
            )

    @functools.cached_property
    def starts_word(self) -> np.ndarray:
        """Whether each id starts a word: bool [V]; False on special tokens.

        WordPiece: tokens without "##". Byte-level BPE and Unigram mark the space before a word in
        its first token; a token that starts with punctuation starts a word there too, as it does
        in BERT. Of characters, whitespace and punctuation do.
        """
        specials = set(self.special_ids)
        if self.kind == "wordpiece":
            prefix = self.settings["model"]["continuing_subword_prefix"]
            starts = [not token.startswith(prefix) for token in self.vocabulary]
        elif self.kind == "character":
            pattern = re.compile(rf"[\s{_ASCII_PUNCTUATION}]$")
            starts = [bool(pattern.match(token)) for token in self.vocabulary]
        else:
            pattern = re.compile(rf"[ĠĊĉ▁ {_ASCII_PUNCTUATION}]")
            starts = [bool(pattern.match(token)) for token in self.vocabulary]
        return np.array([start and i not in specials for i, start in enumerate(starts)])

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256, as hexadecimal digits, of everything that decides ids."""
        deciding = ("model", "normalizer", "pre_tokenizer", "added_tokens")
        text = json.dumps({key: self.settings[key] for key in deciding}, sort_keys=True)
        text += "" if self.targets is self else self.targets.fingerprint
        return hashlib.sha256(text.encode()).hexdigest()

    def save(self, folder: str | Path) -> None:
        """Writes `tokenizer.json`, `tokenizer_config.json` and, for WordPiece, `vocab.txt`.

        Targets that are cut in another way have a `target_tokenizer.json`.
        """
        folder = Path(folder)
        files.write_text(folder / JSON_NAME, self.backend.to_str(pretty=True))
        if self.targets is self:
            (folder / TARGETS_NAME).unlink(missing_ok=True)  # of one that stood here before
        else:
            files.write_text(folder / TARGETS_NAME, self.targets.backend.to_str(pretty=True))
        files.write_json(folder / "tokenizer_config.json", self._transformers_config())
        if self.kind == "wordpiece":
            files.write_text(
                folder / VOCABULARY_NAME, "".join(f"{token}\n" for token in self.vocabulary)
            )
        checksums.renew(folder)

    def graph(self):
        """The tokenizer as a `tf.Module` for tf.data, tf.function and SavedModel.

        Returns:
            `roots_tf.tokenizers.graph.GraphTokenizer`; imports TensorFlow.
        """
        from roots_tf.tokenizers import graph_tokenizers  # imports TensorFlow

        return graph_tokenizers.build(self)

    def _transformers_config(self) -> dict:
        """What `transformers.AutoTokenizer` reads beside `tokenizer.json`."""
        config: dict = {"tokenizer_class": "PreTrainedTokenizerFast"}
        normalizer = self.settings["normalizer"] or {}
        if self.kind == "wordpiece":
            if self._is_as_bert_tokenizer_makes_it():
                config["tokenizer_class"] = "BertTokenizer"
            config["do_lower_case"] = normalizer.get("lowercase", False)
            config["strip_accents"] = normalizer.get("strip_accents")
            config["tokenize_chinese_chars"] = normalizer.get("handle_chinese_chars", True)
        else:
            # Else `decode` of transformers takes the spaces before "." and the like away.
            config["clean_up_tokenization_spaces"] = False
        for role in (*_ROLES, *self._own_text_ends()):
            if (token_id := getattr(self, f"{role}_id")) is not None:
                config[f"{role}_token"] = self.vocabulary[token_id]
        # Ends of a text that were named; others are found by the names that they usually have.
        named = {role: self.roles[role] for role in _TEXT_ENDS if role in self.roles}
        return config | {f"{role}_token": token for role, token in named.items()}

    def _own_text_ends(self) -> list[str]:
        """Which of "bos" and "eos" were given or are other tokens than [CLS] and [SEP]."""
        stand_ins = {"bos": self.cls_id, "eos": self.sep_id}
        return [
            role
            for role, stand_in in stand_ins.items()
            if role in self.roles or getattr(self, f"{role}_id") != stand_in
        ]

    def _is_as_bert_tokenizer_makes_it(self) -> bool:
        """Whether transformers' class, which takes only words from a tokenizer.json, fits."""
        normalizer, model = self.settings["normalizer"] or {}, self.settings["model"]
        return (
            normalizer.get("type") == "BertNormalizer"
            and normalizer["clean_text"]
            and (self.settings["pre_tokenizer"] or {}).get("type") == "BertPreTokenizer"
            and model["continuing_subword_prefix"] == vocabulary.SUFFIX_PREFIX
            and model["max_input_chars_per_word"] == 100
        )

    def _bulk_encoder(self) -> bulk.WholeTexts:
        """The encoder that cuts texts where that does not change ids."""
        normalizer = (self.settings["normalizer"] or {"type": None})["type"]
        as_it_stands = all(
            not (token["lstrip"] or token["rstrip"] or token["single_word"])
            and not (token["normalized"] and normalizer)
            for token in self.added_tokens
        )
        plain = as_it_stands and all(
            re.match(rf"[{_ASCII_PUNCTUATION}]\S*$", token["content"])
            for token in self.added_tokens
        )
        pre_tokenizer = self.settings["pre_tokenizer"] or {"type": None}
        if self.kind == "character" and as_it_stands and normalizer is None:
            return single_characters.CharacterTable(self.backend, self.settings)
        if plain and normalizer in ("BertNormalizer", None):
            if self.kind == "wordpiece" and pre_tokenizer["type"] == "BertPreTokenizer":
                # ASCII punctuation always is a word of its own, and no accent composes with it.
                contents = sorted((t["content"] for t in self.added_tokens), key=len, reverse=True)
                specials = "".join(f"{re.escape(content)}|" for content in contents)
                parts = rf"{specials}[^ \t\n\r{_ASCII_PUNCTUATION}]+|[{_ASCII_PUNCTUATION}]"
                return bulk.CutAtWhitespace(self.backend, parts)
            if pre_tokenizer.get("pretokenizers", [{}])[0].get("type") == "WhitespaceSplit":
                return bulk.CutAtWhitespace(self.backend, None)
            if self.kind == "bpe" and pre_tokenizer["type"] == "ByteLevel":
                return bulk.CutBeforeSpaces(self.backend)
        return bulk.WholeTexts(self.backend)


def wordpiece(
    tokens: Sequence[str], *, lowercase: bool, strip_accents: bool | None = None
) -> Tokenizer:
    """A WordPiece tokenizer with BERT's rules, as `transformers.BertTokenizerFast` sets them up.

    Args:
        tokens: the vocabulary in the order of ids; it holds the five special tokens.
        lowercase: whether text is lower-cased.
        strip_accents: whether accents are removed; None does what `lowercase` says.
    """
    backend = wordpiece_backend(tokens)
    backend.normalizer = normalizers.BertNormalizer(
        lowercase=lowercase, strip_accents=strip_accents
    )
    backend.add_special_tokens(list(vocabulary.SPECIAL_TOKENS))
    return Tokenizer(backend)


def wordpiece_backend(
    tokens: Sequence[str], unk_token: str = "[UNK]", prefix: str = vocabulary.SUFFIX_PREFIX
) -> tokenizers.Tokenizer:
    """WordPiece with BERT's words, without a normaliser and added tokens.

    Args:
        tokens: the vocabulary in the order of ids.
        unk_token: the one that stands for unknown words.
        prefix: what pieces begin with that do not begin a word.
    """
    ids = {token: i for i, token in enumerate(tokens)}
    backend = tokenizers.Tokenizer(
        models.WordPiece(ids, unk_token=unk_token, continuing_subword_prefix=prefix)
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix=prefix)
    return backend


def _bert_template(cls: str, cls_id: int, sep: str, sep_id: int) -> processors.TemplateProcessing:
    """[CLS] A [SEP] and [CLS] A [SEP] B [SEP]."""
    return processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(cls, cls_id), (sep, sep_id)],
    )

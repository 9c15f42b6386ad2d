"""What transformers keeps beside a vocabulary: settings, special tokens, tokens added later.

    tokenizer_config.json      do_lower_case, strip_accents, names of special tokens, ...
    special_tokens_map.json    names of special tokens, as older releases wrote them
    added_tokens.json          {"[DRUG]": 97}, likewise

What one of them says is done, or refused: a model that was trained with other tokens than it is
asked with answers wrongly, and nothing shows it. What is done is what transformers 5.24 does
(`tokenization_utils_base.py`, `tokenization_utils_tokenizers.py`, `tokenization_bert.py`).
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import tokenizers
from tokenizers import normalizers

from roots_tf.storage import files, schema

CONFIG_NAME = "tokenizer_config.json"
VOCAB_JSON, MERGES = "vocab.json", "merges.txt"  # of GPT-2
ROLES = ("pad", "unk", "cls", "sep", "mask", "bos", "eos")
# Classes whose text is cut as BERT's is; of the others each has rules of its own, such as MeCab's
# words of BertJapaneseTokenizer.
_AS_BERT = {
    f"{name}Tokenizer{speed}"
    for name in ("Bert", "DistilBert", "Electra", "MobileBert", "ConvBert", "Lxmert", "Splinter")
    for speed in ("", "Fast")
}
# Classes whose `vocab.json` and `merges.txt` are read as GPT-2's.
_AS_GPT2 = {"GPT2Tokenizer", "GPT2TokenizerFast"}
_AS_IN_JSON = {"PreTrainedTokenizerFast", "TokenizersBackend", "PreTrainedTokenizer"}
_OF_NORMALIZER = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
_ONLY = {  # settings of which one value is done here
    "do_basic_tokenize": True,
    "split_special_tokens": False,
    "truncation_side": "right",
    "padding_side": "right",
    "word_tokenizer_type": "basic",
    "subword_tokenizer_type": "wordpiece",
}


@dataclasses.dataclass(frozen=True)
class AddedToken:
    """A token with the rules by which it is found; `normalized` as `special` says where absent."""

    content: str
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool | None = None
    special: bool = False

    def for_backend(self, special: bool) -> tokenizers.AddedToken:
        """As `tokenizers` takes it."""
        fields = dataclasses.asdict(self) | {"special": special}
        if self.normalized is None:
            fields["normalized"] = not special
        return tokenizers.AddedToken(fields.pop("content"), **fields)


_Token = str | AddedToken


@dataclasses.dataclass(frozen=True)
class SpecialTokensMap:
    """`special_tokens_map.json`, and the same keys of `tokenizer_config.json`."""

    pad_token: _Token | None = None
    unk_token: _Token | None = None
    cls_token: _Token | None = None
    sep_token: _Token | None = None
    mask_token: _Token | None = None
    bos_token: _Token | None = None
    eos_token: _Token | None = None
    additional_special_tokens: tuple[_Token, ...] | None = None
    extra_special_tokens: tuple[_Token, ...] | dict[str, _Token] | None = None

    def tokens(self) -> Iterator[_Token]:
        """All of them, in the order in which transformers adds those that are new."""
        for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"):
            if token := getattr(self, f"{name}_token"):
                yield token
        yield from self.additional_special_tokens or ()
        extra = self.extra_special_tokens or ()
        yield from extra.values() if isinstance(extra, dict) else extra


@dataclasses.dataclass(frozen=True)
class TokenizerConfig(SpecialTokensMap):
    """`tokenizer_config.json`; None where it does not say."""

    tokenizer_class: str | None = None
    do_lower_case: bool | None = None
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool | None = None
    clean_text: bool | None = None
    wordpieces_prefix: str | None = None
    do_basic_tokenize: bool | None = None
    never_split: tuple[str, ...] | None = None
    split_special_tokens: bool | None = None
    truncation_side: str | None = None
    padding_side: str | None = None
    word_tokenizer_type: str | None = None
    subword_tokenizer_type: str | None = None
    add_prefix_space: bool | None = None
    added_tokens_decoder: dict[str, AddedToken] | None = None
    model_input_names: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the three files of a folder say.

    Attributes:
        folder: for messages.
        config: `tokenizer_config.json`, with the special tokens of the older file.
        given: keys that `tokenizer_config.json` has.
        added: id and token of those that were added, by id.
    """

    folder: Path
    config: TokenizerConfig = TokenizerConfig()
    given: frozenset[str] = frozenset()
    added: tuple[tuple[int, tokenizers.AddedToken], ...] = ()

    @property
    def roles(self) -> dict[str, str]:
        """Names of the special tokens that are named, by role: {"mask": "[MASK]"}."""
        tokens = {role: getattr(self.config, f"{role}_token") for role in ROLES}
        return {role: _content(token) for role, token in tokens.items() if token}

    def replace(self, **config) -> "Settings":
        """The same with other values of `tokenizer_config.json`."""
        return dataclasses.replace(self, config=dataclasses.replace(self.config, **config))

    def bert_normalizer(self, before: dict) -> normalizers.BertNormalizer:
        """BERT's normaliser with the settings that are given.

        Args:
            before: its settings where none are given: `lowercase` and the like.
        """
        config, fields = self.config, dict(before)
        if config.do_lower_case is not None:
            fields["lowercase"] = config.do_lower_case
        if "strip_accents" in self.given:  # null: as `lowercase` says
            fields["strip_accents"] = config.strip_accents
        if config.tokenize_chinese_chars is not None:
            fields["handle_chinese_chars"] = config.tokenize_chinese_chars
        if config.clean_text is not None:
            fields["clean_text"] = config.clean_text
        return normalizers.BertNormalizer(**fields)

    def apply(self, backend: tokenizers.Tokenizer) -> None:
        """Adds what the files say to a tokenizer of the vocabulary beside them.

        Raises:
            InputError: an added token would get another id than it has, or a tokenizer.json says
            otherwise than the config beside it.
        """
        by_class = self.config.tokenizer_class not in _AS_IN_JSON
        if by_class and isinstance(backend.normalizer, normalizers.BertNormalizer):
            before = {name: getattr(backend.normalizer, name) for name in _OF_NORMALIZER}
            after = self.bert_normalizer(before)
            strips = after.lowercase  # what null for strip_accents stands for
            for name, found in before.items():
                if (wanted := getattr(after, name)) != found and {found, wanted} != {None, strips}:
                    raise files.InputError(
                        "settings-disagree",
                        f"found tokenizer.json with {name}={found!r}, and {CONFIG_NAME} with "
                        f"{wanted!r} for it, in {self.folder}; wanted the two to agree: correct "
                        "the wrong one (of BertTokenizer, transformers takes the second)",
                    )
        for wanted, token in self.added:
            backend.add_tokens([token])
            if (found := backend.token_to_id(token.content)) != wanted:
                raise files.InputError(
                    "settings-disagree",
                    f"found the added token {token.content!r} with the id {wanted} in "
                    f"{self.folder}, where it would get {found}; wanted ids without a gap behind "
                    "the vocabulary, or those that its tokens have there",
                )
        present = {token.content for token in backend.get_added_tokens_decoder().values()}
        for token in self.config.tokens():
            if _content(token) not in present:
                backend.add_tokens([_as_special(token)])


def check_class(name: str | None, vocabulary: Path, source: Path) -> None:
    """Refuses a vocabulary that its file does not tell of, such as BertJapaneseTokenizer's.

    A `tokenizer.json` tells all; a `vocab.txt` does not tell of MeCab's words, a `vocab.json` not
    of the rows of RobertaTokenizer, nor a `.model` by how much a class of transformers shifts its
    ids.

    Args:
        name: class of transformers, or None where none is named.
        vocabulary: its file.
        source: the file that names the class, for messages.

    Raises:
        InputError: it is one of these.
    """
    known = {VOCAB_JSON: _AS_GPT2, ".model": set()}
    as_it_is = known.get(vocabulary.name, known.get(vocabulary.suffix, _AS_BERT)) | _AS_IN_JSON
    tells_all = vocabulary.suffix == ".json" and vocabulary.name != VOCAB_JSON
    if name and not tells_all and name not in as_it_is:
        raise files.InputError(
            "unsupported-tokenizer",
            f"found tokenizer_class={name!r} in {source}, which has rules that {vocabulary.name} "
            "alone does not tell; wanted a tokenizer.json beside it: in transformers, "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...)",
        )


def check_rows(path: Path, settings: Settings, backend: tokenizers.Tokenizer) -> None:
    """Refuses a `tokenizer.json` whose rows are not [CLS] A [SEP] and [CLS] A [SEP] B [SEP].

    BertTokenizer of transformers makes such rows whatever the file says; other classes do not.

    Args:
        path: the file, if it is one.
        settings: those of its folder.
        backend: the tokenizer as it is used here.

    Raises:
        InputError: a model that was trained with other rows would be asked with these.
    """
    if (
        path.suffix != ".json"
        or path.name == VOCAB_JSON
        or settings.config.tokenizer_class not in _AS_IN_JSON
    ):
        return
    theirs = tokenizers.Tokenizer.from_file(str(path))
    theirs.no_truncation()
    theirs.no_padding()
    for texts in (["a"], ["a", "a"]) if theirs.post_processor else ():
        found, wanted = theirs.encode(*texts), backend.encode(*texts)
        if (found.ids, found.type_ids) != (wanted.ids, wanted.type_ids):
            raise files.InputError(
                "unsupported-tokenizer",
                f"found rows of {len(texts)} texts such as {' '.join(found.tokens)} of segments "
                f"{found.type_ids} by {path}; wanted {' '.join(wanted.tokens)} of segments "
                f"{wanted.type_ids}, as all models here are trained and asked",
            )


def read(folder: str | Path) -> Settings:
    """The settings of a folder; all at their defaults where it has none of the files.

    Raises:
        InputError: a file is damaged or of another shape, two files disagree, or a setting is one
            that cannot be done here.
    """
    folder = Path(folder)
    path, map_path = folder / CONFIG_NAME, folder / "special_tokens_map.json"
    raw = files.read_json(path) if path.exists() else {}
    config = schema.check(raw, TokenizerConfig, str(path), others_may_stand=True)
    if map_path.exists() and config.added_tokens_decoder is None:
        older = schema.read(map_path, SpecialTokensMap, others_may_stand=True)
        config = _merged(config, older, folder)
    _refuse_what_is_not_done(config, path)
    return Settings(folder, config, frozenset(raw), tuple(_added(config, folder)))


def _merged(config: TokenizerConfig, older: SpecialTokensMap, folder: Path) -> TokenizerConfig:
    """The config with the special tokens of `special_tokens_map.json`."""
    changes = {}
    for field in dataclasses.fields(older):
        before, after = getattr(config, field.name), getattr(older, field.name)
        if not after:
            continue
        if field.name.endswith("tokens"):
            if not isinstance(after, dict):
                known = set(map(_content, before or ()))
                after = (*(before or ()), *(t for t in after if _content(t) not in known))
        elif before and _content(before) != _content(after):
            raise files.InputError(
                "settings-disagree",
                f"found {field.name}={_content(before)!r} in {folder / CONFIG_NAME} and "
                f"{_content(after)!r} in special_tokens_map.json; wanted one: correct the "
                "wrong one",
            )
        changes[field.name] = after
    return dataclasses.replace(config, **changes)


def _refuse_what_is_not_done(config: TokenizerConfig, path: Path) -> None:
    for name, wanted in _ONLY.items():
        if (found := getattr(config, name)) not in (None, wanted):
            raise files.InputError(
                "unsupported-tokenizer",
                f"found {name}={found!r} in {path}; wanted {wanted!r}, which is all that is done "
                "here: a model that was trained otherwise would be asked with tokens it never saw",
            )
    special = set(map(_content, config.tokens())) | {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    if split := sorted(set(config.never_split or ()) - special):
        raise files.InputError(
            "unsupported-tokenizer",
            f"found never_split with {split[0]!r} in {path}; wanted only special tokens there: a "
            "model that was trained so would be asked with pieces it never saw",
        )


def _added(config: TokenizerConfig, folder: Path) -> Iterator[tuple[int, tokenizers.AddedToken]]:
    """Id and token of each added token, by id."""
    special = set(map(_content, config.tokens()))
    path, by_id = folder / "added_tokens.json", {}
    older = schema.check(files.read_json(path), dict[str, int], str(path)) if path.exists() else {}
    if config.added_tokens_decoder is None:
        for content, number in older.items():
            by_id[number] = AddedToken(content, special=content in special)
        if len(by_id) < len(older):
            raise files.InputError(
                "wrong-json", f"found an id twice in {path}; wanted one of each token"
            )
    for key, token in (config.added_tokens_decoder or {}).items():
        if not key.isdecimal():
            raise files.InputError(
                "wrong-json",
                f"found added_tokens_decoder with the key {key!r} in {folder / CONFIG_NAME}; "
                "wanted ids, such as '97'",
            )
        by_id[int(key)] = token
    ids = {token.content: number for number, token in by_id.items()}
    for content, number in older.items():
        if ids.get(content) != number:
            raise files.InputError(
                "settings-disagree",
                f"found {content!r} with the id {number} in {path}, and {ids.get(content)} in "
                f"added_tokens_decoder of {CONFIG_NAME}; wanted one: correct the wrong one",
            )
    for number, token in sorted(by_id.items()):
        yield number, token.for_backend(token.special or token.content in special)


def _content(token: _Token) -> str:
    return token if isinstance(token, str) else token.content


def _as_special(token: _Token) -> tokenizers.AddedToken:
    token = AddedToken(token) if isinstance(token, str) else token
    return token.for_backend(special=True)

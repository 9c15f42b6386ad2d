"""Tokenizers from files: with what transformers says beside them, and of the model beside them."""

import dataclasses
from pathlib import Path

import tokenizers
from absl import logging

from roots_tf.storage import checksums, files, neighbours, schema
from roots_tf.tokenizers import byte_level_files, sentencepiece, transformers_settings, vocabulary
from roots_tf.tokenizers.tokenizer import (
    BERT_ROLES,
    JSON_NAME,
    TARGETS_NAME,
    VOCABULARY_NAME,
    Tokenizer,
    wordpiece_backend,
)

SENTENCEPIECE_NAMES = ("sentencepiece.bpe.model", "spiece.model", "tokenizer.model")
_PROBE = "A word, 词 \u2603"  # of each kind of character


def load(path: str | Path, *, lowercase: bool | None = None) -> Tokenizer:
    """Loads a tokenizer, with what transformers says of it in the files beside.

    Args:
        path: a folder that holds one of the following, or one of them: `tokenizer.json`, a
            WordPiece `vocab.txt`, GPT-2's `vocab.json` with `merges.txt` beside it, a SentencePiece
            `.model` of the Unigram kind.
        lowercase: for a `vocab.txt`, whether text is lower-cased and loses its accents. None asks
            `tokenizer_config.json` beside it, where true is the default, and without one, whether
            the vocabulary holds upper-case letters.

    Raises:
        InputError: nothing of the kind is there, it is damaged (the message names the file or the
            line), it is not that of the model in the same folder, or the files beside it want what
            cannot be done here.
    """
    path = vocabulary_file(path)
    checksums.check(path.parent, checksums.TOKENIZER)
    settings = transformers_settings.read(path.parent)
    if lowercase is not None and path.suffix not in (".json", ".model"):
        settings = settings.replace(do_lower_case=lowercase)
    source = path.with_name(transformers_settings.CONFIG_NAME)
    transformers_settings.check_class(settings.config.tokenizer_class, path, source)
    if path.name == transformers_settings.VOCAB_JSON:
        backend = byte_level_files.read(path, bool(settings.config.add_prefix_space))
    elif path.suffix == ".json":
        backend = _read_json(path)
    elif path.suffix == ".model":
        if settings.config.do_lower_case:
            raise files.InputError(
                "unsupported-tokenizer",
                f"found do_lower_case=True in {source}; wanted a .model that is told by itself, or "
                "a tokenizer.json beside it, which says what becomes of a text first",
            )
        backend = sentencepiece.read_model(path)
    else:
        backend = _read_vocabulary(path, settings)
    settings.apply(backend)
    targets, other = None, path.with_name(TARGETS_NAME)
    if path.name == JSON_NAME and other.is_file():
        targets = Tokenizer(_read_json(other), settings.roles)
    tokenizer = Tokenizer(backend, settings.roles, targets)
    _check_rows(tokenizer, path.with_name(checksums.MODEL))
    return tokenizer


def vocabulary_file(path: str | Path) -> Path:
    """The file that a tokenizer is read from; argument and error as for `load`."""
    path = Path(path)
    if path.is_dir():
        gpt2 = transformers_settings.VOCAB_JSON
        names = (JSON_NAME, VOCABULARY_NAME, gpt2, *SENTENCEPIECE_NAMES)
        paths = [path / name for name in names if (path / name).is_file()]
        if not paths:
            raise files.InputError(
                "not-a-tokenizer",
                f"found none of {', '.join(names)} in the folder {path}; wanted a tokenizer: "
                f"`roots train-tokenizer` writes one{neighbours.instead(path, *names)}",
            )
        path = paths[0]
    elif not path.exists():
        raise files.InputError(
            "not-a-tokenizer",
            f"found no tokenizer {path}; wanted a folder, {JSON_NAME}, {VOCABULARY_NAME}, "
            f"{transformers_settings.VOCAB_JSON} or .model{neighbours.instead(path, JSON_NAME)}",
        )
    return path


def _read_vocabulary(path: Path, settings: transformers_settings.Settings):
    """The backend of a `vocab.txt`."""
    roles = BERT_ROLES | settings.roles
    # A special token that the settings name may be one of those that were added behind the others.
    needed = [token for role, token in roles.items() if role not in settings.roles]
    tokens = vocabulary.read_vocabulary(path, (*needed, roles["unk"]))
    lowercase = settings.config.do_lower_case
    if lowercase is None and settings.given:
        lowercase = True  # what BertTokenizer does with a config that leaves it open
        if vocabulary.is_cased(tokens):
            logging.warning(
                "%s has upper-case letters, and %s does not say do_lower_case, so text is "
                "lower-cased as transformers does it; where that is wrong, write "
                '"do_lower_case": false there',
                *(path, transformers_settings.CONFIG_NAME),
            )
    elif lowercase is None:
        lowercase = not vocabulary.is_cased(tokens)
        logging.info(
            "%s does not say whether text is lower-cased; by its letters, it is%s. Where that is "
            'wrong, write {"do_lower_case": %s} to %s beside it',
            *(path, "" if lowercase else " not", str(not lowercase).lower()),
            transformers_settings.CONFIG_NAME,
        )
    backend = wordpiece_backend(
        tokens,
        unk_token=roles["unk"],
        prefix=settings.config.wordpieces_prefix or vocabulary.SUFFIX_PREFIX,
    )
    backend.normalizer = settings.bert_normalizer({"lowercase": lowercase})
    backend.add_special_tokens([token for token in roles.values() if token in tokens])
    return backend


@dataclasses.dataclass(frozen=True)
class _Sizes:
    """Of the `encoder` in `model.json`, what is read here."""

    vocabulary_size: int


@dataclasses.dataclass(frozen=True)
class _Model:
    """Of `model.json`, what is read here."""

    encoder: _Sizes | None = None


def _check_rows(tokenizer: Tokenizer, path: Path) -> None:
    """Refuses ids that the model beside a tokenizer has no rows for.

    Raises:
        InputError: there are some; the tokenizer is of another model.
    """
    if not path.is_file():
        return
    encoder = schema.read(path, _Model, others_may_stand=True).encoder
    if encoder and tokenizer.size > encoder.vocabulary_size:
        raise files.InputError(
            "wrong-vocabulary",
            f"found {tokenizer.size} tokens beside {path} with vocabulary_size="
            f"{encoder.vocabulary_size}; wanted no more tokens than rows: the tokenizer is of "
            "another model, copy its own",
        )


def _read_json(path: Path) -> tokenizers.Tokenizer:
    """Reads a `tokenizer.json`."""
    files.read_json(path)  # for a message that names the place of a syntax error
    try:
        backend = tokenizers.Tokenizer.from_file(str(path))
        backend.decode(backend.encode(_PROBE).ids)  # an unknown token that is not there shows here
    except BaseException as error:  # the Rust side raises the bare class, or panics
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        raise files.InputError(
            "not-a-tokenizer",
            f"found no tokenizer in {path} ({error}); wanted the JSON of Hugging Face `tokenizers`",
        ) from error
    for name in ("truncation", "padding"):
        if ((getattr(backend, name) or {}).get("direction") or "right") != "right":
            raise files.InputError(
                "unsupported-tokenizer",
                f"found {name} on the left in {path}; wanted the right, as everything here has it",
            )
    return backend

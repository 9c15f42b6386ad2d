"""Tokenizers of encoder-decoders in folders of transformers, in and out."""

import dataclasses
from pathlib import Path

import tokenizers as backends
from tokenizers import processors

from roots_tf import tokenizers
from roots_tf.export import encoder_decoder_config, marian_tokenizer
from roots_tf.export.encoder_decoder_config import Config
from roots_tf.models import DecoderConfig
from roots_tf.storage import files, schema
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import (
    Tokenizer,
    byte_level_files,
    loading,
    sentencepiece,
    tokenizer,
    transformers_settings,
)

SPIECE, SENTINEL = "spiece.model", "<extra_id_{}>"
SENTINELS = 100  # of a T5 that does not say otherwise
BART_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")


@dataclasses.dataclass(frozen=True)
class _Sentinels:
    """What `tokenizer_config.json` says of T5's sentinels."""

    extra_ids: int = schema.number(SENTINELS, minimum=0, maximum=10_000)


def read(folder: Path, config: Config, decoder: DecoderConfig) -> tuple[Tokenizer, DecoderConfig]:
    """The tokenizer of a folder, and the decoder's config with how a source begins.

    Args:
        folder: of the model, with `tokenizer.json`; or a T5's `spiece.model`; or a BART's
            `vocab.json` and `merges.txt`; or OPUS-MT's `source.spm`, `target.spm` and `vocab.json`.
        config: of the model, which says the ids of what starts and ends a text.
        decoder: as `encoder_decoder_config.pair` gives it.

    Raises:
        InputError: there is none, it wants what ours cannot do, its rows are others than those
            that are made here, or the ids of special tokens are others than the config says.
    """
    path = folder / tokenizer.JSON_NAME
    family = encoder_decoder_config.FAMILIES[config.model_type]
    if path.is_file():
        found = tokenizers.load(folder)
        decoder = dataclasses.replace(decoder, source_begins=_begins(path, found))
    elif family == "t5" and (folder / SPIECE).is_file():
        said = folder / transformers_settings.CONFIG_NAME
        count = SENTINELS
        if said.is_file():
            count = schema.read(said, _Sentinels, others_may_stand=True).extra_ids
        found = of_sentencepiece(folder / SPIECE, count, transformers_settings.read(folder))
    elif family == "bart" and (folder / transformers_settings.VOCAB_JSON).is_file():
        settings = transformers_settings.read(folder)
        found = of_bart(
            folder / transformers_settings.VOCAB_JSON,
            bool(settings.config.add_prefix_space),
            settings,
        )
    elif family == "marian" and (folder / marian_tokenizer.SOURCE).is_file():
        found = marian_tokenizer.read(folder)
    else:
        found = tokenizers.load(folder)
    _check_ids(found, config, decoder, folder)
    return found, decoder


def of_sentencepiece(
    path: Path, sentinels: int, settings: transformers_settings.Settings | None = None
) -> Tokenizer:
    """T5's tokenizer of a SentencePiece model, with its sentinels behind the pieces.

    Args:
        path: of the `.model`.
        sentinels: how many; the first has the last id (`T5Converter` of transformers).
        settings: what transformers says beside it, or None.

    Raises:
        InputError: it is damaged, or not of the Unigram kind.
    """
    backend = sentencepiece.read_model(path)
    names = [SENTINEL.format(i) for i in reversed(range(sentinels))]
    known = backend.get_vocab()
    backend.add_special_tokens([name for name in names if name not in known])
    if settings:
        settings.apply(backend)
    return Tokenizer(backend, settings.roles if settings else None)


def of_bart(
    path: Path, add_prefix_space: bool, settings: transformers_settings.Settings | None = None
) -> Tokenizer:
    """BART's tokenizer of byte-level BPE.

    Args:
        path: of the vocabulary; `merges.txt` stands beside it.
        add_prefix_space: as for `byte_level_files.read`.
        settings: what transformers says beside it, or None.

    Raises:
        InputError: a file is missing or damaged, or a special token is not there.
    """
    backend = byte_level_files.read(path, add_prefix_space)
    known = backend.get_vocab()
    if missing := [token for token in BART_TOKENS if token not in known]:
        raise InputError(
            "broken-vocabulary",
            f"found no token {missing[0]!r} in {path}; wanted those of a BART, "
            f"{', '.join(BART_TOKENS)}",
        )
    backend.add_special_tokens(list(BART_TOKENS))
    if "<mask>" in known:
        backend.add_special_tokens([backends.AddedToken("<mask>", lstrip=True)])
    if settings:
        settings.apply(backend)
    return Tokenizer(backend, settings.roles if settings else None)


def _begins(path: Path, found: Tokenizer) -> bool:
    """Whether rows by a `tokenizer.json` begin with the begin of text; they end with its end.

    Raises:
        InputError: they are neither, so that a model would be asked with others than it saw.
    """
    theirs = backends.Tokenizer.from_file(str(path))
    theirs.no_truncation()
    theirs.no_padding()
    plain, ids = (theirs.encode("a", add_special_tokens=special).ids for special in (False, True))
    for begins in (False, True):
        if ids == [found.bos_id] * begins + plain + [found.eos_id]:
            return begins
    raise InputError(
        "unsupported-tokenizer",
        f"found rows such as {' '.join(theirs.encode('a').tokens)} by {path}; wanted a text with "
        "its end behind it, and perhaps a begin before it, as sources are read here",
    )


def _check_ids(found: Tokenizer, config: Config, decoder: DecoderConfig, folder: Path) -> None:
    """Compares the ids of special tokens with those of `config.json` and `generation_config.json`.

    Raises:
        InputError: they differ, or a target starts with an id that is no token's.
    """
    said = {"eos": encoder_decoder_config.end_ids(config)}
    said["pad"] = () if config.pad_token_id is None else (config.pad_token_id,)
    for role, ids in said.items():
        ours = getattr(found, f"{role}_id")
        if ours is None or (ids and ours not in ids):
            token = None if ours is None else found.vocabulary[ours]
            raise InputError(
                "settings-disagree",
                f"found {role}_token_id={', '.join(map(str, ids)) or None} in the config of "
                f"{folder} and {token!r} of id {ours} in the tokenizer; wanted the two to agree: "
                f"correct the wrong one, here or {role}_token in "
                f"{transformers_settings.CONFIG_NAME}",
            )
    if not decoder.start_ids or max(decoder.start_ids) >= found.size:
        raise InputError(
            "settings-disagree",
            f"found decoder_start_token_id and forced_bos_token_id of {list(decoder.start_ids)} in "
            f"the config of {folder} and {found.size} tokens; wanted the ids that a target starts "
            "with",
        )


def write(folder: Path, ours: Tokenizer, decoder: DecoderConfig, length: int) -> None:
    """Writes what `AutoTokenizer` loads; it makes sources, and targets, as they are made here.

    Args:
        folder: where to.
        ours: of the model.
        decoder: says how a source begins.
        length: tokens of a text at most.
    """
    if ours.targets is not ours:
        marian_tokenizer.write(folder, ours, length)
        return
    ours.save(folder)
    path = folder / tokenizer.JSON_NAME
    backend = loading.load(path).backend
    begin, end = ((i, i if i is None else ours.vocabulary[i]) for i in (ours.bos_id, ours.eos_id))
    begins = decoder.source_begins and ours.bos_id is not None
    special = [end, begin] if begins else [end]
    before = f"{begin[1]} " if begins else ""
    backend.post_processor = processors.TemplateProcessing(
        single=f"{before}$A {end[1]}",
        pair=f"{before}$A {end[1]} $B:1 {end[1]}:1",
        special_tokens=[(token, i) for i, token in special],
    )
    files.write_text(path, backend.to_str(pretty=True))
    path = folder / transformers_settings.CONFIG_NAME
    said = files.read_json(path) | {
        "model_max_length": length,
        "model_input_names": ["input_ids", "attention_mask"],
        "eos_token": end[1],
    }
    said |= {"bos_token": begin[1]} if begin[1] else {}
    files.write_json(path, said)

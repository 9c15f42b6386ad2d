"""Folders of encoder-decoders in transformers: T5's, BART's and Marian's, in and out."""

import dataclasses
from pathlib import Path

import numpy as np
import safetensors.numpy
from absl import logging

from roots_tf import models, tasks, tokenizers
from roots_tf.export import (
    bert_config,
    causal_folders,
    encoder_decoder_config,
    encoder_decoder_names,
    encoder_decoder_tokenizer,
    safetensors_files,
    weight_places,
)
from roots_tf.export.encoder_decoder_config import Config, T5Config
from roots_tf.export.encoder_decoder_names import BIAS, HEAD, TOKENS, Family
from roots_tf.export.incoming import Incoming, check_rows
from roots_tf.export.new_folder import new_folder
from roots_tf.models import DecoderConfig, EncoderConfig
from roots_tf.models.config import OWN
from roots_tf.storage import files
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import Tokenizer

_PARTS = {"num_segments": 0, "window": 0, "num_key_value_heads": 0, "causal": False} | OWN
_OF_BART = _PARTS | {
    "norm": "post",
    "normalization": "layer",
    "feed_forward": "mlp",
    "bias": True,
    "attention_scale": True,
    "layer_norm_epsilon": 1e-5,  # of PyTorch's `LayerNorm`, which no config changes
    "head_size": 0,
}
PARTS: dict[Family, dict] = {
    "t5": _PARTS
    | {
        "norm": "pre",
        "normalization": "rms",
        "positions": "relative",
        "bias": False,
        "embedding_norm": False,
        "attention_scale": False,
        "embedding_scale": False,
    },
    "bart": _OF_BART | {"positions": "learned", "embedding_norm": True},
    "marian": _OF_BART | {"positions": "sinusoidal", "embedding_norm": False},
}
_JOINED = {"shares_tokens": True}
_DECODERS: dict[Family, dict] = {
    "t5": _JOINED | {"output_bias": False},
    "bart": _JOINED | {"output_scale": False, "tied": True},
    "marian": _JOINED | {"output_scale": False, "tied": True},
}
# Sizes that the two stacks of a family have in common.
_SAME: dict[Family, tuple[str, ...]] = {
    "t5": (
        *("num_heads", "head_dim", "intermediate_dim", "feed_forward", "activation"),
        *("relative_buckets", "relative_distance", "layer_norm_epsilon"),
    ),
    "bart": ("activation", "max_sequence_length", "embedding_scale"),
    "marian": ("activation", "embedding_scale"),
}


def read(folder: str | Path) -> Incoming:
    """The model of a folder.

    Args:
        folder: has `config.json` of a T5, mT5, BART or Marian, `model.safetensors` or its shards,
            and a tokenizer.

    Raises:
        InputError: the weights are a pickle, are damaged or do not fit `config.json`; or the model
            has parts that ours lacks, or its tokenizer wants what ours cannot do.
    """
    folder = Path(folder)
    path = folder / "config.json"
    config = encoder_decoder_config.read(path)
    encoder, decoder = encoder_decoder_config.pair(config, path)
    tokenizer, decoder = encoder_decoder_tokenizer.read(folder, config, decoder)
    family = encoder_decoder_config.FAMILIES[config.model_type]
    stored, source = safetensors_files.read(folder)
    stored = encoder_decoder_names.named_as_in_the_table(family, stored, source)
    decoder = _output(config, decoder, stored, source)
    return build(family, (encoder, decoder), stored, tokenizer, source)


def _output(config: Config, decoder: DecoderConfig, stored: dict, source: str) -> DecoderConfig:
    """The decoder's config with the output embedding that the weights have; takes copies out.

    Of T5, releases of transformers from 5 on say that all output embeddings are the input's, and
    go by the weights; what tells version 1.1 then is `scale_decoder_outputs`.

    Raises:
        InputError: the table is another than the input's, where it should be that.
    """
    bias = stored.get(BIAS)
    has_bias = bias is not None and bool(np.any(bias))
    if not has_bias:
        stored.pop(BIAS, None)
    decoder = dataclasses.replace(decoder, output_bias=has_bias)
    if HEAD not in stored:
        return decoder
    if np.array_equal(stored[HEAD], stored.get(TOKENS)):
        del stored[HEAD]
        return dataclasses.replace(decoder, tied=True)
    may_differ = isinstance(config, T5Config) and config.scale_decoder_outputs is False
    if config.tie_word_embeddings and not may_differ:
        raise InputError(
            "wrong-weights",
            f"found {HEAD} other than {TOKENS} in {source}, whose config has tie_word_embeddings; "
            "wanted the two to be one, or tie_word_embeddings false",
        )
    return dataclasses.replace(decoder, tied=False)


def build(
    family: Family,
    pair: tuple[EncoderConfig, DecoderConfig],
    stored: dict,
    tokenizer: Tokenizer,
    source: str,
) -> Incoming:
    """Makes an `EncoderDecoder` of weights, which turns texts into others.

    Rows of the tables that are no token's are left out.

    Args:
        family: names of the weights.
        pair: sizes and parts of the encoder and of the decoder.
        stored: weights by name, as in the table of names.
        tokenizer: of the checkpoint.
        source: file or folder, for messages.

    Raises:
        InputError: a weight is missing, of another shape, not finite or of no use; or there are
            more tokens than rows.
    """
    check_rows(tokenizer, pair[0], source)
    sizes = f"{pair[0].num_layers} and {pair[1].num_layers} layers"
    places = encoder_decoder_names.places(family, *pair)
    weight_places.check(places, stored, sizes, source)
    if surplus := pair[0].vocabulary_size - tokenizer.size:
        logging.warning("left out %d rows of the embedding that are no token's", surplus)
        size = {"vocabulary_size": tokenizer.size}
        pair = tuple(dataclasses.replace(config, **size) for config in pair)
        stored = encoder_decoder_names.with_rows(stored, tokenizer.size)
        places = encoder_decoder_names.places(family, *pair)
    weights = weight_places.to_ours(places, stored, source)
    model = models.EncoderDecoder(*pair)
    for name, variable in models.named_weights(model).items():
        variable.assign(weights[name])
    lengths = (config.max_sequence_length for config in pair)
    names = ("max_seq_length", "max_target_length")
    kind = tasks.KINDS["sequence_to_sequence"](**dict(zip(names, lengths, strict=True)))
    return Incoming(model, tokenizer, kind.description(), ())


def write(folder: str | Path, source: str | Path, max_seq_length: int = 0) -> Path:
    """Writes a folder that `transformers.AutoModelForSeq2SeqLM` and `AutoTokenizer` load.

    Args:
        folder: where to; must not exist, or be empty.
        source: model folder of an encoder-decoder.
        max_seq_length: tokens that a source is cut off at there; 0: as many as it has positions.

    Returns:
        The path of `folder`.

    Raises:
        InputError: the model has parts that T5, BART and Marian lack, or `folder` is not new.
    """
    described, tokenizer = models.describe(source), tokenizers.load(source)
    pair = described["encoder"], described["decoder"]
    family = family_of(pair[0])
    _check(family, pair, str(source))
    ids = _ids(pair[1], tokenizer, str(source))
    model = models.load(source)
    weights = {name: variable.numpy() for name, variable in models.named_weights(model).items()}
    theirs = encoder_decoder_names.as_stored(family, *pair, weights)
    longest = pair[0].max_sequence_length
    with new_folder(folder) as temporary:
        path = temporary / "model.safetensors"
        safetensors.numpy.save_file(theirs, path, {"format": "pt"})
        path.chmod(0o644)  # safetensors writes for its owner only
        length = min(max_seq_length or longest, longest)
        encoder_decoder_tokenizer.write(temporary, tokenizer, pair[1], length)
        files.write_json(temporary / "generation_config.json", ids)
        # transformers has ids of its own for those that are not said.
        said = dict.fromkeys(("bos_token_id", "forced_bos_token_id", "forced_eos_token_id")) | ids
        config = encoder_decoder_config.written(family, *pair) | said
        files.write_json(temporary / "config.json", config)
    return Path(folder)


def family_of(config: EncoderConfig) -> Family:
    """The family whose parts an encoder has, or most nearly has."""
    return {"relative": "t5", "learned": "bart"}.get(config.positions, "marian")


def _check(family: Family, pair: tuple[EncoderConfig, DecoderConfig], source: str) -> None:
    """Refuses a model whose outputs would be others in transformers; rates may differ, with a line.

    Raises:
        InputError: it has parts that the family lacks.
    """
    target = f"transformers' {family}"
    for config, parts in zip(pair, (PARTS[family], PARTS[family] | _DECODERS[family]), strict=True):
        if config.head_size == config.hidden_dim // config.num_heads:
            config = dataclasses.replace(config, head_size=0)
        causal_folders.refuse_other_parts(config, parts, source, target)
        activations = encoder_decoder_config.ACTIVATIONS
        bert_config.refuse_activation(config, activations, source, target)
    decoder = pair[1]
    found = [(name, *(getattr(config, name) for config in pair)) for name in _SAME[family]]
    if different := [entry for entry in found if entry[1] != entry[2]]:
        name, one, other = different[0]
        raise InputError(
            "cannot-export",
            f"found {name}={one!r} of the encoder and {other!r} of the decoder in the model of "
            f"{source}; {target} has one for both: choose another --format",
        )
    exact = pair[0].feed_forward == "glu" and pair[0].activation == "gelu"
    if family == "t5" and (exact or (not decoder.tied and decoder.output_scale)):
        what = "feed_forward='glu' with activation='gelu'" if exact else "output_scale, not tied,"
        raise InputError(
            "cannot-export",
            f"found {what} in the model of {source}; {target} has no such parts: choose another "
            "--format",
        )
    rates = {(c.dropout, c.attention_rate, c.activation_dropout) for c in pair}
    if len(rates) > 1 or (family == "t5" and len(set(*rates)) > 1):
        logging.warning(
            "%s has several rates of dropout, of which %s keeps the encoder's; they count only if "
            "it is trained further",
            *(source, target),
        )


def _ids(decoder: DecoderConfig, tokenizer: Tokenizer, source: str) -> dict[str, int]:
    """Ids of what starts, ends and pads a text, as `generation_config.json` names them.

    Raises:
        InputError: transformers has no place for those of the model.
    """
    starts = decoder.start_ids or (tokenizer.bos_id,)
    if None in (*starts, tokenizer.eos_id, tokenizer.causal_pad_id) or len(starts) > 2:
        raise InputError(
            "cannot-export",
            f"found start_ids={list(starts)} and an end of a text of id {tokenizer.eos_id} in the "
            f"model of {source}; wanted one or two tokens that start a target, and one that ends "
            "it: choose another --format",
        )
    ids = {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "pad_token_id": tokenizer.causal_pad_id,
        "decoder_start_token_id": starts[0],
        "forced_bos_token_id": starts[1] if len(starts) > 1 else None,
        "forced_eos_token_id": tokenizer.eos_id if decoder.forces_end else None,
    }
    return {name: number for name, number in ids.items() if number is not None}

"""Folders of causal models in Hugging Face transformers: GPT-2's and Llama's, in and out."""

import dataclasses
from pathlib import Path

import safetensors.numpy
from absl import logging

from roots_tf import models, tokenizers
from roots_tf.export import (
    bert_config,
    causal_config,
    causal_names,
    causal_tokenizer,
    safetensors_files,
)
from roots_tf.export.causal_config import Family
from roots_tf.export.incoming import Incoming, check_rows
from roots_tf.export.new_folder import new_folder
from roots_tf.models.config import OWN
from roots_tf.storage import files
from roots_tf.storage.files import InputError
from roots_tf.tasks import completion
from roots_tf.tokenizers import Tokenizer

_PARTS = {"norm": "pre", "embedding_norm": False, "num_segments": 0, "window": 0} | OWN
_PARTS |= {"attention_scale": True, "embedding_scale": False}
PARTS: dict[Family, dict] = {
    "gpt2": _PARTS
    | {
        "normalization": "layer",
        "feed_forward": "mlp",
        "positions": "learned",
        "bias": True,
        "num_key_value_heads": 0,
    },
    "llama": _PARTS | {"normalization": "rms", "feed_forward": "glu", "positions": "rotary"},
}


def read(folder: str | Path) -> Incoming:
    """The model of a folder.

    Args:
        folder: has `config.json` of a GPT-2, Llama or Mistral, `model.safetensors` or its shards,
            and a tokenizer.

    Raises:
        InputError: the weights are a pickle, are damaged or do not fit `config.json`; or the model
            has parts that ours lacks, or its tokenizer wants what ours cannot do.
    """
    folder = Path(folder)
    path = folder / "config.json"
    config = causal_config.read(path)
    encoder = causal_config.encoder_config(config, path)
    tokenizer = causal_tokenizer.read(folder, config)
    family = causal_config.FAMILIES[config.model_type]
    stored, source = safetensors_files.read(folder)
    stored = causal_names.named_as_in_the_table(family, stored, encoder.tied, source)
    return build(family, encoder, stored, tokenizer, source)


def build(
    layout: causal_names.Layout,
    config: models.EncoderConfig,
    stored: dict,
    tokenizer: Tokenizer,
    source: str,
) -> Incoming:
    """Makes a `CausalLM` of weights; rows of the tables that are no token's are left out.

    Args:
        layout: names of the weights.
        config: sizes and parts.
        stored: weights by name.
        tokenizer: of the checkpoint.
        source: file or folder, for messages.

    Raises:
        InputError: a weight is missing, of another shape, not finite or of no use; or there are
            more tokens than rows.
    """
    check_rows(tokenizer, config, source)
    causal_names.check(layout, stored, config, source)
    if surplus := config.vocabulary_size - tokenizer.size:
        logging.warning("left out %d rows of the embedding that are no token's", surplus)
        config = dataclasses.replace(config, vocabulary_size=tokenizer.size)
        stored = causal_names.with_rows(layout, stored, tokenizer.size)
    weights = causal_names.to_ours(layout, stored, config, source)
    model = models.CausalLM(config)
    for name, variable in models.named_weights(model).items():
        variable.assign(weights[name])
    return Incoming(model, tokenizer, {"labels": []}, ())


def write(folder: str | Path, source: str | Path, max_seq_length: int = 0) -> Path:
    """Writes a folder that `transformers.AutoModelForCausalLM` and `AutoTokenizer` load.

    Args:
        folder: where to; must not exist, or be empty.
        source: model folder of a causal model.
        max_seq_length: tokens that a text is cut off at there; 0: as many as it has positions.

    Returns:
        The path of `folder`.

    Raises:
        InputError: the model has parts that GPT-2 and Llama lack, or `folder` is not new.
    """
    described, tokenizer = models.describe(source), tokenizers.load(source)
    config, template = described["encoder"], completion.chat_template(described, tokenizer)
    family = family_of(config)
    target = f"transformers' {family}"
    refuse_other_parts(config, PARTS[family], str(source), target)
    bert_config.refuse_activation(config, causal_config.ACTIVATIONS, str(source), target)
    model = models.load(source)
    weights = {name: variable.numpy() for name, variable in models.named_weights(model).items()}
    theirs = causal_names.from_ours(family, weights, config)
    prefixed = causal_names.with_prefix(family, theirs)
    theirs = {prefixed[name]: array for name, array in theirs.items()}
    ends = causal_tokenizer.end_ids(tokenizer)
    longest = config.max_sequence_length
    with new_folder(folder) as temporary:
        path = temporary / "model.safetensors"
        safetensors.numpy.save_file(theirs, path, {"format": "pt"})
        path.chmod(0o644)  # safetensors writes for its owner only
        length = min(max_seq_length or longest, longest)
        causal_tokenizer.write(temporary, tokenizer, length, template)
        files.write_json(temporary / "generation_config.json", ends)
        # transformers has ids of its own for ends that are not said.
        said = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id")) | ends
        files.write_json(temporary / "config.json", causal_config.written(config, family) | said)
    return Path(folder)


def family_of(config: models.EncoderConfig) -> Family:
    """The family whose parts a model has, or most nearly has."""
    return "gpt2" if config.positions == "learned" else "llama"


def refuse_other_parts(config: models.EncoderConfig, parts: dict, source: str, target: str) -> None:
    """Checks that a model has the parts of a family.

    Args:
        config: of the model.
        parts: fields of `EncoderConfig`, with the value that they must have.
        source: folder of the model, for messages.
        target: what is written, for messages.

    Raises:
        InputError: it has others; names them.
    """
    found = {name: getattr(config, name) for name in parts if getattr(config, name) != parts[name]}
    if found.get("num_key_value_heads") == config.num_heads:
        del found["num_key_value_heads"]
    if found:
        have = ", ".join(f"{name}={value!r}" for name, value in found.items())
        takes = ", ".join(f"{name}={parts[name]!r}" for name in found)
        raise InputError(
            "cannot-export",
            f"found {have} in the model of {source}; {target} has {takes} only: choose another "
            "--format",
        )

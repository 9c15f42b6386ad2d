"""Take in a checkpoint: of a hub by name, or a folder of Hugging Face's, Google's or keras-hub's.

    roots import --from=google-bert/bert-base-uncased --output=work/bert_base
    roots import --from=keras_hub:bert_tiny_en_uncased --output=work/bert_tiny
    roots import --from=bert-base-uncased/ --output=work/bert_base
    roots import --from=uncased_L-12_H-768_A-12/ --output=work/bert_base

Takes seconds, and of a name what the network takes. Which of these it is, and whether there are
heads, is read from the files:

    config.json, model.safetensors or shards, tokenizer.json or vocab.txt   Hugging Face's BERT
    bert_config.json, bert_model.ckpt.*, vocab.txt                          google-research/bert
    the same, of model_type gpt2, llama or mistral, or vocab.json, merges.txt   causal models
    the same, of model_type t5, mt5, bart or marian, or spiece.model            encoder-decoders
    source.spm, target.spm, vocab.json beside them                          OPUS-MT's tokenizers
    config.json, model.weights.h5, assets/tokenizer/vocabulary.txt          keras-hub's presets
    adapter_config.json, adapter_model.safetensors                          peft's LoRA, with --base

A name that is no folder here is looked up on the Hugging Face hub, at the branch, tag or commit of
--revision. Only the files above come, safetensors and no pickles, into the hub's own cache, from
which they are read again without a network. The commit and the SHA-256 of the weights stand under
`source` in model.json. HF_TOKEN, HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE are as for that hub's
other programs; presets of keras-hub come by its own way, from Kaggle, into kagglehub's cache.

Writes a model folder that finetune, embed, fill-mask and export read. A checkpoint that has the
vocabulary head but no next-sentence head gets one of random weights. What the files beside the
weights say is done too, such as added tokens, or refused; docs/interoperate.md has the list. What
sentence-transformers or keras-hub's BertTextEmbedder says of vectors (pooling, scale, length, case,
prompts) is kept, and is what embed and export do by themselves; a step that ours lacks is refused.

Of a LoRA of peft for a BERT, GPT-2 or Llama, an adapter folder is written, which `roots merge`
joins with `--base`, the model folder that the adapter was trained on:

    roots import --from=peft_folder/ --base=work/bert_base --output=work/adapter
"""

# ruff: noqa: N999  (the name of the program is a keyword)
import dataclasses
from pathlib import Path
from typing import NamedTuple

from absl import logging

from roots_tf import models, program
from roots_tf.storage import files, hub_names, inputs, neighbours


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `import`."""

    from_: str = program.flag(
        help="folder of the checkpoint, a name of the Hugging Face hub (owner/name), or "
        "keras_hub:PRESET",
        role="input",
    )
    output: str = program.flag(help="model folder to write, or adapter", role="output_new")
    revision: str = program.flag(
        "", help="branch, tag or commit of a name of the Hugging Face hub; empty: its main branch"
    )
    base: str = program.flag(
        "", help="of an adapter of peft: model folder that it was trained on", role="input"
    )
    debug: bool = program.flag(False, help="read and check the checkpoint, write nothing")


@program.takes_urls
def main(config: Config) -> dict:
    """Reads the checkpoint, writes the folder and returns what its `model.json` says.

    Of an adapter what `adapter.json` says.
    """
    inputs.check(config, "base")
    found = located(config)
    config = dataclasses.replace(config, from_=found.folder)
    if is_adapter(config):
        return adapter(config, found.source)
    incoming = recognise(config.from_).read(config.from_)
    if found.source:
        incoming.description["source"] = found.source
    description, encoder = incoming.description, incoming.model.config
    if incoming.unused:
        logging.warning("left out %d weights: %s", len(incoming.unused), ", ".join(incoming.unused))
    if untrained := description.get("untrained"):
        logging.warning("not in the checkpoint, so of random weights: %s", ", ".join(untrained))
    if "embedding" in description:
        logging.info("vectors: %s", models.EmbeddingSettings(**description["embedding"]))
    if config.debug:
        return description
    from roots_tf.export.new_folder import new_folder

    with new_folder(config.output) as temporary:
        incoming.tokenizer.save(temporary)
        models.save(temporary, incoming.model, **description)
    logging.info(
        "%s: %s of %d layers, hidden size %d, %d tokens",
        *(config.output, incoming.model.name, encoder.num_layers, encoder.hidden_dim),
        incoming.tokenizer.size,
    )
    return files.read_json(Path(config.output, "model.json"))


class Located(NamedTuple):
    """Where a checkpoint lies.

    Attributes:
        folder: of it.
        source: where it is from, as `model.json` says it; empty of a folder that was given.
    """

    folder: str
    source: dict


def located(config: Config) -> Located:
    """The folder of the checkpoint, which is fetched where `--from` is a name of a hub.

    Raises:
        InputError: `--revision` is given for what has none, or the hub does not give it.
    """
    name = "" if hub_names.preset(config.from_) else hub_names.repository(config.from_)
    if config.revision and not name:
        raise files.InputError(
            "flags-conflict",
            f"found --revision and --from={config.from_}; wanted it with a name of the Hugging "
            "Face hub, owner/name, that is no folder here",
        )
    if preset := hub_names.preset(config.from_):
        from roots_tf.export import keras_hub_names

        return Located(*keras_hub_names.fetch(preset))
    if not name:
        return Located(config.from_, {})
    from roots_tf import hubs

    try:
        return Located(*hubs.fetch(name, config.revision))
    except files.InputError as error:
        if config.revision or error.id not in ("not-on-hub", "hub-unreachable"):
            raise
        # A folder may have been meant whose name is misspelt.
        no_folder = f"nor is there a folder {config.from_}{neighbours.suggestion(config.from_)}"
        raise files.InputError(error.id, f"{error}; {no_folder}") from error


def is_adapter(config: Config) -> bool:
    """Whether the folder holds an adapter of peft.

    Raises:
        InputError: it does and there is no base for it, or the other way round.
    """
    found = Path(config.from_, "adapter_config.json").exists()
    if found and not config.base:
        raise files.InputError(
            "missing-flag",
            f"found an adapter of peft in {config.from_} and no --base; wanted the model folder "
            "that it was trained on, which import writes of that checkpoint",
        )
    if config.base and not found:
        raise files.InputError(
            "flags-conflict",
            f"found --base and no adapter_config.json in {config.from_}; wanted a folder of "
            "peft's, or no --base",
        )
    return found


def adapter(config: Config, source: dict) -> dict:
    """Reads an adapter of peft, writes ours and returns what its `adapter.json` says.

    Args:
        config: with the folder of the adapter.
        source: of `Located`.
    """
    models.describe(config.base)
    from roots_tf.export import incoming_peft
    from roots_tf.export.new_folder import new_folder

    found = incoming_peft.read(config.from_, config.base)
    said = {"tune": found.tuning.name, "settings": dataclasses.asdict(found.tuning)}
    if config.debug:
        return said | {"model": found.description}
    with new_folder(config.output) as temporary:
        given = said["tune"], said["settings"], found.learned
        about = {"description": found.description, "source": source}
        models.save_adapter(temporary, *given, base=config.base, **about)
    numbers = sum(weight.size for weight in found.learned.values())
    logging.info("%s: an adapter of %d numbers, of %s", config.output, numbers, config.base)
    return files.read_json(Path(config.output, "adapter.json"))


def recognise(folder: str):
    """Module of `roots_tf.export` that reads a folder.

    Raises:
        InputError: the folder is missing, or holds nothing of the kind.
    """
    path = Path(folder)
    if not path.is_dir():
        raise files.InputError(
            "no-such-file",
            f"found no folder {folder}; wanted that of a checkpoint{neighbours.suggestion(folder)}",
        )
    if (path / "model.json").exists():
        raise files.InputError(
            "wrong-folder", f"found a model folder in {folder} already; use it as it is"
        )
    known = ("bert_config.json", "modules.json", "config.json")
    if not any((path / name).exists() for name in known):
        raise files.InputError(
            "wrong-folder",
            f"found neither config.json nor bert_config.json in {folder}; wanted a folder of "
            "Hugging Face transformers, google-research/bert or keras-hub",
        )
    from roots_tf.export import (
        causal_config,
        causal_folders,
        encoder_decoder_config,
        encoder_decoder_folders,
        hugging_face,
        keras_hub,
        keras_hub_causal,
        keras_hub_encoder_decoder,
        tensorflow1,
    )

    if (path / "bert_config.json").exists():
        return tensorflow1
    config = path / "config.json"
    if (path / "modules.json").exists():  # sentence-transformers', perhaps with the model inside
        return hugging_face
    described = files.read_json(config)
    if causal_config.is_causal(described):
        return causal_folders
    if encoder_decoder_config.is_encoder_decoder(described):
        return encoder_decoder_folders
    is_preset = isinstance(described, dict) and "registered_name" in described
    if is_preset and keras_hub_causal.is_causal(described):
        return keras_hub_causal
    if is_preset and keras_hub_encoder_decoder.is_encoder_decoder(described):
        return keras_hub_encoder_decoder
    return keras_hub if is_preset else hugging_face


if __name__ == "__main__":
    program.run(main, Config)

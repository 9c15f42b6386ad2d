"""Take in a checkpoint: a Hugging Face folder, google-research/bert's, or a keras-hub preset.

    roots import --from=bert-base-uncased/ --output=work/bert_base
    roots import --from=uncased_L-12_H-768_A-12/ --output=work/bert_base

Takes seconds. Which of these it is, and whether there are heads, is read from the files:

    config.json, model.safetensors or shards, tokenizer.json or vocab.txt   Hugging Face's BERT
    bert_config.json, bert_model.ckpt.*, vocab.txt                          google-research/bert
    the same, of model_type gpt2, llama or mistral, or vocab.json, merges.txt   causal models
    the same, of model_type t5, mt5, bart or marian, or spiece.model            encoder-decoders
    source.spm, target.spm, vocab.json beside them                          OPUS-MT's tokenizers
    config.json, model.weights.h5, assets/tokenizer/vocabulary.txt          keras-hub's presets
    adapter_config.json, adapter_model.safetensors                          peft's LoRA, with --base

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

from absl import logging

from roots_tf import models, program
from roots_tf.storage import files, inputs, neighbours


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `import`."""

    from_: str = program.flag(help="folder of the checkpoint", role="input")
    output: str = program.flag(help="model folder to write, or adapter", role="output_new")
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
    if is_adapter(config):
        return adapter(config)
    incoming = recognise(config.from_).read(config.from_)
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


def adapter(config: Config) -> dict:
    """Reads an adapter of peft, writes ours and returns what its `adapter.json` says."""
    models.describe(config.base)
    from roots_tf.export import incoming_peft
    from roots_tf.export.new_folder import new_folder

    found = incoming_peft.read(config.from_, config.base)
    said = {"tune": found.tuning.name, "settings": dataclasses.asdict(found.tuning)}
    if config.debug:
        return said | {"model": found.description}
    with new_folder(config.output) as temporary:
        given = said["tune"], said["settings"], found.learned
        models.save_adapter(temporary, *given, base=config.base, description=found.description)
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

"""Write a model for other programs: a SavedModel that takes text, Hugging Face's, or keras-hub's.

    roots export --model=work/task/model --output=work/served
    roots export --model=work/pretrained/model --output=work/bert --format=huggingface

saved_model takes half a minute, for TensorFlow Serving and `tf.saved_model.load`. Writes
`<output>/1/` with the signatures `serving_default` (strings) and `ids` (token ids), loads it in a
fresh process and compares its answers with the Python model's; on a difference nothing is left
under that name. Loading it needs `import tensorflow_text`, whose ops it lists in `ops.json`.

huggingface takes seconds. Writes what `transformers.AutoModel.from_pretrained(<output>)` loads.

keras_hub takes seconds. Writes what `keras_hub.models.BertBackbone.from_preset(<output>)` loads.
"""

import dataclasses
from typing import Literal

from absl import logging

from roots_tf import files, models, program, tokenizers
from roots_tf.export import hugging_face, keras_hub, saved_model


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `export`."""

    model: str = program.flag(help="model folder that pretrain, finetune or import wrote")
    output: str = program.flag(help="folder to write; of a SavedModel, folder of its versions")
    format: Literal["saved_model", "huggingface", "keras_hub"] = program.flag(
        "saved_model", help="what to write"
    )
    version: int = program.flag(1, help="saved_model: number of this version")
    max_seq_length: int = program.flag(
        0, help="saved_model: tokens of a text at most; 0: what the model takes"
    )
    approximate_gelu: bool = program.flag(
        False, help="keras_hub: take a model of the exact GELU, which that library approximates"
    )
    debug: bool = program.flag(False, help="saved_model: texts of at most 16 tokens")


def main(config: Config) -> str:
    """Exports and returns the path of what was written."""
    if config.format == "huggingface":
        path = hugging_face.write(config.output, config.model)
    elif config.format == "keras_hub":
        path = keras_hub.write(config.output, config.model, config.approximate_gelu)
    else:
        path = _saved_model(config)
    done = "answers as the Python model does" if config.format == "saved_model" else "is written"
    logging.info("%s %s", path, done)
    return str(path)


def _saved_model(config: Config):
    """Writes a SavedModel, once its answers are checked, and returns its path."""
    described = models.describe(config.model)
    kind, labels = described["kind"], tuple(described["labels"])
    if kind == "token_classifier" or (kind == "classifier" and not labels):
        task = described.get("task", {}).get("name", kind)
        raise files.InputError(
            f"found a model for {task} in {config.model}; wanted one that gives a text a class or "
            "an embedding, as that is what is served: choose --format=huggingface"
        )
    longest = described["encoder"].max_sequence_length
    length = 16 if config.debug else min(config.max_seq_length or longest, longest)
    serving = saved_model.Serving(
        models.load(config.model),
        tokenizers.load(config.model),
        length,
        labels,
    )
    return saved_model.export(serving, config.output, config.version)


if __name__ == "__main__":
    program.run(main, Config)

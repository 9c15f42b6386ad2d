"""Checkpoints of google-research/bert: `bert_config.json`, `bert_model.ckpt.*` and `vocab.txt`."""

import dataclasses
from pathlib import Path

import tensorflow as tf

from roots_tf import files, tokenizers
from roots_tf.export import hugging_face, incoming
from roots_tf.files import InputError

CONFIG_NAME = "bert_config.json"
_OF_OPTIMIZER = ("/adam_m", "/adam_v")  # `optimization.py` names its slots so


def read(folder: str | Path) -> incoming.Incoming:
    """The model of a folder: an encoder, or with `cls/predictions/*` a pretraining model.

    The file says "gelu" where the code of google-research/bert computes the approximation by tanh
    (`modeling.py`, function `gelu`), so the model gets that.

    Raises:
        InputError: the folder holds no checkpoint or several, or one that is damaged or does not
            fit `bert_config.json`.
    """
    folder = Path(folder)
    path = folder / CONFIG_NAME
    config = hugging_face.encoder_config(files.read_json(path), str(path))
    config = dataclasses.replace(config, activation="gelu_tanh")
    indices = sorted(folder.glob("*.index"))
    if len(indices) != 1:
        raise InputError(
            f"found {len(indices)} checkpoints (*.index) in {folder}; wanted one: move the others "
            "elsewhere"
        )
    prefix = str(indices[0].with_suffix(""))
    try:
        reader = tf.train.load_checkpoint(prefix)
        stored = {
            name: reader.get_tensor(name)
            for name in reader.get_variable_to_shape_map()
            if name != "global_step" and not name.endswith(_OF_OPTIMIZER)
        }
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"could not read {prefix}: {reason}; copy all its files again") from error
    return incoming.build("tensorflow1", config, stored, tokenizers.load(folder), prefix)

"""Checkpoints of google-research/bert: `bert_config.json`, `bert_model.ckpt.*` and `vocab.txt`."""

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

from roots_tf import tokenizers
from roots_tf.export import bert_config, incoming
from roots_tf.storage.files import InputError

CONFIG_NAME = "bert_config.json"
_SQUAD = "cls/squad/"  # before the names of the head of `run_squad.py`
_CLASSES = "output_weights"  # the head of `run_classifier.py`


def read(folder: str | Path) -> incoming.Incoming:
    """The model of a folder, with the head that it has.

    `cls/predictions/*` makes it a pretraining model; `output_weights`, of `run_classifier.py`, a
    classifier (of one output: a regression), and `cls/squad/output_weights`, of `run_squad.py`, one
    that answers questions. The files do not say what the labels are called.

    The file says "gelu" where the code of google-research/bert computes the approximation by tanh
    (`modeling.py`, function `gelu`), so the model gets that.

    Raises:
        InputError: the folder holds no checkpoint or several, or one that is damaged or does not
            fit `bert_config.json`.
    """
    folder = Path(folder)
    path = folder / CONFIG_NAME
    config = bert_config.read(path)
    encoder = bert_config.encoder_config(config, path)
    encoder = dataclasses.replace(encoder, activation="gelu_tanh")
    tokenizer = tokenizers.load(folder)
    stored, prefix = _read_weights(folder)
    architecture = "BertForSequenceClassification"
    if _SQUAD + _CLASSES in stored:
        architecture = "BertForQuestionAnswering"
        stored = {name.removeprefix(_SQUAD): array for name, array in stored.items()}
    kind = None
    if _CLASSES in stored:
        kind = bert_config.kind_of_head(config, architecture, len(stored[_CLASSES]), path)
    return incoming.build("tensorflow1", encoder, stored, tokenizer, prefix, kind=kind)


def _read_weights(folder: Path) -> tuple[dict[str, np.ndarray], str]:
    """Weights by name, without what an optimizer keeps, and the prefix of the checkpoint."""
    indices = sorted(path for path in folder.glob("*.index") if path.is_file())
    if len(indices) != 1:
        raise InputError(
            "wrong-folder",
            f"found {len(indices)} checkpoints (*.index) in {folder}; wanted one: move the others "
            "elsewhere",
        )
    prefix = str(indices[0].with_suffix(""))
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes = reader.get_variable_to_shape_map()
        # Slots stand below the weight that they are of, such as output_bias/adam_m. Steps, powers
        # of beta and loss scales are single numbers, which no weight is.
        names = [n for n, shape in shapes.items() if shape and n.rpartition("/")[0] not in shapes]
        return {name: reader.get_tensor(name) for name in names}, prefix
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            "file-damaged", f"could not read {prefix}: {reason}; copy all its files again"
        ) from error

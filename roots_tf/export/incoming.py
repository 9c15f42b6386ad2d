"""A checkpoint of another format as a model of ours."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np
from absl import logging

from roots_tf import models, tasks
from roots_tf.export import weight_names
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import Tokenizer


class Incoming(NamedTuple):
    """What a reader of checkpoints gives.

    Attributes:
        model: with the weights of the checkpoint.
        tokenizer: that of the checkpoint.
        description: what else `models.save` writes: `labels` and `task` of a head; `untrained`,
            the layers that the checkpoint lacks and that have initial weights.
        unused: names of weights that no part of the model takes.
    """

    model: keras.Model
    tokenizer: Tokenizer
    description: dict
    unused: tuple[str, ...]


def check_rows(tokenizer: Tokenizer, config: models.EncoderConfig, source: str) -> None:
    """Refuses a tokenizer with more tokens than rows; arguments as for `build`.

    Raises:
        InputError: it has.
    """
    if tokenizer.size > config.vocabulary_size:
        raise InputError(
            "wrong-vocabulary",
            f"found {tokenizer.size} tokens and an embedding of {config.vocabulary_size} in "
            f"{source}, where {tokenizer.vocabulary[config.vocabulary_size]!r} has no row; wanted "
            "no more tokens than rows: take it out, or give the tokenizer of the model",
        )


def build(
    layout: weight_names.Format,
    config: models.EncoderConfig,
    stored: Mapping[str, np.ndarray],
    tokenizer: Tokenizer,
    source: str,
    *,
    kind: tasks.FineTuning | None = None,
) -> Incoming:
    """Makes the model that the weights are of.

    A vocabulary head makes it a `Pretrainer`, for which next sentence and pooler may be missing; a
    head that judges tokens a `Discriminator`; a kind of task makes it a model with that head; else
    it is an encoder. Rows of the embedding behind those of the tokenizer's ids, which some add so
    that their number is a multiple of 64 or 128, are left out: no text has their ids, and no
    prediction may name them.

    Args:
        layout: names of the weights.
        config: sizes of the encoder.
        stored: weights by name.
        tokenizer: of the checkpoint.
        source: file or folder, for messages.
        kind: of task that a head `classes` was trained for, or None.

    Raises:
        InputError: a weight is missing or of another shape, or the vocabulary is larger than the
            embedding.
    """
    check_rows(tokenizer, config, source)
    weight_names.check(layout, stored, config, source)
    if surplus := config.vocabulary_size - tokenizer.size:
        logging.warning("left out %d rows of the embedding that are no token's", surplus)
        config = dataclasses.replace(config, vocabulary_size=tokenizer.size)
        stored = weight_names.with_rows(layout, stored, tokenizer.size)
    parts, untrained = weight_names.parts_in(layout, stored), []
    description = {"labels": []}
    if kind:
        description = kind.description()
        model = kind.make_model(config)
    elif "masked_lm" in parts:
        model = models.Pretrainer(config)
        untrained = sorted({"pooler", "next_sentence"} - parts)
        description["untrained"] = untrained
    elif "detection" in parts:
        model = models.Discriminator(config)
    else:
        model = models.PooledEncoder(config, pooler="pooler" in parts)
    variables = {
        name: variable
        for name, variable in models.named_weights(model).items()
        if name.split("/")[0] not in untrained
    }
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    weights = weight_names.to_ours(layout, stored, shapes, config.num_layers, source)
    for name, variable in variables.items():
        variable.assign(weights[name])
    where = weight_names.weights_of(layout, config.num_layers)
    used = {theirs for name in variables for theirs in where[name].names}
    unused = tuple(sorted(set(stored) - used))
    return Incoming(model, tokenizer, description, unused)

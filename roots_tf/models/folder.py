"""A model folder: `model.json` says what the model is, `model.safetensors` holds its weights."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import safetensors.numpy
import tensorflow as tf

from roots_tf.models import weight_shapes, weights_file
from roots_tf.models.causal_lm import CausalLM
from roots_tf.models.description import ModelFile, describe
from roots_tf.models.encoder import PooledEncoder, Pretrainer
from roots_tf.models.encoder_decoder import EncoderDecoder
from roots_tf.models.heads import Classifier, TokenClassifier
from roots_tf.models.masked_and_causal import MaskedAndCausalLM
from roots_tf.models.replaced_tokens import Discriminator
from roots_tf.storage import checksums, files, schema

# By kind, as `description.KINDS`: makes a model from its sizes, what else `model.json` says, and
# the precision.
MODELS = {
    "causal_lm": lambda config, description, precision: CausalLM(config, precision=precision),
    "masked_and_causal_lm": lambda config, description, precision: MaskedAndCausalLM(
        config, precision=precision
    ),
    "encoder_decoder": lambda config, description, precision: EncoderDecoder(
        config, description["decoder"], precision=precision
    ),
    "pretrainer": lambda config, description, precision: Pretrainer(config, precision=precision),
    "discriminator": lambda config, description, precision: Discriminator(
        config, precision=precision
    ),
    "encoder": lambda config, description, precision: PooledEncoder(
        config, description["pooler"], precision=precision
    ),
    "classifier": lambda config, description, precision: Classifier(
        config, description["num_labels"], precision=precision
    ),
    "token_classifier": lambda config, description, precision: TokenClassifier(
        config, description["num_labels"], precision=precision
    ),
}


def named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Weights by path, such as `encoder/layer_0/attention/output_kernel`."""
    return {variable.path: variable for variable in model.variables}


def arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """Values of the weights by path, to be read at once: they lie where the variables have them.

    A copy would take the memory of a second model as one is written, when little else is in use.
    """
    tensors = {name: tf.convert_to_tensor(v.value) for name, v in named_weights(model).items()}
    return {name: np.asarray(memoryview(tensor)) for name, tensor in tensors.items()}


def save(
    folder: str | Path, model: keras.Model, labels: tuple[str, ...] = (), **description
) -> None:
    """Writes a model folder; `model.json`, which makes it complete, comes last.

    Args:
        folder: where to; made if missing.
        model: of one of `MODELS`, which is its name.
        labels: names of a classifier's classes.
        **description: what else `model.json` says, as JSON values.

    Raises:
        InputError: the folder cannot be written, or the description is none of `ModelFile`.
    """
    said = description_of(model, labels, **description)
    write(folder, said, arrays(model))


def description_of(model: keras.Model, labels: tuple[str, ...] = (), **description) -> dict:
    """What `model.json` says of a model, but for checksums; arguments as for `save`."""
    return {
        "kind": model.name,
        "encoder": dataclasses.asdict(model.config),
        "labels": list(labels),
        **getattr(model, "description", {}),
        **description,
    }


def write(folder: str | Path, description: dict, weights: dict[str, np.ndarray]) -> None:
    """Writes a model folder as `save` does, of a model that is not there.

    Args:
        folder: where to; made if missing.
        description: what `model.json` says, but for its checksums.
        weights: by name, float32.

    Raises:
        InputError: as for `save`.
    """
    path = Path(folder, checksums.MODEL)
    description = files.as_read_back(description)
    schema.check(description, ModelFile, f"the description for {path}")
    with files.atomic_path(Path(folder, checksums.WEIGHTS)) as temporary:
        safetensors.numpy.save_file(weights, temporary)
        temporary.chmod(0o644)  # safetensors writes for its owner only, and a server may be another
    files.write_json(path, checksums.with_checksums(folder, description))


def make(described: dict, precision: str = "float32") -> keras.Model:
    """A model with random weights.

    Args:
        described: as `describe` gives it.
        precision: as for `Encoder`.
    """
    return MODELS[described["kind"]](described["encoder"], described, precision)


def load(folder: str | Path, precision: str = "float32") -> keras.Model:
    """The model of a folder.

    Args:
        folder: that `save` wrote.
        precision: as for `Encoder`; the weights in the folder are float32 whatever it is.

    Raises:
        InputError: the folder holds no model, its weights do not fit the description, are not
            finite, or are not those that were written.
    """
    model = make(describe(folder), precision)
    variables = named_weights(model)
    weights_file.check(folder, _shapes(variables), "")
    load_weights(folder, variables)
    return model


def load_weights(folder: str | Path, variables: dict[str, keras.Variable]) -> None:
    """Assigns to each variable the weight of its name; other weights of the folder are left.

    Args:
        folder: that `save` wrote.
        variables: as `named_weights` gives them.

    Raises:
        InputError: a weight is missing, of another shape or not finite; or the file is damaged.
    """
    weights_file.check(folder, _shapes(variables), None)
    weights_file.assign(folder, {name: variable.assign for name, variable in variables.items()})


def load_common(
    folder: str | Path, model: keras.Model, is_new: Callable[[str], bool] | None = None
) -> list[str]:
    """Assigns the encoder of a model folder, and of the other weights those that it has too.

    Args:
        folder: that `save` wrote.
        model: of `roots_tf.models`, of the folder's sizes and of any kind.
        is_new: of the name of a weight, whether the folder cannot have it; None: of none.

    Returns:
        Names of the layers that keep their initial weights, such as "masked_lm".

    Raises:
        InputError: a weight of the encoder is missing, or one is of another shape.
    """
    variables, stored = _not_new(model, is_new), weights_file.header(folder)
    common = {
        name: variable
        for name, variable in variables.items()
        if name in stored or name.startswith("encoder/")
    }
    load_weights(folder, common)
    return sorted({name.partition("/")[0] for name in variables.keys() - common.keys()})


def load_encoder(
    folder: str | Path, model: keras.Model, is_new: Callable[[str], bool] | None = None
) -> bool:
    """Assigns the encoder of a model folder; its pooler and output embedding where both have one.

    Args:
        folder: that `save` wrote.
        model: of `roots_tf.models`, of the folder's sizes and of any kind.
        is_new: as for `load_common`.

    Returns:
        False if the model has a pooler and the folder has none; else True.

    Raises:
        InputError: a weight of the encoder is missing or of another shape.
    """
    stored = weights_file.header(folder)
    wanted = {
        name: variable
        for name, variable in _not_new(model, is_new).items()
        if name.startswith(("encoder/", "pooler/")) or (name in stored and name == "head/table")
    }
    poolers = {name for name in wanted if name.startswith("pooler/")}
    if lacking := not poolers <= stored.keys():
        wanted = {name: wanted[name] for name in wanted.keys() - poolers}
    load_weights(folder, wanted)
    return not lacking


def _not_new(model: keras.Model, is_new) -> dict[str, keras.Variable]:
    """The weights that a folder can have, by name; `is_new` as for `load_common`."""
    found = named_weights(model)
    return found if is_new is None else {n: w for n, w in found.items() if not is_new(n)}


def _shapes(variables: dict[str, keras.Variable]) -> weight_shapes.Shapes:
    return {name: tuple(variable.shape) for name, variable in variables.items()}

"""A model folder: `model.json` says what the model is, `model.safetensors` holds its weights."""

import dataclasses
from pathlib import Path

import keras
import safetensors
import safetensors.numpy

from roots_tf import files
from roots_tf.files import InputError
from roots_tf.models.config import EncoderConfig
from roots_tf.models.encoder import PooledEncoder, Pretrainer
from roots_tf.models.heads import Classifier, TokenClassifier

# Makes a model from its sizes, what else `model.json` says, and the precision.
MODELS = {
    "pretrainer": lambda config, description, precision: Pretrainer(config, precision=precision),
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
        InputError: the folder cannot be written.
    """
    weights = {name: variable.numpy() for name, variable in named_weights(model).items()}
    with files.atomic_path(Path(folder, "model.safetensors")) as temporary:
        safetensors.numpy.save_file(weights, temporary)
        temporary.chmod(0o644)  # safetensors writes for its owner only, and a server may be another
    description = {
        "kind": model.name,
        "encoder": dataclasses.asdict(model.config),
        "labels": list(labels),
        **getattr(model, "description", {}),
        **description,
    }
    files.write_json(Path(folder, "model.json"), description)


def describe(folder: str | Path) -> dict:
    """What `model.json` says, with `encoder` as an `EncoderConfig`.

    Raises:
        InputError: the folder holds no model.
    """
    path = Path(folder, "model.json")
    if not path.exists():
        raise InputError(
            f"found no model.json in {folder}; wanted a model folder, such as the `model` folder "
            "that pretrain or finetune writes when it ends"
        )
    description = files.read_json(path)
    try:
        return description | {"encoder": EncoderConfig(**description["encoder"])}
    except (KeyError, TypeError) as error:
        raise InputError(f"found a model.json in {folder} of another format: {error}") from error


def load(folder: str | Path, precision: str = "float32") -> keras.Model:
    """The model of a folder.

    Args:
        folder: that `save` wrote.
        precision: as for `Encoder`; the weights in the folder are float32 whatever it is.

    Raises:
        InputError: the folder holds no model, or its weights do not fit the description.
    """
    description = describe(folder)
    kind = description["kind"]
    if kind not in MODELS:
        raise InputError(
            f"found a model of kind {kind!r} in {folder}; wanted one of {', '.join(MODELS)}"
        )
    model = MODELS[kind](description["encoder"], description, precision)
    load_weights(folder, named_weights(model))
    return model


def load_weights(folder: str | Path, variables: dict[str, keras.Variable]) -> None:
    """Assigns to each variable the weight of its name; other weights of the folder are left.

    Args:
        folder: that `save` wrote.
        variables: as `named_weights` gives them.

    Raises:
        InputError: a weight is missing or of another shape; or the file is damaged.
    """
    path = Path(folder, "model.safetensors")
    try:
        stored = safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"could not read {path}: {error}; copy or train the model again"
        ) from error
    for name, variable in variables.items():
        if name not in stored:
            raise InputError(
                f"found no weight {name} in {path}; wanted one {tuple(variable.shape)}"
            )
        if stored[name].shape != tuple(variable.shape):
            raise InputError(
                f"found weight {name} of shape {stored[name].shape} in {path}; wanted "
                f"{tuple(variable.shape)}: the sizes of the two models differ"
            )
        variable.assign(stored[name])


def load_encoder(folder: str | Path, model: keras.Model) -> bool:
    """Assigns the encoder of a model folder, and its pooler where both models have one.

    Args:
        folder: that `save` wrote.
        model: of `roots_tf.models`, of the folder's sizes and of any kind.

    Returns:
        False if the model has a pooler and the folder has none; else True.

    Raises:
        InputError: a weight of the encoder is missing or of another shape.
    """
    wanted = {
        name: variable
        for name, variable in named_weights(model).items()
        if name.startswith(("encoder/", "pooler/"))
    }
    stored = _stored_names(Path(folder, "model.safetensors"))
    poolers = {name for name in wanted if name.startswith("pooler/")}
    if lacking := not poolers <= stored:
        wanted = {name: wanted[name] for name in wanted.keys() - poolers}
    load_weights(folder, wanted)
    return not lacking


def _stored_names(path: Path) -> set[str]:
    """Names of the weights in a file."""
    try:
        with safetensors.safe_open(path, "np") as file:
            return set(file.keys())
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"could not read {path}: {error}; copy or train the model again"
        ) from error

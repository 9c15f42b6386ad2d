"""A model folder: `model.json` says what the model is, `model.safetensors` holds its weights."""

import dataclasses
import os
from pathlib import Path

import keras
import safetensors.numpy

from roots_tf.models import weight_shapes, weights_file
from roots_tf.models.causal_lm import CausalLM
from roots_tf.models.config import EncoderConfig
from roots_tf.models.encoder import PooledEncoder, Pretrainer
from roots_tf.models.heads import Classifier, TokenClassifier
from roots_tf.models.kinds import is_causal
from roots_tf.models.masked_and_causal import MaskedAndCausalLM
from roots_tf.storage import checksums, files, neighbours, schema
from roots_tf.storage.files import InputError

# Makes a model from its sizes, what else `model.json` says, and the precision.
MODELS = {
    "causal_lm": lambda config, description, precision: CausalLM(config, precision=precision),
    "masked_and_causal_lm": lambda config, description, precision: MaskedAndCausalLM(
        config, precision=precision
    ),
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


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """What `model.json` may say.

    Attributes:
        kind: of `MODELS`.
        encoder: sizes of its encoder.
        labels: names of a classifier's classes; none where they have no names.
        num_labels: outputs of a classifier.
        pooler: whether an encoder by itself has one.
        task: name and fields of a kind of fine-tuning, which `tasks.restore` checks.
        untrained: layers of an imported model that have initial weights.
        embedding: how texts become vectors; whoever reads it checks it.
        sha256: see `roots_tf.storage.checksums`.
    """

    kind: str
    encoder: EncoderConfig
    labels: tuple[str, ...] = ()
    num_labels: int | None = schema.number(None, minimum=1, maximum=1 << 20)
    pooler: bool | None = None
    task: dict[str, object] = dataclasses.field(default_factory=dict)
    untrained: tuple[str, ...] = ()
    embedding: object = None
    sha256: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.kind not in MODELS:
            raise InputError(
                "wrong-json",
                f"found a model of kind {self.kind!r}; wanted one of {', '.join(MODELS)}",
            )
        needed = {"encoder": "pooler", "classifier": "num_labels", "token_classifier": "num_labels"}
        if (name := needed.get(self.kind)) and getattr(self, name) is None:
            raise InputError(
                "wrong-json", f"found no {name} of a model of kind {self.kind!r}; wanted it"
            )
        if self.labels and self.num_labels not in (None, len(self.labels)):
            raise InputError(
                "wrong-json",
                f"found {len(self.labels)} labels and num_labels={self.num_labels}; wanted a label "
                "for each output",
            )


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
        InputError: the folder cannot be written, or the description is none of `ModelFile`.
    """
    description = {
        "kind": model.name,
        "encoder": dataclasses.asdict(model.config),
        "labels": list(labels),
        **getattr(model, "description", {}),
        **description,
    }
    path = Path(folder, checksums.MODEL)
    description = files.as_read_back(description)
    schema.check(description, ModelFile, f"the description for {path}")
    weights = {name: variable.numpy() for name, variable in named_weights(model).items()}
    with files.atomic_path(Path(folder, checksums.WEIGHTS)) as temporary:
        safetensors.numpy.save_file(weights, temporary)
        temporary.chmod(0o644)  # safetensors writes for its owner only, and a server may be another
    files.write_json(path, checksums.with_checksums(folder, description))


def describe(folder: str | Path) -> dict:
    """What `model.json` says, with `encoder` as an `EncoderConfig`; the keys are `ModelFile`'s.

    The weights beside it are not read, but have the shapes that it says, so that a model of these
    sizes takes no more memory than the file does.

    Raises:
        InputError: the folder holds no model, or what it holds is damaged.
    """
    path = Path(folder, checksums.MODEL)
    if not os.path.lexists(path):
        raise InputError(
            "not-a-model",
            f"found no model.json in {folder}; wanted a model folder, such as the `model` folder "
            "that pretrain or finetune writes when it ends"
            f"{neighbours.instead(folder, checksums.MODEL)}",
        )
    description = files.read_json(path)
    model = schema.check(description, ModelFile, str(path))
    checksums.check(folder, (checksums.MODEL,))
    shapes = weight_shapes.encoder(model.encoder)
    weights_file.check(folder, shapes, "encoder/")
    if is_causal(description):
        weights_file.check(folder, weight_shapes.output_table(model.encoder), "head/")
    if model.num_labels:
        weights_file.check(
            folder, weight_shapes.classes(model.encoder, model.num_labels), "classes/"
        )
    return description | {"encoder": model.encoder}


def stack_config(described: dict) -> EncoderConfig:
    """Sizes of a model's stack for another model that starts from it: causal where it was.

    Args:
        described: what `describe` gives for the folder.
    """
    config = described["encoder"]
    return dataclasses.replace(config, causal=config.causal or is_causal(described))


def load(folder: str | Path, precision: str = "float32") -> keras.Model:
    """The model of a folder.

    Args:
        folder: that `save` wrote.
        precision: as for `Encoder`; the weights in the folder are float32 whatever it is.

    Raises:
        InputError: the folder holds no model, its weights do not fit the description, are not
            finite, or are not those that were written.
    """
    description = describe(folder)
    model = MODELS[description["kind"]](description["encoder"], description, precision)
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


def load_common(folder: str | Path, model: keras.Model) -> list[str]:
    """Assigns the encoder of a model folder, and of the other weights those that it has too.

    Args:
        folder: that `save` wrote.
        model: of `roots_tf.models`, of the folder's sizes and of any kind.

    Returns:
        Names of the layers that keep their initial weights, such as "masked_lm".

    Raises:
        InputError: a weight of the encoder is missing, or one is of another shape.
    """
    variables, stored = named_weights(model), weights_file.header(folder)
    common = {
        name: variable
        for name, variable in variables.items()
        if name in stored or name.startswith("encoder/")
    }
    load_weights(folder, common)
    return sorted({name.partition("/")[0] for name in variables.keys() - common.keys()})


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
    stored = weights_file.header(folder)
    poolers = {name for name in wanted if name.startswith("pooler/")}
    if lacking := not poolers <= stored.keys():
        wanted = {name: wanted[name] for name in wanted.keys() - poolers}
    load_weights(folder, wanted)
    return not lacking


def _shapes(variables: dict[str, keras.Variable]) -> weight_shapes.Shapes:
    return {name: tuple(variable.shape) for name, variable in variables.items()}

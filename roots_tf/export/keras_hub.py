"""Preset folders of keras-hub: `BertBackbone`; `BertTextEmbedder`; coming in also `BertMaskedLM`.

keras-hub's backbone has GELU by its tanh approximation and an epsilon of 1e-12, its vocabulary head
the exact GELU and 1e-5 (`bert_backbone.py`, `masked_lm_head.py`). Here a model has one of each, the
backbone's, so hidden states are equal and vocabulary logits nearly so.
"""

import dataclasses
from pathlib import Path
from typing import Literal

from absl import logging

from roots_tf import files, models, schema, tasks, tokenizers
from roots_tf.export import hugging_face, incoming, keras_hub_tokenizer, weight_names
from roots_tf.export.new_folder import new_folder
from roots_tf.files import InputError

BACKBONE, MASKED_LM = "keras_hub>BertBackbone", "keras_hub>BertMaskedLM"
EMBEDDER = "keras_hub>BertTextEmbedder"
_SIZES = (
    *("vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim"),
    *("dropout", "max_sequence_length", "num_segments"),
)


def _keras_hub():
    """The package.

    Raises:
        InputError: it is not installed.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise InputError(
            "found no package keras-hub, which presets need and roots-tf is installed with: "
            "pip install 'keras-hub>=0.32,<1'"
        ) from error
    return keras_hub


@dataclasses.dataclass(frozen=True)
class _Preprocessor:
    sequence_length: int | None = schema.number(None, minimum=3)


@dataclasses.dataclass(frozen=True)
class _TaskConfig:
    preprocessor: object = None
    pooling_mode: Literal["mean", "cls"] = "mean"
    normalize: bool = True


@dataclasses.dataclass(frozen=True)
class _Task:
    registered_name: str
    config: object


def read(folder: str | Path) -> incoming.Incoming:
    """The model of a preset folder.

    Raises:
        InputError: keras-hub is not installed, the preset is of another class, or it is damaged.
    """
    folder = Path(folder)
    config = files.read_json(folder / "config.json")
    if (name := config.get("registered_name")) != BACKBONE:
        raise InputError(f"found {name} in {folder / 'config.json'}; wanted {BACKBONE}")
    tokenizer = keras_hub_tokenizer.read(folder)
    task, path = _Task("", {}), folder / "task.json"
    if path.exists():
        task = schema.read(path, _Task, others_may_stand=True)
    has_weights = (folder / "task.weights.h5").exists()
    has_head = task.registered_name == MASKED_LM and has_weights
    settings = models.EmbeddingSettings()
    if task.registered_name == EMBEDDER:
        settings = _settings(task.config, str(path), config["config"])
    classes = _keras_hub().models
    try:
        preset = (classes.BertMaskedLM if has_head else classes.BertBackbone).from_preset(
            str(folder)
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"could not read the preset {folder}: {error}; save or copy it again"
        ) from error
    stored = {
        variable.path: variable.numpy()
        for variable in preset.variables
        if not variable.path.endswith("seed_generator_state")
    }
    encoder = models.EncoderConfig(
        activation="gelu_tanh", **{name: config["config"][name] for name in _SIZES}
    )
    found = incoming.build("keras_hub", encoder, stored, tokenizer, str(folder))
    if settings != models.EmbeddingSettings():
        found.description["embedding"] = dataclasses.asdict(settings)
    if has_weights and not has_head:
        found = found._replace(unused=(*found.unused, f"the head of {task.registered_name}"))
    return found


def _settings(task, source: str, backbone: dict) -> models.EmbeddingSettings:
    """How a `BertTextEmbedder` makes its vectors; without a preprocessor it does not say how long.

    Raises:
        InputError: it pools in a way that ours lacks.
    """
    config = schema.check(task, _TaskConfig, source, others_may_stand=True)
    length = None
    if isinstance(config.preprocessor, dict):
        inner = config.preprocessor.get("config", {})
        length = schema.check(inner, _Preprocessor, source, others_may_stand=True).sequence_length
    if length is not None and length >= backbone["max_sequence_length"]:
        length = None
    return models.EmbeddingSettings(config.pooling_mode, config.normalize, length)


def write(
    folder: str | Path,
    source: str | Path,
    approximate_gelu: bool = False,
    settings: models.EmbeddingSettings | None = None,
) -> Path:
    """Writes a preset of `BertBackbone` and `BertTokenizer`; other heads than vectors are left out.

    Args:
        folder: where to; must not exist, or be empty.
        source: model folder. Without a pooler, the preset's has initial weights.
        approximate_gelu: take a model of the exact GELU too, though it will not be exact there.
        settings: of vectors; None: as the model folder says.

    Returns:
        The path of `folder`.

    Raises:
        InputError: keras-hub is not installed, the model, its vectors or its tokenizer are made in
            a way that the classes lack, or `folder` is not new.
    """
    described, tokenizer = models.describe(source), tokenizers.load(source)
    config, kind = described["encoder"], tasks.kind_of(described)
    settings = settings or tasks.embedding_settings(described, str(source))
    _check(config, str(source), approximate_gelu)
    rules = keras_hub_tokenizer.rules(tokenizer, str(source))
    _check_settings(settings, str(source))
    keras_hub = _keras_hub()
    backbone = keras_hub.models.BertBackbone(
        **{name: getattr(config, name) for name in _SIZES}, dtype="float32"
    )
    ours = {name: v.numpy() for name, v in models.named_weights(models.load(source)).items()}
    theirs = weight_names.from_ours("keras_hub", ours, config.num_layers)
    for variable in backbone.variables:
        if variable.path in theirs:
            variable.assign(theirs[variable.path].reshape(variable.shape))
    _tell_what_is_left_out(described, {name.split("/")[0] for name in ours})
    bert_tokenizer = keras_hub.tokenizers.BertTokenizer(**rules)
    with new_folder(folder) as temporary:
        if kind is None or kind.embedding_settings():
            length = settings.length(config.max_sequence_length)
            preprocessor = keras_hub.models.BertTextEmbedderPreprocessor(
                bert_tokenizer, sequence_length=length
            )
            keras_hub.models.BertTextEmbedder(
                backbone,
                preprocessor,
                pooling_mode=settings.pooling,
                normalize=settings.l2_normalize,
            ).save_to_preset(str(temporary))
        else:
            backbone.save_to_preset(str(temporary))
            bert_tokenizer.save_to_preset(str(temporary))
        saved = keras_hub.tokenizers.BertTokenizer.from_preset(str(temporary))
        keras_hub_tokenizer.check_same(tokenizer, saved)
    return Path(folder)


def _check(config: models.EncoderConfig, source: str, approximate_gelu: bool) -> None:
    """Refuses a model that has parts which `BertBackbone` lacks; last of all another GELU.

    Raises:
        InputError: it has.
    """
    hugging_face.refuse_other_parts(
        config, source, "keras-hub's BertBackbone", layer_norm_epsilon=1e-12
    )
    if config.activation == "gelu" and not approximate_gelu:
        raise InputError(
            f"found activation='gelu' in the model of {source}; keras-hub's BertBackbone has "
            "'gelu_tanh' only, which moves hidden states in the third or fourth digit: give "
            "--approximate_gelu to accept that, or choose another --format"
        )


def _check_settings(settings: models.EmbeddingSettings, source: str) -> None:
    """Refuses vectors that `BertTextEmbedder` does not make, and tells of prompts.

    Raises:
        InputError: there are such.
    """
    if settings.pooling == "pooler":
        raise InputError(
            f"found pooling='pooler' in the model of {source}; keras-hub's BertTextEmbedder has "
            "mean and cls only: give --pooling, or choose another --format"
        )
    if settings.prompt:
        raise InputError(
            f"found the prompt {settings.prompt!r} before every text in the model of {source}; "
            "keras-hub's presets hold none: give --prompt_name= to leave it out, and put it before "
            "the texts there, or choose another --format"
        )
    if prompts := [name for name, text in settings.prompts.items() if text]:
        logging.warning("left out the prompts %s, which no preset holds", ", ".join(prompts))


def _tell_what_is_left_out(described: dict, parts: set[str]) -> None:
    """Warns of heads that are not written, and of a pooler that was not trained."""
    untrained = set(described.get("untrained", ()))
    if heads := sorted(parts - {"encoder", "pooler"} - untrained):
        logging.warning("left out %s: the preset holds the backbone alone", ", ".join(heads))
    if "pooler" not in parts or "pooler" in untrained:
        logging.warning("found no trained pooler; that of the preset has random weights")

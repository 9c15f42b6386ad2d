"""Preset folders of keras-hub: `BertBackbone`, `BertTextEmbedder`; in also `BertMaskedLM`, classes.

keras-hub's backbone has GELU by its tanh approximation and an epsilon of 1e-12, its vocabulary head
the exact GELU and 1e-5 (`bert_backbone.py`, `masked_lm_head.py`). Here a model has one of each, the
backbone's, so hidden states are equal and vocabulary logits nearly so.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
from absl import logging

from roots_tf import models, tasks, tokenizers
from roots_tf.export import hugging_face, incoming, keras_hub_tokenizer, weight_names
from roots_tf.export.new_folder import new_folder
from roots_tf.storage import schema
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number

_CLASSES = {  # by the names in a preset's files
    "keras_hub>BertBackbone": "BertBackbone",
    "keras_hub>BertMaskedLM": "BertMaskedLM",
    "keras_hub>BertTextClassifier": "BertTextClassifier",
    "keras_hub>BertTextEmbedder": "BertBackbone",  # its own head has no weights
}
BACKBONE, _, CLASSIFIER, EMBEDDER = _CLASSES
_SIZES = (
    *("vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim"),
    *("dropout", "max_sequence_length", "num_segments"),
)


@dataclasses.dataclass(frozen=True)
class _Backbone:
    """What `config` of `config.json` says of a `BertBackbone`."""

    vocabulary_size: int = number(minimum=1)
    num_layers: int = number(minimum=1)
    num_heads: int = number(minimum=1)
    hidden_dim: int = number(minimum=1)
    intermediate_dim: int = number(minimum=1)
    max_sequence_length: int = number(512, minimum=1)
    num_segments: int = number(2, minimum=1)
    dropout: float = number(0.1, minimum=0, maximum=0.99)


@dataclasses.dataclass(frozen=True)
class _Preprocessor:
    """What a `BertTextEmbedder` says of its preprocessor."""

    sequence_length: int | None = number(None, minimum=3)


@dataclasses.dataclass(frozen=True)
class _Embedder:
    """What `config` of `task.json` says of a `BertTextEmbedder`."""

    preprocessor: object = None
    pooling_mode: Literal["mean", "cls"] = "mean"
    normalize: bool = True


@dataclasses.dataclass(frozen=True)
class _Saved:
    """A file of Keras: the class of an object, and what it was made with."""

    registered_name: str = ""
    config: dict[str, object] = dataclasses.field(default_factory=dict)


def _read_saved(path: Path) -> _Saved:
    return schema.read(path, _Saved, others_may_stand=True)


def read(folder: str | Path) -> incoming.Incoming:
    """The model of a preset folder, with its vocabulary head or its classes.

    Raises:
        InputError: the preset is of another class, or it is damaged.
    """
    folder = Path(folder)
    path, task_path = folder / "config.json", folder / "task.json"
    saved = _read_saved(path)
    if saved.registered_name != BACKBONE:
        raise InputError(
            "unsupported-model", f"found {saved.registered_name} in {path}; wanted {BACKBONE}"
        )
    sizes = schema.check(saved.config, _Backbone, str(path), others_may_stand=True)
    encoder = models.EncoderConfig(activation="gelu_tanh", **dataclasses.asdict(sizes))
    _check_size(encoder, folder)
    tokenizer, task, settings = keras_hub_tokenizer.read(folder), BACKBONE, None
    if task_path.exists():
        saved = _read_saved(task_path)
        has_weights = (folder / "task.weights.h5").exists()
        task = saved.registered_name if has_weights or saved.registered_name == EMBEDDER else task
        if task == EMBEDDER:
            settings = _settings(saved.config, str(task_path), sizes.max_sequence_length)
    if task not in _CLASSES:
        raise InputError(
            "unsupported-model",
            f"found {task} in {task_path}; wanted one of {', '.join(_CLASSES)}, or no task: remove "
            "task.json to take in the encoder alone",
        )
    import keras_hub

    try:
        preset = getattr(keras_hub.models, _CLASSES[task]).from_preset(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            "file-damaged", f"could not read the preset {folder}: {reason}; save or copy it again"
        ) from error
    stored = {
        variable.path: variable.numpy()
        for variable in preset.variables
        if not variable.path.endswith("seed_generator_state")
    }
    kind = None
    if task == CLASSIFIER:
        labels = tuple(f"LABEL_{i}" for i in range(len(stored["logits/bias"])))
        kind = tasks.KINDS["classification"](sizes.max_sequence_length, labels=labels)
    found = incoming.build("keras_hub", encoder, stored, tokenizer, str(folder), kind=kind)
    if settings and settings != models.EmbeddingSettings():
        found.description["embedding"] = dataclasses.asdict(settings)
    return found


def _check_size(encoder: models.EncoderConfig, folder: Path) -> None:
    """Refuses sizes that the weights on disk cannot have, before keras-hub makes them.

    Raises:
        InputError: the files have less than a byte a weight; of half precision they would have two.
    """
    on_disk = sum(path.stat().st_size for path in folder.glob("*.h5"))
    if models.parameters(encoder) > on_disk:
        raise InputError(
            "wrong-weights",
            f"found the sizes of {models.parameters(encoder)} weights in "
            f"{folder / 'config.json'} and {on_disk} bytes of *.h5 files beside it; wanted the two "
            "to be of one model: save or copy it again",
        )


def _settings(task, source: str, positions: int) -> models.EmbeddingSettings:
    """How a `BertTextEmbedder` makes its vectors; without a preprocessor it does not say how long.

    Raises:
        InputError: it pools in a way that ours lacks.
    """
    config = schema.check(task, _Embedder, source, others_may_stand=True)
    length = None
    if isinstance(config.preprocessor, dict):
        inner = config.preprocessor.get("config", {})
        length = schema.check(inner, _Preprocessor, source, others_may_stand=True).sequence_length
    if length is not None and length >= positions:
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
        InputError: the model, its vectors or its tokenizer are made in a way that the classes lack,
            or `folder` is not new.
    """
    described, tokenizer = models.describe(source), tokenizers.load(source)
    config, kind = described["encoder"], tasks.kind_of(described)
    settings = settings or tasks.embedding_settings(described, str(source))
    _check(config, str(source), approximate_gelu)
    rules = keras_hub_tokenizer.rules(tokenizer, str(source))
    _check_settings(settings, str(source))
    import keras_hub

    ours = {name: v.numpy() for name, v in models.named_weights(models.load(source)).items()}
    parts = {name.split("/")[0] for name in ours}
    if config.num_segments == 1:  # its preprocessors number a second text 1
        config, segment = dataclasses.replace(config, num_segments=2), "encoder/embeddings/segment"
        ours[segment] = np.repeat(ours[segment], 2, 0)
    backbone = keras_hub.models.BertBackbone(
        **{name: getattr(config, name) for name in _SIZES}, dtype="float32"
    )
    theirs = weight_names.from_ours("keras_hub", ours, config.num_layers)
    for variable in backbone.variables:
        if variable.path in theirs:
            variable.assign(theirs[variable.path].reshape(variable.shape))
    _tell_what_is_left_out(described, parts)
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
            "cannot-export",
            f"found activation='gelu' in the model of {source}; keras-hub's BertBackbone has "
            "'gelu_tanh' only, which moves hidden states in the third or fourth digit: give "
            "--approximate_gelu to accept that, or choose another --format",
        )


def _check_settings(settings: models.EmbeddingSettings, source: str) -> None:
    """Refuses vectors that `BertTextEmbedder` does not make, and tells of prompts.

    Raises:
        InputError: there are such.
    """
    if settings.pooling == "pooler":
        raise InputError(
            "cannot-export",
            f"found pooling='pooler' in the model of {source}; keras-hub's BertTextEmbedder has "
            "mean and cls only: give --pooling, or choose another --format",
        )
    if settings.prompt:
        raise InputError(
            "cannot-export",
            f"found the prompt {settings.prompt!r} before every text in the model of {source}; "
            "keras-hub's presets hold none: give --prompt_name= to leave it out, and put it before "
            "the texts there, or choose another --format",
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

"""Preset folders of keras-hub: `BertBackbone`, and coming in also `BertMaskedLM` and classifiers.

keras-hub's backbone has GELU by its tanh approximation and an epsilon of 1e-12, its vocabulary head
the exact GELU and 1e-5 (`bert_backbone.py`, `masked_lm_head.py`). Here a model has one of each, the
backbone's, so hidden states are equal and vocabulary logits nearly so.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
from tokenizers import normalizers

from roots_tf import models, schema, tasks, tokenizers
from roots_tf.export import hugging_face, incoming, weight_names
from roots_tf.export.new_folder import new_folder
from roots_tf.files import InputError
from roots_tf.schema import number
from roots_tf.tokenizers import vocabulary
from roots_tf.tokenizers.tokenizer import BERT_ROLES, Tokenizer, wordpiece_backend

BACKBONE, MASKED_LM = "keras_hub>BertBackbone", "keras_hub>BertMaskedLM"
CLASSIFIER = "keras_hub>BertTextClassifier"
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
            "found no package keras-hub, which presets need; wanted the extra: "
            "pip install 'roots-tf[keras_hub]'"
        ) from error
    return keras_hub


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
class _Tokenizer:
    """What `config` of `tokenizer.json` says of a `BertTokenizer`."""

    lowercase: bool = False
    strip_accents: bool = False
    split_on_cjk: bool = True
    split: Literal[True] = True
    suffix_indicator: Literal["##"] = "##"
    oov_token: Literal["[UNK]"] = "[UNK]"
    special_tokens: tuple[str, ...] | None = None


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
        InputError: keras-hub is not installed, the preset is of another class, or it is damaged.
    """
    folder = Path(folder)
    path, task_path = folder / "config.json", folder / "task.json"
    saved = _read_saved(path)
    if saved.registered_name != BACKBONE:
        raise InputError(f"found {saved.registered_name} in {path}; wanted {BACKBONE}")
    sizes = schema.check(saved.config, _Backbone, str(path), others_may_stand=True)
    encoder = models.EncoderConfig(activation="gelu_tanh", **dataclasses.asdict(sizes))
    _check_size(encoder, folder)
    tokenizer, task = _tokenizer(folder), BACKBONE
    if task_path.exists() and (folder / "task.weights.h5").exists():
        task = _read_saved(task_path).registered_name
    classes = {
        BACKBONE: "BertBackbone",
        MASKED_LM: "BertMaskedLM",
        CLASSIFIER: "BertTextClassifier",
    }
    if task not in classes:
        raise InputError(
            f"found {task} in {task_path}; wanted {MASKED_LM} or {CLASSIFIER}, or no task: remove "
            "task.json to take in the encoder alone"
        )
    try:
        preset = getattr(_keras_hub().models, classes[task]).from_preset(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"could not read the preset {folder}: {reason}; save or copy it again"
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
    return incoming.build("keras_hub", encoder, stored, tokenizer, str(folder), kind=kind)


def _check_size(encoder: models.EncoderConfig, folder: Path) -> None:
    """Refuses sizes that the weights on disk cannot have, before keras-hub makes them.

    Raises:
        InputError: the files have less than a byte a weight; of half precision they would have two.
    """
    on_disk = sum(path.stat().st_size for path in folder.glob("*.h5"))
    if models.parameters(encoder) > on_disk:
        raise InputError(
            f"found the sizes of {models.parameters(encoder)} weights in "
            f"{folder / 'config.json'} and {on_disk} bytes of *.h5 files beside it; wanted the two "
            "to be of one model: save or copy it again"
        )


def _tokenizer(folder: Path) -> Tokenizer:
    """The WordPiece tokenizer of a preset."""
    path = folder / "tokenizer.json"
    given = schema.check(_read_saved(path).config, _Tokenizer, str(path), others_may_stand=True)
    tokens = vocabulary.read_vocabulary(folder / "assets" / "tokenizer" / "vocabulary.txt")
    backend = wordpiece_backend(tokens)
    backend.normalizer = normalizers.BertNormalizer(
        lowercase=given.lowercase,
        strip_accents=given.strip_accents,
        handle_chinese_chars=given.split_on_cjk,
    )
    backend.add_special_tokens([*vocabulary.SPECIAL_TOKENS, *(given.special_tokens or ())])
    return Tokenizer(backend)


def _check_added_tokens(tokenizer: Tokenizer, source: str) -> None:
    """Refuses tokens that `BertTokenizer` would not find in a text, or finds by other names.

    Raises:
        InputError: there are such tokens.
    """
    known = tokenizer.settings["model"]["vocab"]
    others = [name for role, name in tokenizer.roles.items() if name != BERT_ROLES[role]]
    others += [
        token["content"]
        for token in tokenizer.added_tokens
        if not token["special"] or token["content"] not in known
    ]
    if others:
        raise InputError(
            f"found the token {others[0]!r} in {source}, which keras-hub's BertTokenizer does not "
            "find in a text as it is found here: choose another --format"
        )


def write(folder: str | Path, source: str | Path, approximate_gelu: bool = False) -> Path:
    """Writes a preset of `BertBackbone` and `BertTokenizer`; heads are left out.

    Args:
        folder: where to; must not exist, or be empty.
        source: model folder. Without a pooler, the preset's has initial weights.
        approximate_gelu: take a model of the exact GELU too, though it will not be exact there.

    Returns:
        The path of `folder`.

    Raises:
        InputError: keras-hub is not installed, the model or its tokenizer has parts that the
            classes lack, or `folder` is not new.
    """
    config, tokenizer = models.describe(source)["encoder"], tokenizers.load(source)
    if config.activation == "gelu" and not approximate_gelu:
        raise InputError(
            f"found activation='gelu' in the model of {source}; keras-hub's BertBackbone has "
            "'gelu_tanh' only, which moves hidden states in the third or fourth digit: give "
            "--approximate_gelu to accept that, or choose another --format"
        )
    hugging_face.refuse_other_parts(
        config, str(source), "keras-hub's BertBackbone", layer_norm_epsilon=1e-12
    )
    if tokenizer.kind != "wordpiece":
        raise InputError(
            f"found a {tokenizer.kind} tokenizer in {source}; wanted WordPiece, which "
            "keras-hub's BertTokenizer is: choose another --format"
        )
    _check_added_tokens(tokenizer, str(source))
    normalizer = tokenizer.settings["normalizer"] or {}
    lowercase = bool(normalizer.get("lowercase"))
    strip_accents = normalizer.get("strip_accents")
    ours = {name: v.numpy() for name, v in models.named_weights(models.load(source)).items()}
    if config.num_segments == 1:  # its preprocessors number a second text 1
        config, segment = dataclasses.replace(config, num_segments=2), "encoder/embeddings/segment"
        ours[segment] = np.repeat(ours[segment], 2, 0)
    keras_hub = _keras_hub()
    backbone = keras_hub.models.BertBackbone(
        **{name: getattr(config, name) for name in _SIZES}, dtype="float32"
    )
    theirs = weight_names.from_ours("keras_hub", ours, config.num_layers)
    for variable in backbone.variables:
        if variable.path in theirs:
            variable.assign(theirs[variable.path].reshape(variable.shape))
    with new_folder(folder) as temporary:
        backbone.save_to_preset(str(temporary))
        keras_hub.tokenizers.BertTokenizer(
            vocabulary=tokenizer.vocabulary,
            lowercase=lowercase,
            strip_accents=lowercase if strip_accents is None else strip_accents,
        ).save_to_preset(str(temporary))
    return Path(folder)

"""Preset folders of keras-hub's `GPT2CausalLM`, in and out.

`gpt2_backbone.py` there has GELU by its tanh approximation and an epsilon of 1e-5, and an output
embedding that is the input's. Its tokenizer knows one special token, `<|endoftext|>`.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np
from absl import logging

from roots_tf import models, tokenizers
from roots_tf.export import causal_folders, causal_names
from roots_tf.export.incoming import Incoming
from roots_tf.export.new_folder import new_folder
from roots_tf.storage import schema
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number
from roots_tf.tokenizers import Tokenizer, byte_level_files
from roots_tf.tokenizers.tokenizer import END_OF_TEXT

BACKBONE = "keras_hub>GPT2Backbone"
_SIZES = (
    *("vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim"),
    *("dropout", "max_sequence_length"),
)
_TEXTS = (
    "The ship.",
    "ÉCOLE Élève naïve",
    "don't (1,024)!",
    "漢字 kanji漢字",
    "a  b\n\nc\t",
    "",
    "x" * 40,
)
_PARTS = causal_folders.PARTS["gpt2"] | {"layer_norm_epsilon": 1e-5, "tied": True}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Backbone:
    """What `config` of `config.json` says of a `GPT2Backbone`."""

    vocabulary_size: int = number(minimum=1)
    num_layers: int = number(minimum=1)
    num_heads: int = number(minimum=1)
    hidden_dim: int = number(minimum=1)
    intermediate_dim: int = number(minimum=1)
    max_sequence_length: int = number(1024, minimum=1)
    dropout: float = number(0.1, minimum=0, maximum=0.99)


@dataclasses.dataclass(frozen=True)
class _Saved:
    """A `config.json` of Keras: the class of an object, and what it was made with."""

    config: _Backbone
    registered_name: str = ""


@dataclasses.dataclass(frozen=True)
class _Rules:
    add_prefix_space: bool = False


@dataclasses.dataclass(frozen=True)
class _SavedTokenizer:
    config: _Rules = _Rules()


def is_causal(described: dict) -> bool:
    """Whether a `config.json` of keras-hub, as it is parsed, is of a `GPT2Backbone`."""
    return described.get("registered_name") == BACKBONE


def read(folder: str | Path) -> Incoming:
    """The model of a preset folder.

    Raises:
        InputError: it is damaged, or its files are of different models.
    """
    folder = Path(folder)
    path = folder / "config.json"
    sizes = schema.read(path, _Saved, others_may_stand=True).config
    config = models.EncoderConfig(
        activation="gelu_tanh", norm="pre", embedding_norm=False, num_segments=0,
        layer_norm_epsilon=1e-5, **dataclasses.asdict(sizes),
    )  # fmt: skip
    weights = causal_names.weights_of("keras_hub", config).values()
    check_size(sum(math.prod(weight.shape) for weight in weights), folder)
    rules = schema.read(folder / "tokenizer.json", _SavedTokenizer, others_may_stand=True).config
    assets = folder / "assets" / "tokenizer"
    backend = byte_level_files.read(assets / "vocabulary.json", rules.add_prefix_space)
    import keras_hub

    try:
        backbone = keras_hub.models.GPT2Backbone.from_preset(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            "file-damaged", f"could not read the preset {folder}: {reason}; save or copy it again"
        ) from error
    stored = {
        variable.path: variable.numpy()
        for variable in backbone.variables
        if not variable.path.endswith("seed_generator_state")
    }
    return causal_folders.build("keras_hub", config, stored, Tokenizer(backend), str(folder))


def check_size(wanted: int, folder: Path) -> None:
    """Compares the numbers in the weights on disk with the sizes, before keras-hub makes them.

    It would pass over layers that are on disk and not in the config.

    Args:
        wanted: how many numbers the sizes have.
        folder: of the preset.

    Raises:
        InputError: they differ, or a file is damaged.
    """
    import h5py

    found = 0

    def add(_, item):
        nonlocal found
        if isinstance(item, h5py.Dataset) and item.dtype.kind != "u":  # those are seeds of dropout
            found += item.size

    for path in folder.glob("model*.weights.h5"):
        try:
            with h5py.File(path) as file:
                file.visititems(add)
        except (OSError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                "file-damaged", f"could not read {path}: {reason}; copy it again"
            ) from error
    if found != wanted:
        raise InputError(
            "wrong-weights",
            f"found {found} numbers in model.weights.h5 of {folder}, and sizes of {wanted} in "
            "config.json; wanted the two to be of one model: save or copy it again",
        )


def write(folder: str | Path, source: str | Path, approximate_gelu: bool = False) -> Path:
    """Writes a preset of `GPT2CausalLM`, once its logits and ids are those of the model.

    Args:
        folder: where to; must not exist, or be empty.
        source: model folder of a causal model.
        approximate_gelu: take a model of the exact GELU too, though it will not be exact there.

    Returns:
        The path of `folder`.

    Raises:
        InputError: the model or its tokenizer is made in a way that the classes lack, or `folder`
            is not new.
    """
    config, tokenizer = models.describe(source)["encoder"], tokenizers.load(source)
    exact = approximate_gelu and config.activation == "gelu"
    parts = _PARTS | {"activation": "gelu" if exact else "gelu_tanh"}
    causal_folders.refuse_other_parts(config, parts, str(source), "keras-hub's GPT2Backbone")
    rules = _rules(tokenizer, str(source))
    import keras_hub

    model = models.load(source)
    ours = {name: variable.numpy() for name, variable in models.named_weights(model).items()}
    backbone = keras_hub.models.GPT2Backbone(
        **{name: getattr(config, name) for name in _SIZES}, dtype="float32"
    )
    theirs = causal_names.from_ours("keras_hub", ours, config)
    for variable in backbone.variables:
        if variable.path in theirs:
            variable.assign(theirs[variable.path].reshape(variable.shape))
    preprocessor = keras_hub.models.GPT2CausalLMPreprocessor(
        keras_hub.tokenizers.GPT2Tokenizer(**rules), sequence_length=config.max_sequence_length
    )
    with new_folder(folder) as temporary:
        keras_hub.models.GPT2CausalLM(backbone, preprocessor).save_to_preset(str(temporary))
        saved = keras_hub.models.GPT2CausalLM.from_preset(str(temporary), dtype="float32")
        _check_ids(tokenizer, saved.preprocessor.tokenizer)
        if not exact:
            _check_logits(model, saved)
    return Path(folder)


def _rules(tokenizer: Tokenizer, source: str) -> dict:
    """Arguments of a `GPT2Tokenizer` that gives the same ids.

    Raises:
        InputError: none does.
    """
    pre_tokenizer, model = tokenizer.settings["pre_tokenizer"] or {}, tokenizer.settings["model"]
    end = None if tokenizer.eos_id is None else tokenizer.vocabulary[tokenizer.eos_id]
    begin = None if tokenizer.bos_id is None else tokenizer.vocabulary[tokenizer.bos_id]
    wanted = {
        "model": (tokenizer.kind, "bpe"),
        "normalizer": ((tokenizer.settings["normalizer"] or {}).get("type"), None),
        "pre_tokenizer": (pre_tokenizer.get("type"), "ByteLevel"),
        "use_regex": (pre_tokenizer.get("use_regex", True), True),
        "byte_fallback": (bool(model.get("byte_fallback")), False),
        "ignore_merges": (bool(model.get("ignore_merges")), False),
        "bos_token": (begin, END_OF_TEXT),
        "eos_token": (end, END_OF_TEXT),
    }
    for name, (found, only) in wanted.items():
        if found != only:
            raise InputError(
                "cannot-export",
                f"found {name}={found!r} in the tokenizer of {source}; keras-hub's GPT2Tokenizer "
                f"has {only!r} only: choose another --format",
            )
    others = [t["content"] for t in tokenizer.added_tokens if t["content"] != end]
    if others:
        logging.warning("in texts, keras-hub does not find the tokens %s", ", ".join(others))
    return {
        "vocabulary": {token: i for i, token in enumerate(tokenizer.vocabulary)},
        "merges": [" ".join(m) if isinstance(m, list) else m for m in model["merges"]],
        "add_prefix_space": bool(pre_tokenizer.get("add_prefix_space")),
    }


def _check_ids(ours: Tokenizer, theirs) -> None:
    """Compares the tokenizer of a preset, as it is loaded, with that of the model.

    Raises:
        InputError: they differ.
    """
    texts = [*_TEXTS, f"a{END_OF_TEXT}b"]
    ids, splits = ours.encode(texts)
    for row, text in enumerate(texts):
        wanted = ids[splits[row] : splits[row + 1]].tolist()
        if (found := np.asarray(theirs(text)).tolist()) != wanted:
            raise InputError(
                "export-differs",
                f"keras-hub's GPT2Tokenizer makes {found} of {text!r}, and the model's {wanted}; "
                "nothing was exported: choose another --format",
            )


def _check_logits(ours, theirs) -> None:
    """Compares the logits of a preset, as it is loaded, with those of the model.

    Raises:
        InputError: they differ by more than 1e-4 of their range.
    """
    import tensorflow as tf

    length = min(32, ours.config.max_sequence_length)
    ids = np.random.default_rng(0).integers(0, ours.config.vocabulary_size, [2, length], np.int32)
    inside = np.ones([2, length], bool)
    features = {"token_ids": tf.constant(ids), "padding_mask": tf.constant(inside)}
    wanted = ours.logits(ours(features)).numpy()
    found = np.asarray(theirs({"token_ids": ids, "padding_mask": inside.astype(np.int32)}))
    difference = float(np.abs(found - wanted).max() / max(np.ptp(wanted), 1e-9))
    if not difference < 1e-4:
        raise InputError(
            "export-differs",
            f"keras-hub's GPT2CausalLM gives logits that differ by {difference:.1e} of their range "
            "from the model's; nothing was exported: choose another --format",
        )

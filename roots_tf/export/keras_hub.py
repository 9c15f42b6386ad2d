"""Preset folders of keras-hub: `BertBackbone`, and coming in also `BertMaskedLM`.

keras-hub's backbone has GELU by its tanh approximation and an epsilon of 1e-12, its vocabulary head
the exact GELU and 1e-5 (`bert_backbone.py`, `masked_lm_head.py`). Here a model has one of each, the
backbone's, so hidden states are equal and vocabulary logits nearly so.
"""

from pathlib import Path

from roots_tf import files, models, tokenizers
from roots_tf.export import hugging_face, incoming, weight_names
from roots_tf.export.new_folder import new_folder
from roots_tf.files import InputError
from roots_tf.tokenizers import vocabulary
from roots_tf.tokenizers.tokenizer import Tokenizer, wordpiece

BACKBONE, MASKED_LM = "keras_hub>BertBackbone", "keras_hub>BertMaskedLM"
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
            "pip install 'roots-tf[keras-hub]'"
        ) from error
    return keras_hub


def read(folder: str | Path) -> incoming.Incoming:
    """The model of a preset folder.

    Raises:
        InputError: keras-hub is not installed, the preset is of another class, or it is damaged.
    """
    folder = Path(folder)
    config = files.read_json(folder / "config.json")
    if (name := config.get("registered_name")) != BACKBONE:
        raise InputError(f"found {name} in {folder / 'config.json'}; wanted {BACKBONE}")
    tokenizer = _tokenizer(folder)
    task = folder / "task.json"
    has_head = task.exists() and files.read_json(task).get("registered_name") == MASKED_LM
    has_head = has_head and (folder / "task.weights.h5").exists()
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
    return incoming.build("keras_hub", encoder, stored, tokenizer, str(folder))


def _tokenizer(folder: Path) -> Tokenizer:
    """The WordPiece tokenizer of a preset."""
    settings = files.read_json(folder / "tokenizer.json").get("config", {})
    tokens = vocabulary.read_vocabulary(folder / "assets" / "tokenizer" / "vocabulary.txt")
    return wordpiece(
        tokens,
        lowercase=settings.get("lowercase", False),
        strip_accents=settings.get("strip_accents", False),
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
    normalizer = tokenizer.settings["normalizer"] or {}
    lowercase = bool(normalizer.get("lowercase"))
    strip_accents = normalizer.get("strip_accents")
    keras_hub = _keras_hub()
    backbone = keras_hub.models.BertBackbone(
        **{name: getattr(config, name) for name in _SIZES}, dtype="float32"
    )
    ours = {name: v.numpy() for name, v in models.named_weights(models.load(source)).items()}
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

"""Folders of Hugging Face transformers: `config.json`, `model.safetensors` and the tokenizer."""

import dataclasses
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from roots_tf import files, models, tasks, tokenizers
from roots_tf.export import incoming, sentence_transformers, weight_names
from roots_tf.export.new_folder import new_folder
from roots_tf.files import InputError
from roots_tf.models import pooling

# Both names of an activation where transformers has several; the first is the one written.
_ACTIVATIONS = {
    "gelu": ("gelu", "gelu_python"),
    "gelu_tanh": ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"),
}
_SIZES = {  # fields of `EncoderConfig` and of transformers' `BertConfig`
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "hidden_dim": "hidden_size",
    "num_heads": "num_attention_heads",
    "intermediate_dim": "intermediate_size",
    "max_sequence_length": "max_position_embeddings",
    "num_segments": "type_vocab_size",
}
_RATES = {  # those that older configs may leave out, with the default of `BertConfig`
    "dropout": ("hidden_dropout_prob", 0.1),
    "layer_norm_epsilon": ("layer_norm_eps", 1e-12),
    "initializer_range": ("initializer_range", 0.02),
}
_ANSWERS = "qa_outputs."  # the head of question answering; that of other tasks is `classifier.`
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def read(folder: str | Path) -> incoming.Incoming:
    """The model of a folder.

    Args:
        folder: has `config.json`, `model.safetensors` and a tokenizer, or what
            sentence-transformers writes.

    Raises:
        InputError: the weights are a pickle, are damaged or do not fit `config.json`; or the model
            is no BERT, or has parts that ours lacks.
    """
    said = sentence_transformers.read(folder)
    folder = said.folder
    path = folder / "config.json"
    config = files.read_json(path)
    encoder = encoder_config(config, str(path))
    stored, source = _read_weights(folder), str(folder / "model.safetensors")
    _check_tied(stored, source)
    stored |= said.pooler
    tokenizer = said.lowercased(tokenizers.load(folder))
    kind = said.kind(_kind(config, stored, str(path)))
    found = incoming.build("hugging_face", encoder, stored, tokenizer, source, kind=kind)
    found.description.update(said.description(kind, encoder))
    return found


def encoder_config(config: dict, source: str) -> models.EncoderConfig:
    """The sizes that a `config.json` gives; `bert_config.json` of google-research has the same.

    Ours has one rate of dropout everywhere, that of `hidden_dropout_prob`.

    Args:
        config: what the file holds.
        source: path of the file, for messages.

    Raises:
        InputError: it is of another model than BERT, or has parts that ours lacks.
    """
    if not isinstance(config, dict):
        raise InputError(f"found no JSON object in {source}; wanted the config of a BERT model")
    wanted = {  # with the value where the file has none
        "model_type": ("bert", "bert"),
        "position_embedding_type": ("absolute", "absolute"),
        "is_decoder": (False, False),
        "add_cross_attention": (False, False),
    }
    for name, (default, value) in wanted.items():
        if (found := config.get(name, default)) != value:
            raise InputError(f"found {name}={found!r} in {source}; wanted {value!r}, as BERT has")
    if missing := [name for name in _SIZES.values() if not isinstance(config.get(name), int)]:
        raise InputError(
            f"found no number {missing[0]} in {source}; wanted the config of a BERT model"
        )
    found = config.get("hidden_act", "gelu")
    activation = [ours for ours, theirs in _ACTIVATIONS.items() if found in theirs]
    if not activation:
        known = ", ".join(name for names in _ACTIVATIONS.values() for name in names)
        raise InputError(f"found hidden_act={found!r} in {source}; wanted one of {known}")
    return models.EncoderConfig(
        activation=activation[0],
        **{ours: config[theirs] for ours, theirs in _SIZES.items()},
        **{ours: config.get(theirs, default) for ours, (theirs, default) in _RATES.items()},
    )


def _read_weights(folder: Path) -> dict[str, np.ndarray]:
    """Weights by the names of the table, whatever transformers wrote before them."""
    path = folder / "model.safetensors"
    if not path.exists():
        pickles = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
        found = (
            f"only {pickles[0]}, a pickle, which can run code as it is read,"
            if pickles
            else ("no model.safetensors")
        )
        raise InputError(
            f"found {found} in {folder}; wanted model.safetensors: where the model comes from "
            "trusted hands, load it in transformers and save_pretrained(..., "
            "safe_serialization=True)"
        )
    try:
        stored = safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError, KeyError) as error:
        raise InputError(f"could not read {path}: {error}; copy it again") from error
    renamed = {}
    for name, array in stored.items():
        name = name.removeprefix("bert.")
        # Early releases kept the names of TensorFlow.
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight")
        name = name.replace("LayerNorm.beta", "LayerNorm.bias")
        name = name.replace(_ANSWERS, "classifier.")
        if not name.endswith("embeddings.position_ids"):  # 0, 1, 2, ...
            renamed[name] = array
    return renamed


def _check_tied(stored: dict[str, np.ndarray], source: str) -> None:
    """Takes out the copies that some files hold of tied weights.

    Raises:
        InputError: a copy differs.
    """
    copies = {
        "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }
    for copy, of in copies.items():
        if copy in stored and not np.array_equal(stored.pop(copy), stored.get(of)):
            raise InputError(
                f"found {copy} other than {of} in {source}; wanted the two to be one, as in BERT: "
                "an output embedding of its own has no place here"
            )


def _kind(config: dict, stored: dict[str, np.ndarray], source: str):
    """The kind of task of a head, a `FineTuning` with the names of its labels; None without one."""
    architecture = (config.get("architectures") or [""])[0]
    kinds = [k for k in tasks.KINDS.values() if k.transformers.architecture == architecture]
    head = stored.get("classifier.weight")
    if not kinds or head is None:
        return None
    # Where one architecture has classes and numbers, a single output is a number.
    problem = "regression" if len(kinds) > 1 and len(head) == 1 else config.get("problem_type")
    fitting = [kind for kind in kinds if problem in kind.transformers.problem_types]
    if not fitting:
        raise InputError(
            f"found problem_type={problem!r} in {source}; wanted one label a text, or a number"
        )
    kind = fitting[0](max_seq_length=config[_SIZES["max_sequence_length"]])
    if not kind.has_labels():
        return kind
    names = config.get("id2label") or {}
    labels = tuple(names[key] for key in sorted(names, key=int))
    labels = labels or tuple(f"LABEL_{i}" for i in range(len(head)))
    if len(labels) != len(head):
        raise InputError(
            f"found {len(labels)} names in id2label of {source} and {len(head)} rows in "
            "classifier.weight; wanted as many"
        )
    return dataclasses.replace(kind, labels=labels)


def write(
    folder: str | Path,
    source: str | Path,
    settings: models.EmbeddingSettings | None = None,
    max_seq_length: int = 0,
) -> Path:
    """Writes a folder that transformers loads, and sentence-transformers where there are settings.

    Args:
        folder: where to; must not exist, or be empty.
        source: model folder.
        settings: of vectors; None: as the model folder says.
        max_seq_length: tokens that a text is cut off at there; 0: as here.

    Returns:
        The path of `folder`.

    Raises:
        InputError: the model has parts that BERT of transformers lacks, its vectors need a pooler
            that was not trained, or `folder` is not new.
    """
    described = models.describe(source)
    settings = settings or tasks.embedding_settings(described, str(source))
    config, tokenizer = described["encoder"], tokenizers.load(source)
    refuse_other_parts(config, str(source), "Hugging Face's BERT")
    kind, untrained = tasks.kind_of(described), set(described.get("untrained", ()))
    architecture = (kind.transformers.architecture if kind else "") or "BertModel"
    if described["kind"] == "pretrainer":
        architecture = "BertForMaskedLM" if untrained else "BertForPreTraining"
        # BertForMaskedLM has neither of the two.
        untrained |= {"pooler", "next_sentence"} if untrained else set()
    model = models.load(source)
    pooling.check(settings.pooling, model, described, str(source))
    weights = {
        name: variable.numpy()
        for name, variable in models.named_weights(model).items()
        if name.split("/")[0] not in untrained
    }
    if kind and "classes/kernel" in weights:
        head = ("classes/kernel", "classes/bias")
        weights |= zip(head, kind.scaled_head(*map(weights.get, head)), strict=True)
    theirs = weight_names.from_ours("hugging_face", weights, config.num_layers)
    pooler = {name: theirs.get(f"pooler.dense.{name}") for name in ("weight", "bias")}
    if architecture != "BertModel":
        theirs = {_with_prefix(name, architecture): array for name, array in theirs.items()}

    written = {"architectures": [architecture], "model_type": "bert"}
    written |= {name: getattr(config, ours) for ours, name in _SIZES.items()}
    written |= {name: getattr(config, ours) for ours, (name, _) in _RATES.items()}
    written |= {
        "hidden_act": _ACTIVATIONS[config.activation][0],
        "attention_probs_dropout_prob": config.dropout,
        "position_embedding_type": "absolute",
        "pad_token_id": tokenizer.pad_id,
        "tie_word_embeddings": True,
        "dtype": "float32",
    } | _labels(described["labels"], kind)
    usual = kind.max_seq_length if kind else settings.length(config.max_sequence_length)
    length = min(max_seq_length or usual, config.max_sequence_length)
    with new_folder(folder) as temporary:
        path = temporary / "model.safetensors"
        safetensors.numpy.save_file(theirs, path, {"format": "pt"})
        path.chmod(0o644)  # safetensors writes for its owner only
        tokenizer.save(temporary)
        path = temporary / "tokenizer_config.json"
        files.write_json(path, files.read_json(path) | {"model_max_length": length})
        files.write_json(temporary / "config.json", written)
        if settings != models.EmbeddingSettings():
            sentence_transformers.write(temporary, settings, length, config.hidden_dim, pooler)
    return Path(folder)


def _with_prefix(name: str, architecture: str) -> str:
    """A name of the table as models with a head write it."""
    if name.startswith("classifier."):
        answers = architecture == "BertForQuestionAnswering"
        return name.replace("classifier.", _ANSWERS) if answers else name
    return name if name.startswith("cls.") else f"bert.{name}"


def _labels(labels: list[str], kind) -> dict:
    """Fields of the config about the outputs of a head."""
    problem = kind.transformers.problem_types[0] if kind else None
    fields = {"problem_type": problem} if problem else {}
    if not labels:  # else transformers takes two outputs for granted
        unnamed = {str(i): f"LABEL_{i}" for i in range(kind.num_outputs if problem else 0)}
        return fields | ({"id2label": unnamed} if unnamed else {})
    fields["id2label"] = {str(i): label for i, label in enumerate(labels)}
    fields["label2id"] = {label: i for i, label in enumerate(labels)}
    return fields


def refuse_other_parts(config: models.EncoderConfig, source: str, target: str, **wanted) -> None:
    """Checks that a model has the parts of BERT.

    Args:
        config: of the model.
        source: folder of the model, for messages.
        target: what is written, for messages.
        **wanted: further fields of `EncoderConfig`, with the value that they must have.

    Raises:
        InputError: it is not; names the parts.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    parts = {name: defaults[name] for name in ("norm", "feed_forward", "positions", "window")}
    parts |= {"bias": True} | wanted
    found = {name: getattr(config, name) for name in parts if getattr(config, name) != parts[name]}
    if found:
        have = ", ".join(f"{name}={value!r}" for name, value in found.items())
        takes = ", ".join(f"{name}={parts[name]!r}" for name in found)
        raise InputError(
            f"found {have} in the model of {source}; {target} has {takes} only: choose another "
            "--format"
        )

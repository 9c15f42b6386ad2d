"""Folders of Hugging Face transformers: `config.json`, `model.safetensors` and the tokenizer."""

import dataclasses
from pathlib import Path

import numpy as np
import safetensors.numpy

from roots_tf import models, tasks, tokenizers
from roots_tf.export import (
    bert_config,
    incoming,
    safetensors_files,
    sentence_transformers,
    weight_names,
)
from roots_tf.export.new_folder import new_folder
from roots_tf.models import pooling
from roots_tf.models.config import OWN
from roots_tf.storage import files
from roots_tf.storage.files import InputError
from roots_tf.tokenizers import loading, transformers_settings

# Fields in which a model must have what BERT has, the defaults of `EncoderConfig`.
_PARTS = ("norm", "normalization", "embedding_norm", "feed_forward", "positions", "window", "bias")
_PARTS += ("causal", "attention_scale", "embedding_scale", "num_key_value_heads", "head_size")
_ANSWERS = "qa_outputs."  # the head of question answering; that of other tasks is `classifier.`


def read(folder: str | Path) -> incoming.Incoming:
    """The model of a folder.

    Args:
        folder: has `config.json`, `model.safetensors` or its shards, and a tokenizer; or what
            sentence-transformers writes.

    Raises:
        InputError: the weights are a pickle, are damaged or do not fit `config.json`; or the model
            is no BERT and no ELECTRA, or has parts that ours lacks; or its tokenizer wants what
            ours cannot do.
    """
    said = sentence_transformers.read(folder)
    folder = said.folder
    path = folder / "config.json"
    config = bert_config.read(path)
    encoder = bert_config.encoder_config(config, path)
    vocabulary = loading.vocabulary_file(folder)
    transformers_settings.check_class(config.tokenizer_class, vocabulary, path)
    tokenizer, settings = tokenizers.load(folder), transformers_settings.read(folder)
    transformers_settings.check_rows(vocabulary, settings, tokenizer.backend)
    stored, source = safetensors_files.read(folder)
    stored = _named_as_in_the_table(stored, source)
    _check_tied(stored, source)
    stored |= said.pooler
    kind, head = None, stored.get("classifier.weight")
    if head is not None and head.ndim:
        kind = bert_config.kind_of_head(config, config.architecture, len(head), path)
    kind = said.kind(kind)
    if "token_type_ids" not in (settings.config.model_input_names or ("token_type_ids",)):
        # Every token is of segment 0 there, those of a second text too.
        table = "embeddings.token_type_embeddings.weight"
        stored |= {
            name: array[:1] for name, array in stored.items() if name == table and array.ndim
        }
        encoder = dataclasses.replace(encoder, num_segments=1)
    tokenizer = said.lowercased(tokenizer)
    found = incoming.build("hugging_face", encoder, stored, tokenizer, source, kind=kind)
    found.description.update(said.description(kind, encoder))
    return found


def _named_as_in_the_table(stored: dict[str, np.ndarray], source: str) -> dict[str, np.ndarray]:
    """Weights by the names of the table, whatever transformers wrote before them."""
    renamed = {}
    for name, array in stored.items():
        name = name.removeprefix("bert.").removeprefix("electra.")
        # Early releases kept the names of TensorFlow.
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight")
        name = name.replace("LayerNorm.beta", "LayerNorm.bias")
        name = name.replace(_ANSWERS, "classifier.")
        if name in renamed:
            raise InputError(
                "named-twice", f"found the weight {name} twice in {source}; wanted one model there"
            )
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
                "unsupported-model",
                f"found {copy} other than {of} in {source}; wanted the two to be one, as in BERT: "
                "an output embedding of its own has no place here",
            )


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
        InputError: the model has parts that BERT of transformers lacks, and ELECTRA with it, its
            vectors need a pooler that was not trained, or `folder` is not new.
    """
    described = models.describe(source)
    settings = settings or tasks.embedding_settings(described, str(source))
    config, tokenizer = described["encoder"], tokenizers.load(source)
    is_electra = described["kind"] == "discriminator"
    target = "ELECTRA" if is_electra else "BERT"
    refuse_other_parts(config, str(source), f"Hugging Face's {target}")
    kind, untrained = tasks.kind_of(described), set(described.get("untrained", ()))
    architecture = (kind.transformers.architecture if kind else "") or "BertModel"
    architecture = "ElectraForPreTraining" if is_electra else architecture
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
        theirs = {with_prefix(name, architecture): array for name, array in theirs.items()}

    usual = kind.max_seq_length if kind else settings.length(config.max_sequence_length)
    length = min(max_seq_length or usual, config.max_sequence_length)
    with new_folder(folder) as temporary:
        path = temporary / "model.safetensors"
        safetensors.numpy.save_file(theirs, path, {"format": "pt"})
        path.chmod(0o644)  # safetensors writes for its owner only
        tokenizer.save(temporary)
        said = {"model_max_length": length}
        if config.num_segments == 1:
            # Else transformers numbers a second text 1, for which there is no row.
            said["model_input_names"] = ["input_ids", "attention_mask"]
        path = temporary / transformers_settings.CONFIG_NAME
        files.write_json(path, files.read_json(path) | said)
        files.write_json(
            temporary / "config.json", _config(described, kind, architecture, tokenizer.pad_id)
        )
        if settings != models.EmbeddingSettings():
            sentence_transformers.write(temporary, settings, length, config.hidden_dim, pooler)
    return Path(folder)


def _config(described: dict, kind, architecture: str, pad_id: int) -> dict:
    """What `config.json` says of a model."""
    config, is_electra = described["encoder"], architecture.startswith("Electra")
    written = {"architectures": [architecture], "model_type": "electra" if is_electra else "bert"}
    written |= {"embedding_size": config.hidden_dim} if is_electra else {}
    written |= {name: getattr(config, ours) for ours, name in bert_config.SIZES.items()}
    written |= {name: getattr(config, ours) for ours, name in bert_config.RATES.items()}
    return (
        written
        | {
            "hidden_act": bert_config.ACTIVATIONS[config.activation][0],
            "attention_probs_dropout_prob": config.dropout,
            "position_embedding_type": "absolute",
            "pad_token_id": pad_id,
            "tie_word_embeddings": True,
            "dtype": "float32",
        }
        | _labels(described["labels"], kind)
    )


def with_prefix(name: str, architecture: str) -> str:
    """A `name` of the table as models with a head write it, of that `architecture`."""
    if name.startswith("classifier."):
        answers = architecture == "BertForQuestionAnswering"
        return name.replace("classifier.", _ANSWERS) if answers else name
    if name.startswith(("cls.", "discriminator_predictions.")):
        return name
    return f"electra.{name}" if architecture.startswith("Electra") else f"bert.{name}"


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
    parts = {name: defaults[name] for name in _PARTS} | OWN | wanted
    usual = {"num_key_value_heads": config.num_heads}
    usual["head_size"] = config.hidden_dim / config.num_heads
    found = {name: getattr(config, name) for name in parts if getattr(config, name) != parts[name]}
    found = {name: value for name, value in found.items() if usual.get(name) != value}
    if found:
        have = ", ".join(f"{name}={value!r}" for name, value in found.items())
        takes = ", ".join(f"{name}={parts[name]!r}" for name in found)
        raise InputError(
            "cannot-export",
            f"found {have} in the model of {source}; {target} has {takes} only: choose another "
            "--format",
        )
    if not config.num_segments:
        raise InputError(
            "cannot-export",
            f"found num_segments=0 in the model of {source}; {target} adds a segment's vector to "
            "every token: choose another --format",
        )
    bert_config.refuse_activation(config, bert_config.ACTIVATIONS, source, target)

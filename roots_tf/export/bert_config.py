"""`config.json` of transformers, `bert_config.json` of google-research/bert: sizes and labels."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from absl import logging

from roots_tf import models, tasks
from roots_tf.storage import schema
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number

# Both names of an activation where transformers has several; the first is the one written.
ACTIVATIONS = {
    "gelu": ("gelu", "gelu_python"),
    "gelu_tanh": ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"),
}
SIZES = {  # fields of `EncoderConfig` and of transformers' `BertConfig`
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "hidden_dim": "hidden_size",
    "num_heads": "num_attention_heads",
    "intermediate_dim": "intermediate_size",
    "max_sequence_length": "max_position_embeddings",
    "num_segments": "type_vocab_size",
}
RATES = {
    "dropout": "hidden_dropout_prob",
    "layer_norm_epsilon": "layer_norm_eps",
    "initializer_range": "initializer_range",
}
# Why another model is none, where its folder looks like BERT's.
_OF_OTHERS = {
    "xlm-roberta": "an XLM-RoBERTa has positions from 2 on and SentencePiece's words",
    "roberta": "a RoBERTa has positions from 2 on and byte-level words; the RoBERTa-wwm-ext of "
    "Chinese is a BERT, and its own config.json says model_type='bert'",
    "ernie": "an ERNIE adds a vector for the kind of task to each token; ERNIE 1.0 as a BERT says "
    "model_type='bert'",
    "albert": "an ALBERT has one layer's weights for all, and a narrow embedding",
    "qwen2": "a Qwen2 has biases on queries, keys and values alone",
}
ELECTRA = "electra"  # the `model_type`
_LARGEST = 10**8  # of a size; what the weights have is compared before anything is made of it


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """What is read of the file; the defaults are those of transformers' `BertConfig`.

    Those of an ELECTRA, whose blocks are BERT's, have the same names.
    """

    vocab_size: int = number(minimum=1, maximum=_LARGEST)
    num_hidden_layers: int = number(minimum=1, maximum=_LARGEST)
    hidden_size: int = number(minimum=1, maximum=_LARGEST)
    num_attention_heads: int = number(minimum=1, maximum=_LARGEST)
    intermediate_size: int = number(minimum=1, maximum=_LARGEST)
    max_position_embeddings: int = number(minimum=1, maximum=_LARGEST)
    type_vocab_size: int = number(minimum=1, maximum=_LARGEST)
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = number(0.1, minimum=0, maximum=0.99)
    attention_probs_dropout_prob: float | None = None
    classifier_dropout: float | None = None
    layer_norm_eps: float = number(1e-12, above=0, maximum=1)
    initializer_range: float = number(0.02, minimum=0, maximum=100)
    model_type: str = "bert"
    embedding_size: int = number(128, minimum=1, maximum=_LARGEST)  # of an ELECTRA
    position_embedding_type: str | None = "absolute"
    is_decoder: bool | None = False
    add_cross_attention: bool | None = False
    tokenizer_class: str | None = None
    architectures: tuple[str, ...] | None = None
    id2label: dict[str, str | int] | None = None
    problem_type: str | None = None

    @property
    def architecture(self) -> str:
        """Class of transformers, such as "BertForMaskedLM"; "" where none is named."""
        return self.architectures[0] if self.architectures else ""


def read(path: str | Path) -> BertConfig:
    """Reads and checks a config.

    Raises:
        InputError: it is damaged, or of another model than BERT and ELECTRA, or of a part that ours
            lacks.
    """
    found = schema.read_object(path)
    kind = found.get("model_type", "bert")
    if kind not in ("bert", ELECTRA):
        why = _OF_OTHERS.get(str(kind), "of causal models, gpt2, llama and mistral are taken")
        raise InputError(
            "unsupported-model",
            f"found model_type={kind!r} in {path}; wanted 'bert', as BERT has: {why}",
        )
    config = schema.check(found, BertConfig, str(path), others_may_stand=True)
    if kind == ELECTRA and config.embedding_size != config.hidden_size:
        raise InputError(
            "unsupported-model",
            f"found model_type={kind!r}, embedding_size={config.embedding_size} and hidden_size="
            f"{config.hidden_size} in {path}; wanted one width, as electra-base and electra-large "
            "have: a narrow embedding, which a matrix makes wider, has no place here",
        )
    wanted = {
        "position_embedding_type": ("absolute", None),
        "is_decoder": (False, None),
        "add_cross_attention": (False, None),
        "hidden_act": tuple(name for names in ACTIVATIONS.values() for name in names),
    }
    for name, values in wanted.items():
        if (found := getattr(config, name)) not in values:
            names = [value for value in values if value is not None]
            names = repr(names[0]) if len(names) == 1 else f"one of {', '.join(names)}"
            raise InputError(
                "unsupported-model",
                f"found {name}={found!r} in {path}; wanted {names}, as BERT has",
            )
    for name in ("attention_probs_dropout_prob", "classifier_dropout"):
        if (found := getattr(config, name)) not in (None, config.hidden_dropout_prob):
            logging.warning(
                "%s has %s=%g; a model here has one rate of dropout, hidden_dropout_prob=%g, which "
                "counts only if it is trained further",
                *(path, name, found, config.hidden_dropout_prob),
            )
    return config


def encoder_config(config: BertConfig, source: str | Path) -> models.EncoderConfig:
    """The sizes that a config gives.

    Args:
        config: what the file holds.
        source: path of the file, for messages.

    Raises:
        InputError: heads do not divide the hidden size.
    """
    activation = next(ours for ours, names in ACTIVATIONS.items() if config.hidden_act in names)
    try:
        return models.EncoderConfig(
            activation=activation,
            **{ours: getattr(config, theirs) for ours, theirs in (SIZES | RATES).items()},
        )
    except InputError as error:
        raise InputError(error.id, f"{error} (in {source})") from error


def refuse_activation(
    config: models.EncoderConfig, names: Mapping[str, object], source: str, target: str
) -> None:
    """Checks that a format has a name for the activation of a model.

    Args:
        config: of the model.
        names: by activation of ours.
        source: folder of the model, for messages.
        target: what is written, for messages.

    Raises:
        InputError: it has none.
    """
    if config.activation not in names:
        raise InputError(
            "cannot-export",
            f"found activation={config.activation!r} in the model of {source}; {target} has "
            f"{', '.join(map(repr, names))} only: choose another --format",
        )


def kind_of_head(
    config: BertConfig, architecture: str, num_outputs: int, source: str | Path
) -> tasks.FineTuning | None:
    """The kind of task of a head, with the names of its labels; None of an unknown one.

    Args:
        config: what the file holds; labels without names are LABEL_0, LABEL_1, ...
        architecture: class of the model in transformers.
        num_outputs: rows of the head's kernel.
        source: path of the file, for messages.

    Raises:
        InputError: a text may have several labels, or the names are others than the outputs.
    """
    kinds = [k for k in tasks.KINDS.values() if k.transformers.architecture == architecture]
    if not kinds:
        return None
    # Where one architecture has classes and numbers, a single output is a number.
    regression = len(kinds) > 1 and num_outputs == 1
    problem = "regression" if regression else config.problem_type
    fitting = [kind for kind in kinds if problem in kind.transformers.problem_types]
    if not fitting:
        raise InputError(
            "unsupported-model",
            f"found problem_type={problem!r} in {source}; wanted one label a text, or a number",
        )
    kind = fitting[0](max_seq_length=config.max_position_embeddings)
    if not kind.has_labels():
        return kind
    return dataclasses.replace(kind, labels=_labels(config.id2label or {}, num_outputs, source))


def _labels(names: dict[str, str | int], num_outputs: int, source: str | Path) -> tuple[str, ...]:
    names = names or {str(i): f"LABEL_{i}" for i in range(num_outputs)}
    if set(names) != {str(i) for i in range(num_outputs)}:
        raise InputError(
            "wrong-json",
            f"found {len(names)} names in id2label of {source}, and {num_outputs} outputs of the "
            f"head; wanted one for each number from 0 to {num_outputs - 1}",
        )
    labels = tuple(str(names[str(i)]) for i in range(num_outputs))
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise InputError(
            "named-twice",
            f"found the name {twice[0]!r} twice in id2label of {source}; wanted another name for "
            "each label",
        )
    return labels

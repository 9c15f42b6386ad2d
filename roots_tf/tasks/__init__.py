"""What fine-tuning learns: data, head, loss, answer and score of each kind of task.

A kind is a file of this room and a row of `KINDS`. Names of kinds are known without TensorFlow,
which is loaded with the first kind that is looked up.
"""

import dataclasses
import importlib
from collections.abc import Iterator, Mapping

from roots_tf import lazy, models
from roots_tf.storage import schema
from roots_tf.storage.files import InputError


class Kinds(Mapping):
    """Classes of kinds by name, each imported when it is looked up.

    Args:
        places: by the name of a kind, its file in this room and its class there.
    """

    def __init__(self, places: dict[str, tuple[str, str]]):
        self._places = places

    def __getitem__(self, name: str) -> type:
        """The class of a kind, a `FineTuning`."""
        file, kind = self._places[name]
        return getattr(importlib.import_module(f"{__name__}.{file}"), kind)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


KINDS = Kinds(
    {
        "classification": ("classification", "Classification"),
        "regression": ("regression", "Regression"),
        "tagging": ("tagging", "Tagging"),
        "question_answering": ("question_answering", "QuestionAnswering"),
        "multiple_choice": ("multiple_choice", "MultipleChoice"),
        "similarity": ("similarity", "Similarity"),
        "contrastive": ("contrastive", "Contrastive"),
        "completion": ("completion", "Completion"),
        "sequence_to_sequence": ("sequence_to_sequence", "SequenceToSequence"),
        "cloze": ("cloze", "Cloze"),
    }
)
# The same tasks of models in which no token sees a later one, where they are told another way.
CAUSAL_KINDS = Kinds({"cloze": ("in_context", "CausalCloze")})
# Kind of a model folder that was written without a task, by the name of the model.
_USUAL = {"classifier": "classification", "token_classifier": "tagging"}
_OF_CLASSES = {"labels", "label_weights", "pairs"}  # version 0.1 wrote them, empty, for every kind


__getattr__ = lazy.attributes(
    __name__,
    {
        "Distillation": "distillation",
        "FineTuning": "finetuning",
        "Parts": "distillation",
        "Predictor": "prediction",
        "Texts": "texts",
        "answer": "prediction",
        "copy_weights": "distillation",
        "is_cut": "distillation",
        "predict": "prediction",
        "to_train": "kind_task",
    },
)


def class_of(name: str, model: str) -> type:
    """The class of a kind of task, a `FineTuning`.

    Args:
        name: of the task.
        model: kind of the model that learns it, as `model.json` says it; "" of a new one.
    """
    is_causal = models.is_causal({"kind": model})
    return (CAUSAL_KINDS if is_causal and name in CAUSAL_KINDS else KINDS)[name]


def describe(kind) -> dict:
    """A kind's name with all that it learned, as JSON values; the inverse of `restore`."""
    return kind.description()["task"]


def restore(described: dict):
    """The kind of fine-tuning of a model folder, a `FineTuning`.

    Args:
        described: what `models.describe` gives for it.

    Raises:
        InputError: the model was not fine-tuned, or for no kind of this version; or the model and
            what was learned do not go together.
    """
    if not described.get("task"):
        raise InputError(
            "wrong-model-kind",
            f"found a model of kind {described['kind']}, which was not fine-tuned; wanted the "
            "`model` folder that finetune writes",
        )
    fields = dict(described["task"])
    name = fields.pop("name", None)
    if not isinstance(name, str) or name not in KINDS:
        raise InputError(
            "other-version",
            f"found a model fine-tuned for {name!r}; wanted one of {', '.join(KINDS)}: use the "
            "version of roots-tf that wrote it",
        )
    kind = class_of(name, described.get("kind", ""))
    known = {field.name for field in dataclasses.fields(kind)}
    fields = {k: v for k, v in fields.items() if k in known or v or k not in _OF_CLASSES}
    kind = schema.check(fields, kind, f"model.json for the task {name}")
    _check_model(kind, described)
    return kind.of_model(described) if "encoder" in described else kind


def _check_model(kind, described: dict) -> None:
    """Refuses a kind of task that is not that of the model beside it.

    Raises:
        InputError: the model is of another kind, or has another number of outputs.
    """
    outputs = described.get("num_labels")
    if described.get("kind", kind.model) != kind.model:
        found, wanted = f"a model of kind {described['kind']}", f"a {kind.model}"
    elif kind.num_outputs and outputs not in (None, kind.num_outputs):  # labels may lack names
        found, wanted = f"a model of {outputs} outputs", f"{kind.num_outputs}"
    else:
        return
    raise InputError(
        "wrong-json",
        f"found {found} in model.json; wanted {wanted}, as its task {kind.name} has: copy or train "
        "the model again",
    )


def check_stack(kind, is_causal: bool, folder: str) -> None:
    """Refuses a kind of task that a model's stack cannot learn.

    Args:
        kind: a `FineTuning`, or its class.
        is_causal: whether no token of the stack sees a later one.
        folder: of the model, for messages.

    Raises:
        InputError: it cannot.
    """
    if kind.generates and not is_causal:
        raise InputError(
            "wrong-model-kind",
            f"found a model in {folder} whose tokens see later ones, and --task={kind.name}, whose "
            "answers are generated; wanted a causal_lm, which pretrain "
            "--objective=causal_lm writes",
        )
    if is_causal and not (kind.of_decoders or kind.generates):
        able = [name for name, known in KINDS.items() if known.of_decoders or known.generates]
        raise InputError(
            "wrong-model-kind",
            f"found a causal model in {folder}, in which no token sees a later one, and "
            f"--task={kind.name}; wanted {', '.join(able)}, or a masked model",
        )


def refuse_causal(folder: str) -> None:
    """Refuses a model whose layers a student's cannot be compared with.

    Args:
        folder: of the model.

    Raises:
        InputError: no token of the model sees a later one, it is an encoder-decoder, or what it
            answers is not made by a head of its task.
    """
    described = models.describe(folder)
    if described.get("task") and not (kind := restore(described)).distilled:
        raise InputError(
            "wrong-model-kind",
            f"found a model for {kind.name} in {folder}; wanted an encoder, or a model with a head "
            "for its task: distill the model that it started from, or a classifier of the labels "
            "that predict writes",
        )
    if described["kind"] == "encoder_decoder":
        raise InputError(
            "wrong-model-kind",
            f"found an encoder-decoder in {folder}; wanted an encoder, which distill compares with "
            "one layer by layer",
        )
    if models.stack_config(described).causal:
        raise InputError(
            "wrong-model-kind",
            f"found a causal model in {folder}, in which no token sees a later one; wanted an "
            "encoder, which distill compares with one layer by layer",
        )


def kind_of(described: dict):
    """The kind of any model folder; None of one that has no task, such as an encoder.

    A causal language model that learned to answer prompts is one like any other: None too.

    A classifier that was saved without a task answers with the labels of the folder, which may
    lack them.

    Args:
        described: what `models.describe` gives for it.

    Raises:
        InputError: the model was fine-tuned for no kind of this version.
    """
    if described.get("task"):
        kind = restore(described)
        return None if kind.generates else kind
    if described["kind"] not in _USUAL:
        return None
    longest = described["encoder"].max_sequence_length
    return KINDS[_USUAL[described["kind"]]](
        max_seq_length=longest, labels=tuple(described["labels"])
    )


def embedding_settings(described: dict, folder: str) -> models.EmbeddingSettings:
    """How a model turns a text into a vector: as its task trained it, else as its folder says.

    Args:
        described: what `models.describe` gives for the folder.
        folder: for messages.

    Raises:
        InputError: the folder's settings are none, or its task is of no kind of this version.
    """
    kind = kind_of(described) if described.get("task") else None
    of_kind = kind.embedding_settings() if kind else None
    return of_kind or models.embedding_settings(described, folder)

"""What is trained: data, loss and score of pretraining and of each kind of fine-tuning."""

import dataclasses

from roots_tf.files import InputError
from roots_tf.tasks.classification import Classification
from roots_tf.tasks.finetuning import FineTuning, Objective, predict
from roots_tf.tasks.multiple_choice import MultipleChoice
from roots_tf.tasks.question_answering import QuestionAnswering
from roots_tf.tasks.regression import Regression
from roots_tf.tasks.similarity import Similarity
from roots_tf.tasks.tagging import Tagging

KINDS = {
    kind.name: kind
    for kind in (
        Classification,
        Regression,
        Tagging,
        QuestionAnswering,
        MultipleChoice,
        Similarity,
    )
}

__all__ = ["KINDS", "FineTuning", "Objective", "describe", "predict", "restore"]


def describe(kind: FineTuning) -> dict:
    """A kind with all that it learned, as JSON values; the inverse of `restore`."""
    return {"name": kind.name} | dataclasses.asdict(kind)


def restore(described: dict) -> FineTuning:
    """The kind of fine-tuning of a model folder.

    Args:
        described: what `models.describe` gives for it.

    Raises:
        InputError: the model was not fine-tuned.
    """
    if "task" not in described:
        raise InputError(
            f"found a model of kind {described['kind']}, which was not fine-tuned; wanted the "
            "`model` folder that finetune writes"
        )
    fields = dict(described["task"])
    kind = KINDS[fields.pop("name")]
    tuples = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return kind(**fields | tuples)

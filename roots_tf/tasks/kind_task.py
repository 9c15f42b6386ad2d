"""A kind of fine-tuning as something to train."""

import dataclasses

import keras

from roots_tf.losses import Scalar
from roots_tf.tasks.finetuning import FineTuning


@dataclasses.dataclass(frozen=True)
class KindTask:
    """A kind of fine-tuning and the model it trains: a `roots_tf.training.step.Task`."""

    kind: FineTuning
    model: keras.Model | None

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """Losses and scores that `sums` gives."""
        return self.kind.scalars

    @property
    def additive(self) -> bool:
        """Whether the sums over a batch are the sums over its slices."""
        return self.kind.additive

    def weights(self, batch):
        """Weight of each loss over a batch."""
        return self.kind.weights(batch)

    def sums(self, batch, seed=None):
        """Sums and weights over a batch; arguments as for `FineTuning.answers_of`."""
        return self.kind.sums(self.model, batch, seed)


class OfVectors(KindTask):
    """One whose loss compares all rows of a batch by a vector of each: a `TwoPassTask`."""

    def vectors(self, batch, seed=None):
        """Vectors of rows; arguments as for `FineTuning.answers_of`."""
        return self.kind.vectors(self.model, batch, seed)

    def sums_of_vectors(self, vectors, batch):
        """Sums and weights from the `vectors` of the rows of a `batch`."""
        return self.kind.sums_of_vectors(vectors, batch)


def to_train(kind: FineTuning, model: keras.Model | None) -> KindTask:
    """A kind and its model as something to train.

    Args:
        kind: one that is not additive has `vectors` and `sums_of_vectors`.
        model: as `kind.make_model` gives it; None where only what the task is like is asked.
    """
    return (KindTask if kind.additive else OfVectors)(kind, model)

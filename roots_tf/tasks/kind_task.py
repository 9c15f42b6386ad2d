"""A kind of fine-tuning as something to train."""

import dataclasses

import keras

from roots_tf.losses import Scalar
from roots_tf.tasks.finetuning import FineTuning


@dataclasses.dataclass(frozen=True)
class KindTask:
    """A kind of fine-tuning and the model it trains: a `roots_tf.training.step.Task`."""

    kind: FineTuning
    model: keras.Model

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

"""A number for a text or a pair of texts: a rating, an age, how similar two sentences are."""

import dataclasses

import numpy as np
import tensorflow as tf

from roots_tf.metrics import regression as metrics
from roots_tf.tasks import tables
from roots_tf.tasks.finetuning import FineTuning, shown


class Valued(FineTuning):
    """Tasks whose answer is a number, in the column `value`."""

    score = "spearman"
    answer = "value"

    def scores(self, examples, predictions):
        """Pearson's and Spearman's correlation, mean squared and mean absolute error."""
        found = np.array([row["value"] for row in predictions])
        return metrics.scores(tables.numbers(examples, self.answer), found)

    def baseline(self, train, examples):
        """Scores of always answering the mean of the training file."""
        mean = float(tables.numbers(train, self.answer).mean())
        return self.scores(examples, [{"value": mean}] * len(examples.lines))


@dataclasses.dataclass(frozen=True)
class Regression(Valued):
    """One number a text; a long text has the mean of its windows.

    Attributes:
        mean, deviation: of the values of the training file. The model learns values with mean 0
            and deviation 1, so that one learning rate fits any unit.
    """

    mean: float = 0.0
    deviation: float = 1.0

    name = "regression"
    losses = ("regression_loss",)

    @property
    def num_outputs(self):
        """One."""
        return 1

    def learn(self, examples):
        """This with the mean and the deviation of the values."""
        values = tables.numbers(examples, self.answer)
        deviation = float(values.std()) or 1.0
        return dataclasses.replace(
            self,
            mean=float(values.mean()),
            deviation=deviation,
            pairs="text_pair" in examples.columns,
        )

    def targets(self, examples):
        """Values with mean 0 and deviation 1."""
        values = tables.numbers(examples, self.answer)
        return {"values": ((values - self.mean) / self.deviation).astype(np.float32)}

    def weights(self, batch):
        """Number of examples."""
        return {"regression_loss": tf.cast(tf.shape(batch["values"])[0], tf.float32)}

    def sums(self, model, batch, seed=None):
        """(sum, weight) of `regression_loss`, the squared error in units of the variance."""
        error = model(batch, seed=seed)[:, 0] - batch["values"]  # [B]
        return {"regression_loss": (tf.reduce_sum(error**2), self.weights(batch)[self.losses[0]])}

    def outputs(self, model, batch):
        """`values` float32 [B]."""
        return {"values": model(batch)[:, 0]}

    def predictions(self, examples, rows, outputs):
        """`value` of each text, in the unit of the training file."""
        sums = np.bincount(rows.texts, np.stack(outputs["values"]), len(examples.lines))
        means = sums / np.bincount(rows.texts, minlength=len(examples.lines))
        values = means * self.deviation + self.mean
        return [shown(examples, i) | {"value": float(value)} for i, value in enumerate(values)]

"""A number for a text or a pair of texts: a rating, an age, how similar two sentences are."""

import dataclasses

import numpy as np
import tensorflow as tf

from roots_tf.labelled import tables
from roots_tf.losses import Scalar
from roots_tf.metrics import regression as metrics
from roots_tf.storage.schema import number
from roots_tf.tasks.leaving import TransformersHead
from roots_tf.tasks.per_text import PerText, ServedPerText, mean_of_windows, texts_of


class Valued:
    """Kinds whose answer is a number, in the column `value`."""

    score = "spearman"
    answer_column = "value"

    def scores(self, examples, predictions):
        """Pearson's and Spearman's correlation, mean squared and mean absolute error.

        Args:
            examples: a table with values.
            predictions: one an example, with a `value`.
        """
        predicted = np.array([row["value"] for row in predictions])
        return metrics.scores(tables.numbers(examples, self.answer_column), predicted)

    def golds(self, examples):
        """The value of each example, a table with values."""
        return tables.numbers(examples, self.answer_column).tolist()

    def baseline(self, train, examples):
        """Scores of always answering the mean of the training file.

        Args:
            train: the table that the mean is from.
            examples: the one that is scored.
        """
        mean = float(tables.numbers(train, self.answer_column).mean())
        return self.scores(examples, [{"value": mean}] * len(examples.lines))


@dataclasses.dataclass(frozen=True)
class Regression(Valued, PerText):
    """One number a text; a long text has the mean of its windows.

    Attributes:
        mean, deviation: of the values of the training file. The model learns values with mean 0
            and deviation 1, so that one learning rate fits any unit.
    """

    mean: float = 0.0
    deviation: float = number(1.0, above=0)

    name = "regression"
    scalars = (Scalar("regression_loss", "loss", is_loss=True),)
    num_outputs = 1
    of_decoders = True
    pipeline_tag = "text-classification"
    use = "gives a text, or a pair of texts, a number"
    transformers = TransformersHead("BertForSequenceClassification", ("regression",))

    def learn(self, examples):
        """This kind with the mean and the deviation of the values."""
        values = tables.numbers(examples, self.answer_column)
        deviation = float(values.std()) or 1.0
        kind = super().learn(examples)
        return dataclasses.replace(kind, mean=float(values.mean()), deviation=deviation)

    def targets(self, examples):
        """`values` float32, with mean 0 and deviation 1."""
        values = tables.numbers(examples, self.answer_column)
        return {"values": ((values - self.mean) / self.deviation).astype(np.float32)}

    def in_unit(self, values):
        """Values in the unit of the training file, of what the model learns."""
        return values * self.deviation + self.mean

    def answers(self, output, batch):
        """Numbers of mean 0 and deviation 1, [B]."""
        return output[:, 0]

    def weights(self, batch):
        """Number of examples."""
        return {"regression_loss": tf.cast(tf.shape(batch["values"])[0], tf.float32)}

    def sums(self, model, batch, seed=None):
        """(sum, weight) of `regression_loss`, the squared error in units of the variance."""
        error = self.answers_of(model, batch, seed) - batch["values"]  # [B]
        return {"regression_loss": (tf.reduce_sum(error**2), *self.weights(batch).values())}

    def outputs(self, model, batch):
        """`values` float32 [B], of mean 0 and deviation 1."""
        return {"values": self.answers_of(model, batch)}

    def predictions(self, examples, rows, outputs):
        """`value` of each text, in the unit of the training file."""
        of_rows = np.stack(outputs["values"]).astype(np.float64)
        values = self.in_unit(mean_of_windows(of_rows, rows.texts).numpy())
        return [texts_of(examples, i) | {"value": float(value)} for i, value in enumerate(values)]

    def served(self, model, tokenizer):
        """Values of texts."""
        return ServedValue(self, model, tokenizer)

    def row_output(self, output, features):
        """`value` [B], in the unit of the training file."""
        return {"value": self.in_unit(self.answers(output, features))}

    def of_row_output(self, output):
        """Numbers of mean 0 and deviation 1, [B, 1]."""
        return ((output - self.mean) / self.deviation)[:, None]

    def scaled_head(self, kernel, bias):
        """Weights that give the outputs in the unit of the training file."""
        scale, shift = np.float32(self.deviation), np.float32(self.mean)
        return kernel * scale, bias * scale + shift


class ServedValue(ServedPerText):
    """`value` [B], a number a text, in the unit of the training file; `ids` answers alike."""

    def answers(self, inputs):
        """The value of each text, the mean over its windows."""
        rows = self.rows(inputs)
        values = mean_of_windows(self.over(rows)["values"], rows.texts)
        return {"value": self.kind.in_unit(values)}

    def of_ids(self, features):
        """The value of each row, as of a text of one window."""
        return {"value": self.kind.in_unit(self.of_rows(features)["values"])}

    def predictions(self, outputs, texts):
        """`value`."""
        return [{"value": float(value)} for value in outputs["value"]]

"""Classes of texts or of pairs of texts: sentiment, topic, entailment, paraphrase."""

import collections
import dataclasses

import numpy as np
import tensorflow as tf

from roots_tf.metrics import classification as metrics
from roots_tf.metrics import plots
from roots_tf.tasks import tables
from roots_tf.tasks.finetuning import Charts, FineTuning, label_ids, shown


@dataclasses.dataclass(frozen=True)
class Classification(FineTuning):
    """One class a text; a long text has the mean of the probabilities of its windows."""

    name = "classification"
    score = "accuracy"
    losses = ("classification_loss",)

    def weights(self, batch):
        """Weight of the labels."""
        return {"classification_loss": tf.reduce_sum(self._weights_of(batch["label_ids"]))}

    def sums(self, model, batch, seed=None):
        """(sum, weight) of `classification_loss`, in nats, and of `classification_accuracy`."""
        logits, labels = model(batch, seed=seed), batch["label_ids"]  # [B, labels], [B]
        weights = self._weights_of(labels)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        right = tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.float32)
        return {
            "classification_loss": (tf.reduce_sum(loss * weights), tf.reduce_sum(weights)),
            "classification_accuracy": (
                tf.reduce_sum(right),
                tf.cast(tf.shape(labels)[0], tf.float32),
            ),
        }

    def outputs(self, model, batch):
        """`probabilities` float32 [B, labels]."""
        return {"probabilities": tf.nn.softmax(model(batch))}

    def predictions(self, examples, rows, outputs):
        """`label`, `score` and `probabilities` of each text."""
        count = len(examples.lines)
        sums = np.zeros((count, len(self.labels)))
        np.add.at(sums, rows.texts, np.stack(outputs["probabilities"]))
        probabilities = sums / np.bincount(rows.texts, minlength=count)[:, None]
        best = probabilities.argmax(-1)
        return [
            shown(examples, i)
            | {
                "label": self.labels[best[i]],
                "score": float(probabilities[i, best[i]]),
                "probabilities": dict(zip(self.labels, probabilities[i].tolist(), strict=True)),
            }
            for i in range(count)
        ]

    def scores(self, examples, predictions):
        """Accuracy, F1 (macro and micro), Matthews' correlation; precision and recall by class."""
        ids, count = self._wanted_and_found(examples, predictions), len(self.labels)
        by_class = dict(zip(self.labels, metrics.by_class(*ids, count), strict=True))
        return metrics.scores(*ids, count) | {"by_class": by_class}

    def charts(self, examples, predictions):
        """Confusion matrix, and precision and recall of each class."""
        wanted, found = self._wanted_and_found(examples, predictions)
        curves = {
            name: plots.pr_curve(
                wanted == i, np.array([row["probabilities"][name] for row in predictions])
            )
            for i, name in enumerate(self.labels)
        }
        return Charts(metrics.confusion(wanted, found, len(self.labels)), curves)

    def _wanted_and_found(self, examples, predictions) -> tuple[np.ndarray, np.ndarray]:
        """Ids of the right and of the predicted labels."""
        found = np.array([self.labels.index(row["label"]) for row in predictions])
        return label_ids(examples, self.answer, self.labels), found

    def baseline(self, train, examples):
        """Scores of always answering the class that is most frequent in training."""
        frequent = collections.Counter(tables.strings(train, self.answer)).most_common(1)[0][0]
        return self.scores(examples, [{"label": frequent}] * len(examples.lines))

    def _weights_of(self, labels):
        """Weight of each example, float32 [B]."""
        if not self.label_weights:
            return tf.ones(tf.shape(labels))
        return tf.gather(tf.constant(self.label_weights, tf.float32), labels)

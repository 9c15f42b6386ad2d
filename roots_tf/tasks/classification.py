"""Classes of texts or of pairs of texts: sentiment, topic, entailment, paraphrase."""

import collections
import dataclasses

import numpy as np
import tensorflow as tf

from roots_tf.labelled import tables
from roots_tf.losses import Scalar
from roots_tf.metrics import classification as metrics
from roots_tf.metrics import plots
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number
from roots_tf.tasks import soft_labels
from roots_tf.tasks.finetuning import Charts
from roots_tf.tasks.leaving import TransformersHead
from roots_tf.tasks.per_text import (
    PerText,
    ServedPerText,
    label_ids,
    mean_of_windows,
    right_answers,
    texts_of,
)


@dataclasses.dataclass(frozen=True)
class Classification(PerText):
    """One class a text; a long text has the mean of the probabilities of its windows.

    Attributes:
        labels: names of the classes, in the order of the logits.
        label_weights: weight of each class in the loss; none: all weigh 1.
    """

    labels: tuple[str, ...] = ()
    label_weights: tuple[float, ...] = number((), minimum=0)

    def __post_init__(self):
        if len(self.label_weights) not in (0, len(self.labels)):
            raise InputError(
                "wrong-json",
                f"found {len(self.label_weights)} label_weights of {len(self.labels)} labels; "
                "wanted one of each, or none",
            )

    name = "classification"
    score = "accuracy"
    scalars = (
        Scalar("classification_loss", "loss", is_loss=True),
        Scalar("classification_accuracy", "accuracy"),
    )
    of_decoders = True
    agrees_on = "label"
    pipeline_tag = "text-classification"
    use = "gives a text, or a pair of texts, one of {labels}"
    transformers = TransformersHead(
        "BertForSequenceClassification", ("single_label_classification", None)
    )

    def learn(self, examples):
        """This kind with the names of the labels, sorted."""
        if soft_labels.are_in(examples):
            found = soft_labels.names(examples)
        else:
            found = set(tables.labels(examples, self.answer_column))
        names = tuple(sorted(found))
        if len(names) < 2:
            raise InputError(
                "too-few-labels",
                f"found one label, {names[0]!r}, in {examples.path}; wanted two or more to tell "
                "apart",
            )
        return dataclasses.replace(super().learn(examples), labels=names)

    def labels_of(self, examples):
        """The label of each text."""
        return [(label,) for label in tables.labels(examples, self.answer_column)]

    def with_balance(self, examples):
        """This kind with `balanced_weights` of its labels, of soft ones by their probabilities."""
        if soft_labels.are_in(examples):
            counts = soft_labels.matrix(examples, self.labels).sum(0, dtype=np.float64)
        else:
            ids = label_ids(examples, self.answer_column, self.labels)
            counts = np.bincount(ids, minlength=len(self.labels))
        return dataclasses.replace(self, label_weights=balanced_weights(counts))

    def with_soft_labels(self):
        """This kind, which learns from what `soft_labels.read` reads as from labels."""
        return self

    def targets(self, examples):
        """`label_ids` int32, and of soft labels `label_probabilities` float32 [examples, labels].

        The cross entropy is then against these, and accuracy against the likeliest label.
        """
        ids = {"label_ids": label_ids(examples, self.answer_column, self.labels)}
        if not soft_labels.are_in(examples):
            return ids
        return ids | {"label_probabilities": soft_labels.matrix(examples, self.labels)}

    def weights(self, batch):
        """Weight of the labels."""
        return {"classification_loss": tf.reduce_sum(self._weights_of(batch))}

    def sums(self, model, batch, seed=None):
        """(sum, weight) of `classification_loss`, in nats, and of `classification_accuracy`."""
        logits, labels = self.answers_of(model, batch, seed), batch["label_ids"]  # [B, labels], [B]
        weights, soft = self._weights_of(batch), batch.get("label_probabilities")
        if soft is None:
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        else:
            loss = tf.nn.softmax_cross_entropy_with_logits(soft, logits)
        count = tf.cast(tf.shape(labels)[0], tf.float32)
        return {
            "classification_loss": (tf.reduce_sum(loss * weights), tf.reduce_sum(weights)),
            "classification_accuracy": (tf.reduce_sum(right_answers(logits, labels)), count),
        }

    def outputs(self, model, batch):
        """`probabilities` float32 [B, labels]."""
        return {"probabilities": tf.nn.softmax(self.answers_of(model, batch))}

    def predictions(self, examples, rows, outputs):
        """`label`, `score` and `probabilities` of each text."""
        of_rows = np.stack(outputs["probabilities"]).astype(np.float64)
        of_texts = mean_of_windows(of_rows, rows.texts[:: rows.group]).numpy()
        return [
            texts_of(examples, i) | named(self.labels, self.labels[row.argmax()], row.max(), row)
            for i, row in enumerate(of_texts)
        ]

    def check_ensemble(self, others):
        """Refuses models of other labels, or of pairs beside models of single texts."""
        for other in others:
            if (getattr(other, "pairs", None), other.labels) != (self.pairs, self.labels):
                theirs, ours = (", ".join(kind.labels) or "none" for kind in (other, self))
                raise InputError(
                    "wrong-model-kind",
                    f"found a model for {other.name} of the labels {theirs} in --ensemble, beside "
                    f"one for {self.name} of {ours}; wanted the same labels, and pairs of texts in "
                    "all or in none",
                )

    def averaged(self, predictions: list[list[dict]]) -> list[dict]:
        """Predictions by the mean of the probabilities that several models give.

        Args:
            predictions: of each model, of the same examples.
        """
        found = []
        for of_models in zip(*predictions, strict=True):
            rows = [[*one["probabilities"].values()] for one in of_models]
            mean = np.mean(rows, axis=0)  # [labels]
            best = named(self.labels, self.labels[mean.argmax()], mean.max(), mean)
            found.append(of_models[0] | best)
        return found

    def scores(self, examples, predictions):
        """Accuracy, F1 (macro and micro), Matthews' correlation; precision and recall by class."""
        ids, count = self._ids(examples, predictions), len(self.labels)
        by_class = dict(zip(self.labels, metrics.by_class(*ids, count), strict=True))
        return metrics.scores(*ids, count) | {"by_class": by_class}

    def golds(self, examples):
        """The label of each text."""
        return tables.labels(examples, self.answer_column)

    def charts(self, examples, predictions):
        """Confusion matrix, and precision and recall of each class."""
        right, predicted = self._ids(examples, predictions)
        curves = {
            name: plots.pr_curve(
                right == i, np.array([row["probabilities"][name] for row in predictions])
            )
            for i, name in enumerate(self.labels)
        }
        return Charts(metrics.confusion(right, predicted, len(self.labels)), curves)

    def _ids(self, examples, predictions) -> tuple[np.ndarray, np.ndarray]:
        """Ids of the right and of the predicted labels."""
        predicted = np.array([self.labels.index(row["label"]) for row in predictions])
        return label_ids(examples, self.answer_column, self.labels), predicted

    def baseline(self, train, examples):
        """Scores of always answering the class that is most frequent in training."""
        ids = label_ids(train, self.answer_column, self.labels).tolist()
        ((frequent, _),) = collections.Counter(ids).most_common(1)
        return self.scores(examples, [{"label": self.labels[frequent]}] * len(examples.lines))

    def served(self, model, tokenizer):
        """Label and probabilities of texts."""
        return ServedClasses(self, model, tokenizer)

    def _weights_of(self, batch):
        """Weight of each example, float32 [B]: its label's, or the mean of those of soft ones."""
        if not self.label_weights:
            return tf.ones(tf.shape(batch["label_ids"]))
        weights = tf.constant(self.label_weights, tf.float32)
        if (soft := batch.get("label_probabilities")) is not None:
            return tf.linalg.matvec(soft, weights)
        return tf.gather(weights, batch["label_ids"])


class ServedClasses(ServedPerText):
    """`label` string [B], its `score` [B], and `probabilities` [B, labels], in the labels' order.

    A text of several windows has the mean of their probabilities. `ids` answers alike.
    """

    def __init__(self, kind, model, tokenizer):
        """Arguments as for `ServedKind`."""
        super().__init__(kind, model, tokenizer)
        self._labels = tf.constant(kind.labels)

    def answers(self, inputs):
        """The label of each text, from the mean of the probabilities of its windows."""
        rows = self.rows(inputs)
        return self._best(mean_of_windows(self.over(rows)["probabilities"], rows.texts))

    def of_ids(self, features):
        """The label of each row, as of a text of one window."""
        return self._best(self.of_rows(features)["probabilities"])

    def _best(self, probabilities):
        """The likeliest label of each text."""
        return {
            "label": tf.gather(self._labels, tf.argmax(probabilities, -1)),
            "score": tf.reduce_max(probabilities, -1),
            "probabilities": probabilities,
        }

    def predictions(self, outputs, texts):
        """`label`, `score` and `probabilities`."""
        columns = (outputs[name] for name in ("label", "score", "probabilities"))
        return [
            named(self.kind.labels, label.decode(), score, row)
            for label, score, row in zip(*columns, strict=True)
        ]


def named(labels: tuple[str, ...], label: str, score: float, probabilities: np.ndarray) -> dict:
    """A prediction: the label, its `score`, and the `probabilities` by label.

    Args:
        labels: names of the classes.
        label: the likeliest one.
        score: its probability.
        probabilities: [labels].
    """
    return {
        "label": label,
        "score": float(score),
        "probabilities": dict(zip(labels, probabilities.tolist(), strict=True)),
    }


def balanced_weights(counts: np.ndarray) -> tuple[float, ...]:
    """Weights that make classes count alike: examples / (classes * examples of the class).

    As `class_weight="balanced"` of scikit-learn (King & Zeng 2001, "Logistic Regression in Rare
    Events Data").

    Args:
        counts: examples of each class, or sums of their probabilities, [classes].
    """
    return tuple(float(counts.sum() / (len(counts) * max(1, n))) for n in counts)

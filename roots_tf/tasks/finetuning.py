"""What all kinds of fine-tuning share, from a labelled file to scores.

A kind is a frozen dataclass: its fields are what was learned from the training file (names of
labels, number of choices, range of values) and how texts are cut. They are saved beside the weights
and are all that a trained model needs to read further files.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from roots_tf import models
from roots_tf.files import InputError
from roots_tf.models import EncoderConfig
from roots_tf.tasks import tables
from roots_tf.tasks.rows import Batcher, Rows, batches_by_length, cut
from roots_tf.tasks.tables import Table
from roots_tf.tokenizers import Tokenizer


class Charts(NamedTuple):
    """What pictures of predictions are drawn from.

    Attributes:
        confusion: counts by label (row) and prediction (column), [classes, classes].
        curves: of each class, as `roots_tf.metrics.plots.pr_curve` gives them.
    """

    confusion: np.ndarray
    curves: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """A kind of fine-tuning. What is given here holds for one row a text and a column of labels.

    Attributes:
        max_seq_length: tokens of a row, special tokens among them.
        stride: tokens from the start of one window of a long text to that of the next; 0 cuts
            texts off, or, in tasks that answer with places in a text, is half a window.
        labels: names of the classes, in the order of the logits.
        label_weights: weight of each class in the loss; none: all the same.
        pairs: whether the examples of the training file have a `text_pair`.
    """

    max_seq_length: int = 128
    stride: int = 0
    labels: tuple[str, ...] = ()
    label_weights: tuple[float, ...] = ()
    pairs: bool = False

    name: ClassVar[str]
    score: ClassVar[str]  # decides between epochs and between seeds; higher is better
    losses: ClassVar[tuple[str, ...]]
    answer: ClassVar[str] = "label"  # column of what is to be learned
    by_token: ClassVar[bool] = False  # outputs have an axis of tokens

    @property
    def num_outputs(self) -> int:
        """Outputs of the last layer."""
        return len(self.labels)

    def read(self, path: str | Path, columns: dict[str, str], labelled: bool = True):
        """Reads a file of examples.

        Args:
            path: a file as `tables.read` takes it; or, unlabelled, `.txt` with a text a line.
            columns: names in the file of `text`, `text_pair` and the answer, where they differ.
            labelled: whether the answer must be there.

        Raises:
            InputError: something is wrong with the file; names the line.
        """
        if not (labelled or self.pairs) and Path(path).suffix == ".txt":
            return _read_lines(path)
        required = ("text", "text_pair") if self.pairs else ("text",)
        if labelled:
            required = (*required, self.answer)
        return tables.read(path, required, ("text_pair",), columns)

    def unlabelled(self, columns: dict[str, list]):
        """Examples without answers from texts in memory, by the names of their columns."""
        return Table(columns, list(range(1, len(columns["text"]) + 1)), "memory")

    def learn(self, examples) -> "FineTuning":
        """This with what the training file says: the names of the labels, sorted."""
        names = tuple(sorted(set(tables.strings(examples, self.answer))))
        if len(names) < 2:
            raise InputError(
                f"found one label, {names[0]!r}, in {examples.path}; wanted two or more to tell "
                "apart"
            )
        return dataclasses.replace(self, labels=names, pairs="text_pair" in examples.columns)

    def make_model(self, config: EncoderConfig, seed: int = 0) -> keras.Model:
        """A model with random weights."""
        return models.Classifier(config, self.num_outputs, seed=seed)

    def rows(self, examples, tokenizer: Tokenizer, labelled: bool = True) -> Rows:
        """Rows of examples, with what the loss needs where they are labelled."""
        rows = cut_table(examples, tokenizer, self.max_seq_length, self.stride)
        if labelled:
            rows.of_rows |= {
                name: values[rows.texts] for name, values in self.targets(examples).items()
            }
        return rows

    def targets(self, examples: Table) -> dict[str, np.ndarray]:
        """Labels of each text."""
        return {"label_ids": label_ids(examples, self.answer, self.labels)}

    def weights(self, batch) -> dict[str, tf.Tensor]:
        """Weight of each loss over a batch; see `roots_tf.training.step.Task`."""
        raise NotImplementedError

    def sums(self, model: keras.Model, batch, seed=None) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Sum and weight of losses and scores over a batch."""
        raise NotImplementedError

    def outputs(self, model: keras.Model, batch) -> dict[str, tf.Tensor]:
        """What predictions are made of, by row [B, ...] or by token [B, L, ...]."""
        raise NotImplementedError

    def predictions(self, examples, rows: Rows, outputs: dict[str, list]) -> list[dict]:
        """One JSON object an example."""
        raise NotImplementedError

    def scores(self, examples, predictions: list[dict]) -> dict[str, float]:
        """Scores of predictions, `self.score` among them."""
        raise NotImplementedError

    def baseline(self, train, examples) -> dict[str, float]:
        """The same scores of what a model without eyes would answer."""
        raise NotImplementedError

    def charts(self, examples, predictions: list[dict]) -> Charts | None:
        """What pictures are drawn from, where answers are classes."""
        return None


@dataclasses.dataclass(frozen=True)
class Objective:
    """A kind of fine-tuning and the model it is to train, as the training step wants them."""

    kind: FineTuning
    model: keras.Model

    @property
    def losses(self) -> tuple[str, ...]:
        """Names of the parts of the loss."""
        return self.kind.losses

    def weights(self, batch):
        """Weight of each loss over a batch."""
        return self.kind.weights(batch)

    def sums(self, batch, seed=None):
        """Sums and weights over a batch."""
        return self.kind.sums(self.model, batch, seed)


def predict(
    kind: FineTuning, model: keras.Model, rows: Rows, batch_size: int, pad_id: int
) -> dict[str, list[np.ndarray]]:
    """Outputs of every example, in order; those by token without padding."""
    batcher = Batcher(rows, pad_id)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def run(examples):
        return kind.outputs(model, batcher(examples))

    found: dict[str, list] = {}
    for examples in batches_by_length(rows, batch_size):
        for name, values in run(tf.constant(examples)).items():
            ordered = found.setdefault(name, [None] * (len(rows) // rows.group))
            for example, value in zip(examples, values.numpy(), strict=True):
                ordered[example] = value[: rows.lengths[example]] if kind.by_token else value
    return found


def cut_table(examples: Table, tokenizer: Tokenizer, length: int, stride: int) -> Rows:
    """Rows of the texts of a table, or of its pairs of texts."""
    ids, splits = tokenizer.encode(tables.strings(examples, "text"))
    if "text_pair" not in examples.columns:
        return cut(ids, splits, tokenizer, length, stride)
    second = tokenizer.encode(tables.strings(examples, "text_pair"))
    return cut(*second, tokenizer, length, stride, first=(ids, splits))


def label_ids(examples: Table, column: str, names: tuple[str, ...]) -> np.ndarray:
    """Index of each label among the names, int32.

    Raises:
        InputError: a label is not among the names.
    """
    index = {name: i for i, name in enumerate(names)}
    labels = tables.strings(examples, column)
    for row, label in enumerate(labels):
        if label not in index:
            raise InputError(
                f"found label {label!r} in {examples.where(row)}; wanted one of the {len(names)} "
                f"labels of the training file: {', '.join(names[:10])}"
            )
    return np.array([index[label] for label in labels], np.int32)


def head(examples, count: int):
    """The first examples; `examples` is a named tuple of lists, or of lists by name."""

    def first(part):
        if isinstance(part, dict):
            return {name: values[:count] for name, values in part.items()}
        return part[:count] if isinstance(part, list) else part

    return type(examples)(*map(first, examples))


def shown(examples: Table, index: int) -> dict[str, str]:
    """The texts of one example, for its prediction."""
    return {
        name: examples.columns[name][index]
        for name in ("text", "text_pair")
        if name in examples.columns
    }


def balanced_weights(ids: np.ndarray, count: int) -> tuple[float, ...]:
    """Weights that make classes count alike: examples / (classes * examples of the class).

    As `class_weight="balanced"` of scikit-learn (King & Zeng 2001, "Logistic Regression in Rare
    Events Data").
    """
    counts = np.bincount(ids, minlength=count)
    return tuple(float(len(ids) / (count * max(1, n))) for n in counts)


def _read_lines(path: str | Path) -> Table:
    """A text a line."""
    kept = list(tables.lines_of(tables.read_text(path)))
    if not kept:
        raise InputError(f"found no text in {path}; wanted a text a line")
    return Table({"text": [line for _, line in kept]}, [number for number, _ in kept], str(path))

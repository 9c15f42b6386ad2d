"""What every kind of fine-tuning task has, from a labelled file to scores and a served graph.

A kind is a frozen dataclass. Its fields are what was learned from the training file (names of
labels, number of choices, range of values) and how texts are cut into rows. They are saved beside
the weights and are all that a trained model needs to read further files.

What a model answers is defined once, in the kind's file: `answers` makes logits or numbers of the
model's output, and `outputs` makes of those what predictions are read from. Training, prediction,
the served graph, LiteRT and distillation all call these two.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from roots_tf import models
from roots_tf.labelled.tables import Table
from roots_tf.labelled.token_rows import TokenRows, ungrouped
from roots_tf.losses import Scalar
from roots_tf.models import EncoderConfig
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number
from roots_tf.tokenizers import Tokenizer


class Charts(NamedTuple):
    """What pictures of predictions are drawn from.

    Attributes:
        confusion: counts by label (row) and prediction (column), [classes, classes].
        curves: of each class, as `roots_tf.metrics.plots.pr_curve` gives them.
    """

    confusion: np.ndarray
    curves: dict[str, np.ndarray]


class TransformersHead(NamedTuple):
    """The head of Hugging Face's transformers that answers as the models of a kind do.

    Attributes:
        architecture: its class, of `modeling_bert.py`; "" where there is none.
        problem_types: values of `problem_type` in `config.json` that go with the kind, None where
            it is not given. The first one is written.
    """

    architecture: str = ""
    problem_types: tuple[str | None, ...] = (None, "single_label_classification")


@dataclasses.dataclass(frozen=True)
class FineTuning:
    """A kind of fine-tuning task.

    Class attributes:
        name: in the table of kinds, in `--task` and in `model.json`.
        score: of `scores`, the one that decides between epochs and between seeds; higher is better.
        scalars: losses and scores that `sums` gives.
        additive: whether the sums over a batch are the sums over its slices.
        texts: columns that an example without its answer has at least.
        answer_column: column of a labelled table that holds what is learned.
        labels: names of the classes, in the order of the logits; a field where they are learned.
        model: what `make_model` makes, the `kind` of its `model.json`.
        grouped: whether one example is a group of rows.
        by_token: whether `outputs` have an axis of tokens.
        agrees_on: field of a prediction in which two models agree or not, such as "label"; "" where
            answers are numbers.
        pipeline_tag: of the model card, one of huggingface.co/tasks.
        use: what the model does, for the card: "This model ..."; `{labels}` stands for "3 labels".
        transformers: what the model is called there.

    Attributes:
        max_seq_length: tokens of a row, special tokens among them.
        stride: tokens from the start of one window of a long text to that of the next; 0 cuts
            texts off, or, in tasks that answer with places in a text, is half a window.
    """

    max_seq_length: int = number(128, minimum=3, maximum=1 << 20)
    stride: int = number(0, minimum=0, maximum=1 << 20)

    name: ClassVar[str]
    score: ClassVar[str]
    scalars: ClassVar[tuple[Scalar, ...]]
    additive: ClassVar[bool] = True
    texts: ClassVar[tuple[str, ...]] = ("text",)
    answer_column: ClassVar[str] = "label"
    labels: ClassVar[tuple[str, ...]] = ()
    model: ClassVar[str] = "classifier"
    grouped: ClassVar[bool] = False
    by_token: ClassVar[bool] = False
    agrees_on: ClassVar[str] = ""
    pipeline_tag: ClassVar[str]
    use: ClassVar[str]
    transformers: ClassVar[TransformersHead] = TransformersHead()

    @classmethod
    def has_labels(cls) -> bool:
        """Whether classes have names, learned from the training file."""
        return "labels" in {field.name for field in dataclasses.fields(cls)}

    @property
    def num_outputs(self) -> int:
        """Outputs of the last layer."""
        return len(self.labels)

    @property
    def in_windows(self) -> bool:
        """Whether long texts are read in windows, and not cut off."""
        return self.stride > 0

    # From files to batches.

    def read(
        self,
        path: str | Path,
        columns: dict[str, str],
        labelled: bool = True,
        encoding: str = "utf-8",
    ):
        """Reads a file of examples.

        Args:
            path: a file, such as `roots_tf.labelled.tables.read` takes.
            columns: what the file calls some columns, by their names here.
            labelled: whether the answers must be there.
            encoding: name of that of the file.

        Raises:
            InputError: something is wrong with the file; names the line.
        """
        raise NotImplementedError

    def labels_of(self, examples) -> list[tuple]:
        """The labels of each example, of which a sample holds every one; empty: there are none.

        Args:
            examples: as `read` gives them, with their answers.
        """
        return []

    def unlabelled(self, columns: dict[str, list]):
        """Examples without answers from texts in memory, by the names of their columns."""
        return Table(columns, list(range(1, len(columns["text"]) + 1)), "memory")

    def learn(self, examples) -> "FineTuning":
        """This kind with what the training file says, such as the names of the labels.

        Raises:
            InputError: the file, or a setting, does not go with the kind.
        """
        raise NotImplementedError

    def with_balance(self, examples) -> "FineTuning":
        """This kind with weights of classes that make each count alike over the examples.

        Raises:
            InputError: the kind has no such weights.
        """
        raise InputError(
            f"found --balance with --task={self.name}; wanted it with classification alone"
        )

    def with_metric_language(self, language: str) -> "FineTuning":
        """This kind, whose answers are compared in a language when they are scored.

        Args:
            language: one of `roots_tf.metrics.answer_words.Language`.

        Raises:
            InputError: the kind has no answers that depend on one.
        """
        raise InputError(
            f"found --metric_language={language} with --task={self.name}; wanted it with "
            "question_answering alone"
        )

    def with_characters(self) -> "FineTuning":
        """This kind, which parts the words of scripts without spaces into characters.

        Raises:
            InputError: the kind has no answers by word.
        """
        raise InputError(
            f"found --word_unit=characters with --task={self.name}; wanted it with tagging alone"
        )

    def rows(self, examples, tokenizer: Tokenizer, labelled: bool = True) -> TokenRows:
        """Rows of examples.

        Args:
            examples: as `read` gives them.
            tokenizer: the model's.
            labelled: whether rows get what `sums` needs of the answers.

        Raises:
            InputError: an answer is none that the training file had; names the line.
        """
        raise NotImplementedError

    # The model and what it is trained for.

    def make_model(
        self,
        config: EncoderConfig,
        seed: int = 0,
        precision: str = "float32",
        recompute: bool = False,
    ) -> keras.Model:
        """A model with random weights: one answer a row. Arguments as for `models.Classifier`."""
        return models.Classifier(config, self.num_outputs, seed, precision, recompute)

    def load_model(self, folder: str | Path, precision: str = "float32") -> keras.Model:
        """The model of a folder; arguments as for `models.load`."""
        return models.load(folder, precision)

    def description(self) -> dict:
        """What `model.json` says of the kind: `labels`, and `task` with name and fields."""
        return {
            "labels": self.labels,
            "task": {"name": self.name} | dataclasses.asdict(self),
        }

    def answers(self, output, batch) -> tf.Tensor:
        """What a model's output says of each example.

        Args:
            output: what the model gives for the rows of the batch.
            batch: features of rows.

        Returns:
            float32: logits, the classes last, or numbers.
        """
        return output

    def answer_weights(self, batch) -> tf.Tensor:
        """Which answers count: 1 or 0, of the shape of `answers`; of logits without the last axis.

        Args:
            batch: features of rows, which need no labels.
        """
        return tf.ones(tf.shape(batch["padding_mask"])[:1])

    def answers_of(self, model, batch, seed=None) -> tf.Tensor:
        """The model's `answers` to a batch.

        Args:
            model: as `make_model` gives it.
            batch: of the kind's rows.
            seed: int32 [2] for dropout, or None.
        """
        return self.answers(model(ungrouped(batch) if self.grouped else batch, seed=seed), batch)

    def weights(self, batch) -> dict[str, tf.Tensor]:
        """Weight of each loss over a batch; see `roots_tf.training.step.Task`."""
        raise NotImplementedError

    def sums(self, model, batch, seed=None) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Sum and weight of each of `scalars` over a batch. Arguments as for `answers_of`."""
        raise NotImplementedError

    # From a trained model to answers.

    def outputs(self, model, batch) -> dict[str, tf.Tensor]:
        """What predictions are read from, by example [B, ...] or by token [B, L, ...].

        Args:
            model: as `make_model` gives it.
            batch: features of rows, which need no labels.
        """
        raise NotImplementedError

    def predictions(self, examples, rows: TokenRows, outputs: dict[str, list]) -> list[dict]:
        """One JSON object an example.

        Args:
            examples: as `read` gives them.
            rows: of the examples.
            outputs: of every example, or row, as `prediction.predict` gives them.
        """
        raise NotImplementedError

    def scores(self, examples, predictions: list[dict]) -> dict[str, float]:
        """Scores of predictions, `self.score` among them.

        Args:
            examples: labelled, as `read` gives them.
            predictions: one an example, of which the answer alone is looked at.
        """
        raise NotImplementedError

    def conditions(self, examples) -> dict[str, object]:
        """What scores of these examples depend on beside the answers: what goes with the numbers.

        Args:
            examples: labelled, as `read` gives them.
        """
        return {}

    def baseline(self, train, examples) -> dict[str, float]:
        """The same scores of an answer that needs no model, such as the most frequent label.

        Args:
            train: examples that the answer may be taken from.
            examples: what is scored.
        """
        raise NotImplementedError

    def charts(self, examples, predictions: list[dict]) -> Charts | None:
        """What pictures are drawn from, where answers are classes; arguments as for `scores`."""
        return None

    # What leaves for other programs.

    def served(self, model: keras.Model, tokenizer: Tokenizer):
        """The graph that is served, a `roots_tf.tasks.served_graph.ServedKind`.

        Args:
            model: as `make_model` gives it.
            tokenizer: the model's.
        """
        raise NotImplementedError

    def embedding_settings(self) -> models.EmbeddingSettings | None:
        """How vectors of texts are made that this kind trains; None of one that trains none."""
        return None

    def text_settings(self) -> dict:
        """What whoever cuts texts into tokens must know beside the tokenizer, as JSON values."""
        return {}

    def litert_output(self, output, features) -> dict[str, tf.Tensor]:
        """The one output, by name, of the file for LiteRT.

        Args:
            output: what the model gives for rows.
            features: of the rows.
        """
        return {"logits": output}

    def scaled_head(self, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights of the last layer for a program that takes its outputs as answers.

        Args:
            kernel: float32 [H, outputs].
            bias: float32 [outputs].
        """
        return kernel, bias


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

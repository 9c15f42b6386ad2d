"""The right one of several choices: SWAG, exams (Devlin et al. 2019, section 4.4)."""

import dataclasses

import numpy as np
import tensorflow as tf

from roots_tf.labelled import tables
from roots_tf.labelled.text_files import suffix_of
from roots_tf.labelled.token_rows import cut, ungrouped
from roots_tf.losses import Scalar
from roots_tf.metrics import classification as metrics
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number
from roots_tf.tasks.finetuning import FineTuning
from roots_tf.tasks.leaving import TransformersHead
from roots_tf.tasks.per_text import right_answers
from roots_tf.tasks.served_graph import ServedKind

_LISTS = (
    ".jsonl",
    ".ndjson",
    ".json",
    ".parquet",
)  # formats that can hold a list of choices in one field
MAX_CHOICES = 16  # columns of choices that are looked for in a table


@dataclasses.dataclass(frozen=True)
class MultipleChoice(FineTuning):
    """Each choice is scored as the second segment after the text; the softmax is over choices.

    Attributes:
        num_choices: of every example.
    """

    num_choices: int = number(0, minimum=0, maximum=1000)

    name = "multiple_choice"
    texts = ("text", "choices")
    score = "accuracy"
    scalars = (
        Scalar("choice_loss", "loss", is_loss=True),
        Scalar("choice_accuracy", "accuracy"),
    )
    grouped = True
    num_outputs = 1
    of_decoders = True
    agrees_on = "choice"
    pipeline_tag = "multiple-choice"
    use = "chooses among texts the one that follows another"
    transformers = TransformersHead("BertForMultipleChoice")

    def read(self, path, columns, labelled=True, encoding="utf-8"):
        """Tables with `text`, the choices, and `label`, the index of the right one from 0.

        Choices are a list `choices` in JSON lines and Parquet, columns `choice_0`, `choice_1`, ...
        in TSV and CSV.
        """
        answer = (self.answer_column,) if labelled else ()
        return self.of_table(_source(path, columns, answer, encoding).read())

    def source(self, path, columns, encoding="utf-8"):
        """The table."""
        return _source(path, columns, (), encoding)

    def of_table(self, table):
        """Examples with their `choices` in one column."""
        if "choices" not in table.columns:
            given = [
                table.columns[f"choice_{i}"]
                for i in range(MAX_CHOICES)
                if f"choice_{i}" in table.columns
            ]
            table.columns["choices"] = [list(row) for row in zip(*given, strict=True)]
        listed = [
            choices if isinstance(choices, list) else [] for choices in table.columns["choices"]
        ]
        count = self.num_choices or len(listed[0])
        for row, choices in enumerate(listed):
            if len(choices) != count or count < 2 or not all(isinstance(c, str) for c in choices):
                raise InputError(
                    "wrong-row",
                    f"found {len(choices)} choices in {table.where(row)}; wanted a list of {count} "
                    "texts, as in the first example, and two or more",
                )
        return table

    def check_table(self, table):
        """Refuses what is no text or no choices."""
        tables.strings(table, "text")
        there = {n: v for n, v in table.columns.items() if any(cell is not None for cell in v)}
        self.of_table(table._replace(columns=there))

    def learn(self, examples):
        """This kind with the number of choices."""
        if self.stride:
            raise InputError(
                "flags-conflict",
                f"found stride={self.stride} for multiple choice; wanted 0: each choice is one row",
            )
        return dataclasses.replace(self, num_choices=len(examples.columns["choices"][0]))

    def rows(self, examples, tokenizer, labelled=True):
        """A row a choice, [CLS] text [SEP] choice [SEP], in groups."""
        texts = [text for text in tables.strings(examples, "text") for _ in range(self.num_choices)]
        choices = [choice for choices in examples.columns["choices"] for choice in choices]
        first = tokenizer.encode(texts)
        rows = cut(*tokenizer.encode(choices), tokenizer, self.max_seq_length, first=first)
        rows.group = self.num_choices
        if labelled:
            rows.of_rows["label_ids"] = np.repeat(self._label_ids(examples), self.num_choices)
        return rows

    def weights(self, batch):
        """Number of examples."""
        return {"choice_loss": tf.cast(tf.shape(batch["label_ids"])[0], tf.float32)}

    def row_logits(self, output):
        """The logit of each choice, as rows: [R, 1] -> [R]."""
        return output[:, 0]

    def answers(self, output, batch):
        """Logits of the choices, [B, C]."""
        return tf.reshape(self.row_logits(output), [-1, self.num_choices])

    def probabilities(self, logits):
        """Probabilities of the choices, float32 [B, C], from their `logits` [B, C] or [B * C]."""
        return tf.nn.softmax(tf.reshape(logits, [-1, self.num_choices]))

    def sums(self, model, batch, seed=None):
        """(sum, weight) of `choice_loss`, in nats, and of `choice_accuracy`."""
        logits, labels = self.answers_of(model, batch, seed), batch["label_ids"]  # [B, C], [B]
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        weight = self.weights(batch)["choice_loss"]
        return {
            "choice_loss": (tf.reduce_sum(loss), weight),
            "choice_accuracy": (tf.reduce_sum(right_answers(logits, labels)), weight),
        }

    def outputs(self, model, batch):
        """`probabilities` float32 [B, C]."""
        return {"probabilities": self.probabilities(self.answers_of(model, batch))}

    def predictions(self, examples, rows, outputs):
        """`choice`, the index of the likeliest, its `text`, and `probabilities`."""
        return [
            {
                "text": text,
                "choice": int(probabilities.argmax()),
                "choice_text": choices[int(probabilities.argmax())],
                "probabilities": probabilities.tolist(),
            }
            for text, choices, probabilities in zip(
                examples.columns["text"],
                examples.columns["choices"],
                outputs["probabilities"],
                strict=True,
            )
        ]

    def scores(self, examples, predictions):
        """Accuracy."""
        chosen = np.array([row["choice"] for row in predictions])
        return {"accuracy": metrics.accuracy(self._label_ids(examples), chosen)}

    def golds(self, examples):
        """The index of the right choice."""
        return self._label_ids(examples).tolist()

    def baseline(self, train, examples):
        """Scores of always choosing the place that is most often right in training."""
        ids = (self._label_ids(part) for part in (train, examples))
        return {"accuracy": metrics.majority_baseline(*ids)}

    def served(self, model, tokenizer):
        """Choices among texts."""
        return ServedChoice(self, model, tokenizer)

    def _label_ids(self, examples) -> np.ndarray:
        """Index of the right choice of each example, int32."""
        labels = tables.labels(examples, self.answer_column)
        for row, label in enumerate(labels):
            if not label.isdecimal() or int(label) >= self.num_choices:
                raise InputError(
                    "no-such-label",
                    f"found label {examples.columns[self.answer_column][row]!r} in "
                    f"{examples.where(row)}; wanted the index of "
                    f"the right choice, 0 to {self.num_choices - 1}",
                )
        return np.array([int(label) for label in labels], np.int32)


class ServedChoice(ServedKind):
    """`choice` int32 [B], the index of the likeliest, its `score`, `probabilities` [B, choices]."""

    ids_rank = 3

    def __init__(self, kind, model, tokenizer):
        """Arguments as for `ServedKind`."""
        super().__init__(kind, model, tokenizer)
        self.inputs = {"text": (), "choices": (kind.num_choices,)}

    def rows(self, inputs):
        """Rows [CLS] text [SEP] choice [SEP], one a choice."""
        first = self.graph.tokenize(tf.repeat(inputs["text"], self.kind.num_choices))
        return self.cut(self.graph.tokenize(tf.reshape(inputs["choices"], [-1])), first)

    def features(self, inputs):
        """Features [B, choices, L]."""
        return {
            name: tf.reshape(feature, [-1, self.kind.num_choices, tf.shape(feature)[-1]])
            for name, feature in super().features(inputs).items()
        }

    def answers(self, inputs):
        """The choice of each example, by a softmax over the logits of its choices."""
        return self._chosen(self.over(self.rows(inputs))["logits"])

    def of_rows(self, features):
        """`logits` [R]."""
        return {"logits": self.kind.row_logits(self.model(features))}

    def of_ids(self, features):
        """The choice of each example, from rows [B, choices, L] in place of texts."""
        return self._chosen(self.of_rows(ungrouped(features))["logits"])

    def _chosen(self, logits):
        """The likeliest choice of each text."""
        probabilities = self.kind.probabilities(logits)
        return {
            "choice": tf.argmax(probabilities, -1, tf.int32),
            "score": tf.reduce_max(probabilities, -1),
            "probabilities": probabilities,
        }

    def predictions(self, outputs, texts):
        """`choice`, `choice_text` and `probabilities`."""
        return [
            {
                "choice": int(choice),
                "choice_text": choices[choice],
                "probabilities": probabilities.tolist(),
            }
            for choice, probabilities, choices in zip(
                outputs["choice"], outputs["probabilities"], texts["choices"], strict=True
            )
        ]


def _source(path, columns, answer: tuple[str, ...], encoding: str):
    """The table with lists of choices, or with a column of each."""
    if suffix_of(path) in _LISTS:
        return tables.source(path, ("text", "choices", *answer), (), columns, encoding=encoding)
    further = tuple(f"choice_{i}" for i in range(2, MAX_CHOICES))
    required = ("text", "choice_0", "choice_1", *answer)
    return tables.source(path, required, further, columns, encoding=encoding)

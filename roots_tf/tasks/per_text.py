"""What kinds share that give one answer to a text, or to a pair of texts, from a labelled table."""

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

from roots_tf import spelling
from roots_tf.labelled import lazy_text, tables, text_files
from roots_tf.labelled.source import Source
from roots_tf.labelled.tables import Table
from roots_tf.labelled.token_rows import cut
from roots_tf.storage.files import InputError
from roots_tf.tasks.finetuning import FineTuning
from roots_tf.tasks.served_graph import ServedKind


@dataclasses.dataclass(frozen=True)
class PerText(FineTuning):
    """One answer a text or a pair of texts: tables with `text`, `text_pair` and the answer.

    Attributes:
        pairs: whether the examples of the training file have a `text_pair`.
    """

    pairs: bool = False

    def read(self, path, columns, labelled=True, encoding="utf-8"):
        """Tables; unlabelled also `.txt` with a text a line, where no pairs are wanted.

        A blank `text_pair` is an empty text; where pairs are wanted the column must be there.
        """
        if not (labelled or self.pairs):
            return read_unlabelled(path, columns, encoding)
        pair = ("text_pair",)
        required, optional = (
            ("text", *pair) if self.pairs else ("text",),
            () if self.pairs else pair,
        )
        required += (self.answer_column,) if labelled else ()
        return tables.read(path, required, optional, columns, may_be_blank=pair, encoding=encoding)

    def source(self, path, columns, encoding="utf-8"):
        """The table, or lines of `.txt`."""
        if not self.pairs:
            return unlabelled_source(path, columns, encoding)
        names, pair = ("text", "text_pair"), ("text_pair",)
        return tables.source(path, names, (), columns, may_be_blank=pair, encoding=encoding)

    def learn(self, examples):
        """This kind with whether there are pairs."""
        return dataclasses.replace(self, pairs="text_pair" in examples.columns)

    def rows(self, examples, tokenizer, labelled=True):
        """Rows [CLS] text [SEP], or [CLS] text [SEP] text_pair [SEP], with `targets`."""
        if self.pairs and "text_pair" not in examples.columns:
            raise InputError(
                "no-such-column",
                f"found no text_pair in {examples.path}, and pairs in the training file; wanted "
                "the column, which may have blank cells, in both or in neither",
            )
        encoded = tokenizer.encode(tables.strings(examples, "text"))
        first = None
        if "text_pair" in examples.columns:
            first, encoded = encoded, tokenizer.encode(tables.strings(examples, "text_pair"))
        rows = cut(*encoded, tokenizer, self.max_seq_length, self.stride, first=first)
        if labelled:
            rows.of_rows |= {
                name: values[rows.texts] for name, values in self.targets(examples).items()
            }
        return rows

    def targets(self, examples: Table) -> dict[str, np.ndarray]:
        """What the loss compares with the answers to each text, by the name of the feature."""
        raise NotImplementedError


class ServedPerText(ServedKind):
    """The graph of a kind of one answer a text: `text`, and `text_pair` where there are pairs."""

    def __init__(self, kind, model, tokenizer):
        """Arguments as for `ServedKind`."""
        super().__init__(kind, model, tokenizer)
        self.inputs = {"text": ()} | ({"text_pair": ()} if kind.pairs else {})

    def of_rows(self, features):
        """The kind's outputs."""
        return self.kind.outputs(self.model, features)


def read_unlabelled(path: str | Path, columns: dict[str, str], encoding: str = "utf-8") -> Table:
    """Texts without answers: `.txt` with a text a line, a folder of texts, or a table with `text`.

    Args:
        path: the file.
        columns: what the file calls some columns, by their names here.
        encoding: name of that of the file.

    Raises:
        InputError: something is wrong with the file; names the line.
    """
    return unlabelled_source(path, columns, encoding).read()


def unlabelled_source(path: str | Path, columns: dict[str, str], encoding: str = "utf-8") -> Source:
    """What `read_unlabelled` reads; arguments and errors as for it, the latter as rows are read."""
    if text_files.suffix_of(path) != ".txt" or not Path(path).is_file():
        return tables.source(path, ("text",), ("text_pair",), columns, encoding=encoding)
    _, first = next(text_files.lines_of(lazy_text.text_of(path, encoding)), (0, ""))
    if first.startswith("__label__"):  # the labels that finetune reads
        return tables.source(path, ("text",), (), columns, encoding=encoding)
    tables.refuse_columns(columns, path)
    if not first:
        raise InputError("empty-input", f"found no text in {path}; wanted a text a line")

    def rows(text_of):
        for line, text in text_files.lines_of(text_of(path, encoding)):
            yield line, {"text": text}

    return Source(str(path), rows, ("text",))


def mean_of_windows(values, texts) -> tf.Tensor:
    """Mean over the windows of each text: [R, ...] -> [B, ...].

    Args:
        values: of each window, float.
        texts: int32 [R], the text that a window is from, in order; no text is without one.
    """
    return tf.math.segment_mean(values, texts)


def label_ids(examples: Table, column: str, names: tuple[str, ...]) -> np.ndarray:
    """Index of each label among the names, int32 [examples].

    Args:
        examples: a labelled table.
        column: the one of the labels.
        names: of the classes.

    Raises:
        InputError: a label is not among the names.
    """
    index = {tables.label_name(name): i for i, name in enumerate(names)}
    labels = tables.labels(examples, column)
    for row, label in enumerate(labels):
        if label not in index:
            raise InputError(
                "no-such-label",
                f"found label {label!r} in {examples.where(row)}; wanted one of the {len(names)} "
                f"labels of the training file: {', '.join(names[:10])}"
                f"{spelling.suggestion(label, names)}",
            )
    return np.array([index[label] for label in labels], np.int32)


def right_answers(logits: tf.Tensor, label_ids: tf.Tensor) -> tf.Tensor:
    """1 where the highest logit is the label's, else 0: float32 [...].

    Args:
        logits: [..., C].
        label_ids: int32 [...].
    """
    return tf.cast(tf.argmax(logits, -1, tf.int32) == label_ids, tf.float32)


def texts_of(examples: Table, index: int) -> dict[str, str]:
    """The texts of one example, which a prediction repeats.

    Args:
        examples: a table.
        index: of the example.
    """
    return {
        name: "" if examples.columns[name][index] is None else examples.columns[name][index]
        for name in ("text", "text_pair")
        if name in examples.columns
    }

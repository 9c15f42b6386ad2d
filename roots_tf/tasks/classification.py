"""Text classification: labelled files, batches of them, the loss and the scores."""

import json
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from roots_tf import tokenizers
from roots_tf.files import InputError
from roots_tf.tokenizers import packing


class Labelled(NamedTuple):
    """Texts and the name of each one's class."""

    texts: list[str]
    labels: list[str]


def read(path: str | Path) -> Labelled:
    """Reads a labelled file: JSON lines with `text` and `label`, or lines of text TAB label.

    Raises:
        InputError: the file is missing, empty or not UTF-8, or a line lacks its text or label; the
            message names the line.
    """
    path, found = Path(path), Labelled([], [])
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise InputError(f"found no file {path}; wanted labelled examples") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"found bytes that are not UTF-8 in {path} at offset {error.start}; convert it first"
        ) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if path.suffix == ".jsonl":
            text, label = _from_json(line)
            wanted = 'a JSON object with "text" and "label"'
        else:
            text, _, label = line.rpartition("\t")
            wanted = "text, a tab, and a label"
        if not text or label in ("", None):
            raise InputError(f"found {line[:80]!r} in {path}, line {number}; wanted {wanted}")
        found.texts.append(text)
        found.labels.append(str(label))
    if not found.texts:
        raise InputError(f"found no examples in {path}; wanted lines of text and label")
    return found


def _from_json(line: str) -> tuple[str, object]:
    try:
        row = json.loads(line)
        return row["text"], row["label"]
    except (ValueError, KeyError, TypeError):
        return "", ""


def label_ids(examples: Labelled, names: tuple[str, ...], path: str) -> np.ndarray:
    """Index of each example's label in `names`, int32.

    Raises:
        InputError: a label is not among the names.
    """
    index = {name: i for i, name in enumerate(names)}
    if unseen := sorted(set(examples.labels) - set(names)):
        raise InputError(
            f"found label {unseen[0]!r} in {path}; wanted one of the {len(names)} labels of the "
            f"training file: {', '.join(names[:10])}"
        )
    return np.array([index[label] for label in examples.labels], np.int32)


def encode(texts: list[str], tokenizer: tokenizers.Tokenizer, length: int) -> dict[str, np.ndarray]:
    """Features of texts: `token_ids`, `segment_ids` and `padding_mask`, each [texts, length]."""
    ids, row_splits = tokenizer.encode(texts)
    ragged = tf.RaggedTensor.from_row_splits(ids, row_splits, validate=False)
    packed = packing.pack(ragged, None, length, tokenizer)
    return {name: feature.numpy() for name, feature in packed.items()}


def train_batches(
    features: dict[str, np.ndarray], batch_size: int, seed: int, start_step: int = 0
) -> tf.data.Dataset:
    """Endless batches; that of step s is a pure function of (features, seed, s).

    Every example comes once an epoch, in an order of its own each epoch.
    """
    count = len(features["token_ids"])
    tensors = {name: tf.constant(values) for name, values in features.items()}

    def rows_of(epoch):
        keys = tf.random.stateless_uniform(
            [count], [seed, epoch], None, None, tf.int64, alg="philox"
        )
        return tf.data.Dataset.from_tensors(tf.argsort(keys))

    first_row = start_step * batch_size
    epochs = tf.data.Dataset.range(first_row // count, 1 << 40)
    rows = epochs.flat_map(rows_of).unbatch().skip(first_row % count)
    return (
        rows.batch(batch_size, drop_remainder=True)
        .map(lambda rows: {name: tf.gather(tensor, rows) for name, tensor in tensors.items()})
        .prefetch(tf.data.AUTOTUNE)
    )


def batches_in_order(features: dict[str, np.ndarray], batch_size: int) -> tf.data.Dataset:
    """Every example once, in order; the last batch may be smaller."""
    return tf.data.Dataset.from_tensor_slices(features).batch(batch_size)


class Classification:
    """Cross entropy over classes.

    Args:
        model: a `roots_tf.models.Classifier`.
    """

    losses = ("classification_loss",)

    def __init__(self, model: keras.Model):
        self.model = model

    def weights(self, batch):
        """Number of examples."""
        return {"classification_loss": tf.cast(tf.shape(batch["label_ids"])[0], tf.float32)}

    def sums(self, batch, seed=None):
        """(sum, weight) of `classification_loss`, in nats, and of `classification_accuracy`."""
        logits, labels = self.model(batch, seed=seed), batch["label_ids"]  # [B, labels], [B]
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        right = tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.float32)
        count = tf.cast(tf.shape(labels)[0], tf.float32)
        return {
            "classification_loss": (tf.reduce_sum(loss), count),
            "classification_accuracy": (tf.reduce_sum(right), count),
        }


def predict(model: keras.Model, dataset: tf.data.Dataset) -> np.ndarray:
    """Logits of every example, float32 [examples, labels]."""
    logits = tf.function(lambda batch: model(batch))
    return np.concatenate([logits(batch).numpy() for batch in dataset])

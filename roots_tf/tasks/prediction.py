"""A trained model's outputs and predictions for examples."""

import keras
import numpy as np
import tensorflow as tf

from roots_tf import progress
from roots_tf.labelled.token_rows import RowBatcher, TokenRows, batches_by_length
from roots_tf.tasks.finetuning import FineTuning
from roots_tf.tokenizers import Tokenizer


def predict(
    kind: FineTuning, model: keras.Model, rows: TokenRows, batch_size: int, pad_id: int
) -> dict[str, list[np.ndarray]]:
    """Outputs of every example, in order; those by token without padding.

    Args:
        kind: of task.
        model: as `kind.make_model` gives it.
        rows: of the examples.
        batch_size: examples computed at once, those of similar length together.
        pad_id: id that stands on padding.
    """
    batcher = RowBatcher(rows, pad_id)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def run(examples):
        return kind.outputs(model, batcher(examples))

    outputs: dict[str, list] = {}
    total = len(rows) // rows.group
    batches = batches_by_length(rows, batch_size)
    for examples in progress.track(batches, "predict", total, "examples", len):
        for name, values in run(tf.constant(examples)).items():
            ordered = outputs.setdefault(name, [None] * total)
            for example, value in zip(examples, values.numpy(), strict=True):
                ordered[example] = value[: rows.lengths[example]] if kind.by_token else value
    return outputs


def answer(
    kind: FineTuning,
    model: keras.Model,
    tokenizer: Tokenizer,
    examples,
    *,
    batch_size: int,
    labelled: bool = False,
) -> list[dict]:
    """A model's predictions for examples, one JSON object an example.

    Args:
        kind: of task.
        model: as `kind.make_model` gives it.
        tokenizer: the model's.
        examples: as `kind.read` gives them.
        batch_size: examples computed at once.
        labelled: whether the examples' own answers are checked.

    Raises:
        InputError: an answer is none that the training file had; names the line.
    """
    rows = kind.rows(examples, tokenizer, labelled)
    outputs = predict(kind, model, rows, batch_size, tokenizer.pad_id)
    return kind.predictions(examples, rows, outputs)

"""A trained model's outputs and predictions for examples."""

import keras
import numpy as np
import tensorflow as tf

from roots_tf import progress
from roots_tf.labelled.token_rows import TokenRows, batches_by_length
from roots_tf.tasks.finetuning import FineTuning
from roots_tf.tokenizers import Tokenizer


class Predictor:
    """A model that is asked several times: what was compiled for one question serves the next.

    Args:
        kind: of task.
        model: as `kind.make_model` gives it.
    """

    def __init__(self, kind: FineTuning, model: keras.Model):
        self._kind, self._model, self._compiled = kind, model, {}
        self._decoders: dict = {}  # by rows at once: each has compiled its search

    def __call__(self, rows: TokenRows, batch_size: int, pad_id: int) -> dict[str, list]:
        """What predictions are read from; arguments and value as for `predict`."""
        if not self._kind.decodes:
            return self.outputs(rows, batch_size, pad_id)
        if batch_size not in self._decoders:
            made = self._kind.decoder(self._model, rows.tokenizer, batch_size)
            self._decoders[batch_size] = made
        return self._kind.decoded(self._decoders[batch_size], rows)

    def outputs(self, rows: TokenRows, batch_size: int, pad_id: int) -> dict[str, list]:
        """The kind's `outputs` of every example; arguments and value as for `predict`."""
        kind = self._kind
        batcher = kind.batcher(rows, pad_id)
        outputs: dict[str, list] = {}
        total = len(rows) // rows.group
        batches = batches_by_length(rows, batch_size)
        for examples in progress.track(batches, "predict", total, "examples", len):
            features = batcher(tf.constant(examples))
            for name, values in self._run(features).items():
                ordered = outputs.setdefault(name, [None] * total)
                for example, value in zip(examples, values.numpy(), strict=True):
                    ordered[example] = value[: rows.lengths[example]] if kind.by_token else value
        return outputs

    def _run(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Outputs of a batch, by a function that is compiled once for all its sizes."""
        tokens = features["token_ids"].shape[1:]
        shapes = {name: _any_size(tensor.shape, tokens) for name, tensor in features.items()}
        if (key := tuple(sorted(shapes.items()))) not in self._compiled:
            specs = {n: tf.TensorSpec(shape, features[n].dtype) for n, shape in shapes.items()}
            self._compiled[key] = tf.function(
                lambda batch: self._kind.outputs(self._model, batch),
                input_signature=[specs],
                autograph=False,
            )
        return self._compiled[key](features)


def _any_size(shape: tf.TensorShape, tokens: tf.TensorShape) -> tuple[int | None, ...]:
    """The shape of a feature for batches of any number and length; groups keep their size."""
    rest = list(shape[1:])
    return (None, *rest[:-1], None) if shape[1:] == tokens else (None, *rest)


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
    return Predictor(kind, model)(rows, batch_size, pad_id)


def answer(
    kind: FineTuning,
    model: keras.Model,
    tokenizer: Tokenizer,
    examples,
    *,
    batch_size: int,
    labelled: bool = False,
    predictor: Predictor | None = None,
) -> list[dict]:
    """A model's predictions for examples, one JSON object an example.

    Args:
        kind: of task.
        model: as `kind.make_model` gives it.
        tokenizer: the model's.
        examples: as `kind.read` gives them.
        batch_size: examples computed at once.
        labelled: whether the examples' own answers are checked.
        predictor: of the kind and the model, where there is one already.

    Raises:
        InputError: an answer is none that the training file had; names the line.
    """
    rows = kind.rows(examples, tokenizer, labelled)
    predictor = predictor or Predictor(kind, model)
    outputs = predictor(rows, batch_size, tokenizer.causal_pad_id)
    return kind.predictions(examples, rows, outputs)

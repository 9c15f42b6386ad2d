"""A model as a function of rows: token ids in, one output out, for files that other runtimes load.

Texts are cut into tokens outside of such a file. What it answers is compared with this function's
answers before it gets its name.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from roots_tf import models, tokenizers
from roots_tf.models import pooling
from roots_tf.storage.files import InputError
from roots_tf.tokenizers.packing import features_of

_USUAL = models.EmbeddingSettings()
CHECKED_TEXTS = (
    "",
    "A short one.",
    "Return the number of times that the value occurs in the list.",
    "The film is a delight from its first minute to its last, and the score is better still.",
    "Nothing here works: two hours of noise, a plot with holes, and no one to care about.",
    "Ünïcödé — “quotes”, 漢字 and numbers such as 1,024.",
    "word " * 600,
)


class RowModel(tf.Module):
    """What is converted: from rows of token ids to one output.

    Args:
        model: of `roots_tf.models`.
        kind: the `FineTuning` that it was fine-tuned for; None of one without a task.
        pad_id: id that stands on padding.
        length: tokens of a row; 0: as many as are given.
        settings: of the vectors of a model without a task.
    """

    def __init__(
        self,
        model: keras.Model,
        kind,
        pad_id: int,
        length: int,
        settings: models.EmbeddingSettings = _USUAL,
    ):
        super().__init__()
        self._kind, self._pad_id = kind, pad_id
        self._pooling, self._l2_normalize = settings.pooling, settings.l2_normalize
        # A SavedModel keeps what hangs on the module by attribute: the variables, which lists
        # inside Keras would hide; and not the model too, or each weight would be kept twice.
        self.model_variables = [variable.value for variable in model.variables]
        object.__setattr__(self, "_model", model)
        # One row at a time where shapes are fixed: all that a phone asks, and the fast path.
        shape = [1, length] if length else [None, None]
        names = ("token_ids", "segment_ids", "padding_mask")
        specs = [tf.TensorSpec(shape, tf.int32, name=name) for name in names]
        self.serve = tf.function(self.__call__, input_signature=specs, autograph=False)

    def __call__(self, token_ids, segment_ids, padding_mask):
        """Rows [B, L] to one output by name."""
        inside = padding_mask != 0
        features = {
            # Whatever stands on the padding must not index beyond the embedding.
            "token_ids": tf.where(inside, token_ids, self._pad_id),
            "segment_ids": tf.where(inside, segment_ids, 0),
            "padding_mask": inside,
        }
        if self._kind is None:
            how = (self._pooling, self._l2_normalize)
            return {"embedding": pooling.embed(self._model, features, *how)}
        return self._kind.row_output(self._model(self._kind.features(features)), features)


def compare(
    row_model: RowModel,
    run: Callable[..., dict[str, np.ndarray]],
    batches: list[dict[str, np.ndarray]],
) -> dict:
    """How far a file's outputs are from the model's.

    Args:
        row_model: what was written.
        run: gives the outputs of the file, by name, of the three inputs, by name.
        batches: inputs [B, L].

    Returns:
        `output`, its name; `largest_output`; `largest_difference`, NaN where a number is none;
        but of a number a text `least_cosine` between the two answers to a text; and of classes
        `label_agreement`, the share of texts, or of tokens, with the same best label.
    """
    outputs, differences, cosines, same = [], [], [], []
    for inputs in batches:
        ((name, right),) = ((key, value.numpy()) for key, value in row_model(**inputs).items())
        given = run(**inputs)[name]
        for one, other, mask in zip(right, given, inputs["padding_mask"], strict=True):
            if right.ndim == 3:  # an answer a token
                one, other = one[mask != 0], other[mask != 0]
            one, other = np.atleast_1d(one), np.atleast_1d(other)
            outputs.append(np.abs(one).max())
            differences.append(np.abs(other - one).max())
            cosines.append((one * other).sum() / (np.linalg.norm(one) * np.linalg.norm(other)))
            same += np.ravel(one.argmax(-1) == other.argmax(-1)).tolist()
    report = {
        "output": name,
        "largest_output": float(np.max(outputs)),
        "largest_difference": float(np.max(differences)),
    }
    if name != "value":
        report["least_cosine"] = float(np.min(cosines))
    return report | ({"label_agreement": float(np.mean(same))} if name == "logits" else {})


def check(report: dict, tolerance: float) -> None:
    """Refuses a file that answers otherwise than the model.

    Args:
        report: from `compare`.
        tolerance: of a difference, in units of the largest output where that is more than 1.

    Raises:
        InputError: it does.
    """
    tolerance *= max(1.0, report["largest_output"])
    if not report["largest_difference"] <= tolerance:  # nor is NaN
        raise InputError(
            "export-differs",
            f"the file's {report['output']} differs from the model's by "
            f"{report['largest_difference']:.1e}; wanted at most {tolerance:.1e}. Nothing was "
            "exported",
        )


def checked_rows(tokenizer: tokenizers.Tokenizer, length: int, padded: bool) -> list[dict]:
    """Inputs [1, L] for each of `CHECKED_TEXTS`.

    Args:
        tokenizer: the model's.
        length: tokens of a row at most.
        padded: whether all rows have that length.
    """
    rows = []
    for text in CHECKED_TEXTS:
        features = features_of(text, tokenizer, length)
        missing = length - features["token_ids"].shape[1] if padded else 0
        rows.append(
            {
                key: np.pad(value.numpy().astype(np.int32), [(0, 0), (0, missing)])
                for key, value in features.items()
            }
        )
    return rows


def together(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Inputs [1, L] of several lengths as one batch, with zeros behind the shorter ones.

    Args:
        rows: from `checked_rows`.
    """
    longest = max(row["padding_mask"].shape[1] for row in rows)
    return {
        key: np.concatenate(
            [np.pad(row[key], [(0, 0), (0, longest - row[key].shape[1])]) for row in rows]
        )
        for key in rows[0]
    }

"""A model for LiteRT, once called TensorFlow Lite: token ids in, on a phone or a small board.

`model.tflite` has one signature, `serving_default`, of int32 [B, L]:

    token_ids      with [CLS] and [SEP], [PAD] on padding
    segment_ids    1 on the second text of a pair, else 0
    padding_mask   1 on tokens, 0 on padding

and one output: `embedding` [B, H] of a model without a head, pooled and scaled as the model folder
says; `value` [B] of a regression, in the unit of the training file; `logits` [B, labels], of a
tagger [B, L, labels] and of question answering [B, L, 2] for start and end. Texts are cut into
tokens outside, by any reader of the `tokenizer.json` beside it. Of vectors, `litert.json` says how
many tokens a text has at most, and what was put in front of each text; of a tagger, its
`word_unit`: unless that is "spaces", texts are cut into words first, which are joined by spaces.
"""

import dataclasses
import tempfile
import warnings
from pathlib import Path
from typing import Literal, get_args

import keras
import numpy as np
import tensorflow as tf

from roots_tf import models, tasks, tokenizers
from roots_tf.export.new_folder import new_folder
from roots_tf.models import pooling
from roots_tf.storage import files
from roots_tf.storage.files import InputError
from roots_tf.tokenizers.packing import features_of

Quantize = Literal["none", "float16", "int8"]
_USUAL = models.EmbeddingSettings()
SIGNATURE = "serving_default"
TOLERANCE = 1e-4  # of float32 weights; in units of the largest output where that is more than 1
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
        return self._kind.litert_output(self._model(self._kind.features(features)), features)


def write(
    folder: str | Path,
    source: str | Path,
    quantize: Quantize = "none",
    length: int = 0,
    settings: models.EmbeddingSettings | None = None,
) -> dict:
    """Writes a folder with `model.tflite`, the tokenizer and `litert.json`, which is returned.

    Args:
        folder: where to; must not exist, or be empty.
        source: model folder.
        quantize: "float16" halves the weights; "int8" quarters the matrices and multiplies in
            int8, with ranges found as it runs ("dynamic range": no examples are needed).
        length: tokens of a row, for rows one at a time of that length; 0: batches and lengths as
            they are given.
        settings: of vectors; None: as the model folder says.

    Returns:
        `bytes` of the file; `output`, its name; and how it differs from the model's over
        `CHECKED_TEXTS`: `largest_output`, `largest_difference`; `least_cosine` between the two
        answers to a text; and, of classes, `label_agreement`, the share of texts, or of tokens,
        with the same best label.

    Raises:
        InputError: a setting is wrong, `folder` is not new, or a file without quantisation answers
            otherwise than the model.
    """
    described = models.describe(source)
    longest = described["encoder"].max_sequence_length
    if quantize not in get_args(Quantize):
        raise InputError(
            "no-such-choice", f"found quantize={quantize!r}; wanted {', '.join(get_args(Quantize))}"
        )
    if length and not 3 <= length <= longest:
        raise InputError(
            "number-out-of-range",
            f"found a length of {length}; wanted 3 to {longest}, or 0 for any",
        )
    tokenizer = tokenizers.load(source)
    model, kind = models.load(source), tasks.kind_of(described)
    settings = settings or tasks.embedding_settings(described, str(source))
    pooling.check(settings.pooling, model, described, str(source))
    row_model = RowModel(model, kind, tokenizer.pad_id, length, settings)
    with new_folder(folder) as temporary:
        content = convert(row_model, quantize)
        report = {"quantize": quantize, "length": length, "bytes": len(content)}
        if kind is None:
            report["embedding"] = dataclasses.asdict(settings)
        else:
            report |= kind.text_settings()
        report |= compare(
            row_model, content, _rows(tokenizer, length or longest, padded=length > 0)
        )
        tolerance = TOLERANCE * max(1.0, report["largest_output"])
        if quantize == "none" and report["largest_difference"] > tolerance:
            raise InputError(
                "export-differs",
                f"the file's {report['output']} differs from the model's by "
                f"{report['largest_difference']:.1e}; wanted at most {tolerance:.1e}. Nothing was "
                "exported",
            )
        (temporary / "model.tflite").write_bytes(content)
        tokenizer.save(temporary)
        files.write_json(temporary / "litert.json", report)
    return report


def convert(row_model: RowModel, quantize: Quantize) -> bytes:
    """The bytes of a `.tflite`.

    Args:
        row_model: what is converted.
        quantize: as for `write`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        tf.saved_model.save(row_model, scratch, signatures={SIGNATURE: row_model.serve})
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch, signature_keys=[SIGNATURE])
        if quantize != "none":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


def runner(content: bytes):
    """A function from the three inputs, by name, to the outputs, by name."""
    with warnings.catch_warnings():
        # It ships with the TensorFlow that is pinned; `ai-edge-litert` goes on with it.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
        interpreter = tf.lite.Interpreter(model_content=content)
    return interpreter.get_signature_runner(SIGNATURE)


def compare(row_model: RowModel, content: bytes, rows: list[dict[str, np.ndarray]]) -> dict:
    """How far a file's outputs are from the model's, as `write` returns it.

    Args:
        row_model: what was converted.
        content: the bytes of its file.
        rows: inputs [1, L], one a text.
    """
    run, outputs, differences, cosines, same = runner(content), [], [], [], []
    for inputs in rows:
        ((name, right),) = ((key, value.numpy()) for key, value in row_model(**inputs).items())
        given = run(**inputs)[name]
        kept = inputs["padding_mask"] != 0
        if right.ndim == 3:  # an answer a token
            right, given = right[kept], given[kept]
        outputs.append(float(np.abs(right).max()))
        differences.append(float(np.abs(given - right).max()))
        lengths = np.linalg.norm(right) * np.linalg.norm(given)
        cosines.append(float((right * given).sum() / lengths))
        same += np.ravel(right.argmax(-1) == given.argmax(-1)).tolist()
    report = {
        "output": name,
        "largest_output": max(outputs),
        "largest_difference": max(differences),
    }
    if name != "value":
        report["least_cosine"] = min(cosines)
    return report | ({"label_agreement": float(np.mean(same))} if name == "logits" else {})


def _rows(tokenizer: tokenizers.Tokenizer, length: int, padded: bool) -> list[dict]:
    """Inputs of the file for each of `CHECKED_TEXTS`, padded to `length` or not at all."""
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

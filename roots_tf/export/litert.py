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

import tempfile
import warnings
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import tensorflow as tf

from roots_tf import models, tasks, tokenizers
from roots_tf.export import row_folder, row_model
from roots_tf.export.new_folder import new_folder
from roots_tf.export.row_model import RowModel
from roots_tf.models import pooling
from roots_tf.storage.files import InputError

Quantize = Literal["none", "float16", "int8"]
SIGNATURE = "serving_default"
TOLERANCE = 1e-4  # of float32 weights; in units of the largest output where that is more than 1


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
        `bytes` of the file; what `row_folder.description` and `row_model.compare` give; and
        checksums.

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
    rows = RowModel(model, kind, tokenizer.pad_id, length, settings)
    with new_folder(folder) as temporary:
        content = convert(rows, quantize)
        report = {"quantize": quantize, "length": length, "bytes": len(content)}
        report |= row_folder.description(described, kind, settings, length)
        texts = row_model.checked_rows(tokenizer, length or longest, padded=length > 0)
        report |= row_model.compare(rows, runner(content), texts)
        if quantize == "none":
            row_model.check(report, TOLERANCE)
        (temporary / row_folder.LITERT.file).write_bytes(content)
        tokenizer.save(temporary)
        row_folder.write(temporary, row_folder.LITERT, report)
    return report


def convert(rows: RowModel, quantize: Quantize) -> bytes:
    """The bytes of a `.tflite`.

    Args:
        rows: what is converted.
        quantize: as for `write`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        tf.saved_model.save(rows, scratch, signatures={SIGNATURE: rows.serve})
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch, signature_keys=[SIGNATURE])
        if quantize != "none":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


def runner(content: bytes, source: str = "the file"):
    """A function from the three inputs, by name, to the outputs, by name.

    Args:
        content: of a `.tflite`.
        source: what it is, for messages.

    Raises:
        InputError: it is damaged.
    """
    with warnings.catch_warnings():
        # It ships with the TensorFlow that is pinned; `ai-edge-litert` goes on with it.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
        try:
            interpreter = tf.lite.Interpreter(model_content=content)
            signature = interpreter.get_signature_runner(SIGNATURE)
        except (ValueError, RuntimeError) as error:
            raise InputError(
                "file-damaged",
                f"could not load {source}: {' '.join(str(error).split())[:200]}; wanted a whole "
                "file of LiteRT: export the model again",
            ) from error

    def run(wanted: str = "", **inputs):
        # The file has one output. Arrays are copies: the next call writes to the same memory.
        return {name: np.array(value) for name, value in signature(**inputs).items()}

    return run

"""A SavedModel that takes text: tokenizer, packing and model in one graph.

    serving_default   text: string [B]                             -> outputs by the kind of model
    ids               token_ids int32 [B, L], padding_mask [B, L]  -> the same outputs

A classifier gives `label` string [B], `score` float32 [B] and `probabilities` float32 [B, labels];
a pretrained encoder gives `embedding` float32 [B, H], the mean over the tokens of each text.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from roots_tf import files
from roots_tf.files import InputError
from roots_tf.tokenizers import Tokenizer, packing

# Loads a SavedModel as a server does: nothing but TensorFlow and the ops of tensorflow-text.
_LOAD_AND_RUN = """
import json, sys
import numpy as np, tensorflow as tf, tensorflow_text
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
texts = json.load(open(sys.argv[2], encoding="utf-8"))
outputs = signature(text=tf.constant(texts))
np.savez(sys.argv[3], **{name: value.numpy() for name, value in outputs.items()})
assert not any(name.startswith("roots_tf") for name in sys.modules)
"""

CHECKED_TEXTS = (
    "",
    "A short one.",
    "Return the number of times that the value occurs.",
    "Ünïcödé — “quotes”, ﬁ ligature, ½, 漢字, emoji 👩‍👧.",
    "\u202eright to left\u202c, \u0000 NUL and \ufffd.",
    "[MASK] and [SEP] in the text",
    "word " * 2_000,
    "x" * 5_000,
)


class Serving(tf.Module):
    """What is saved.

    Args:
        model: a `Pretrainer` or a `Classifier`.
        tokenizer: the one that the model was trained with.
        max_seq_length: tokens of a text at most; the rest is cut off.
        labels: names of a classifier's classes.
    """

    def __init__(
        self,
        model: keras.Model,
        tokenizer: Tokenizer,
        max_seq_length: int,
        labels: tuple[str, ...] = (),
    ):
        super().__init__()
        self._model, self._tokenizer, self._length = model, tokenizer, max_seq_length
        self._labels = tuple(labels)
        self._graph = tokenizer.graph()
        # A SavedModel keeps what hangs on the module by attribute; lists inside Keras do not.
        self.model_variables = [variable.value for variable in model.variables]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def serve_text(self, text):
        """`serving_default`: string [B]."""
        features = packing.pack(self._graph.tokenize(text), None, self._length, self._tokenizer)
        # Columns that are padding in every row cost time and change nothing.
        used = tf.reduce_max(tf.reduce_sum(tf.cast(features["padding_mask"], tf.int32), -1))
        used = tf.maximum(used, 1)  # of a batch of none
        return self.outputs({name: feature[:, :used] for name, feature in features.items()})

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.int32, name="token_ids"),
            tf.TensorSpec([None, None], tf.int32, name="padding_mask"),
        ]
    )
    def serve_ids(self, token_ids, padding_mask):
        """`ids`: token ids with [CLS] and [SEP], and 1 where they are no padding."""
        inside = padding_mask != 0
        return self.outputs(
            {
                # Whatever stands on the padding must not index beyond the embedding.
                "token_ids": tf.where(inside, token_ids, self._tokenizer.pad_id),
                "segment_ids": tf.zeros_like(token_ids),
                "padding_mask": inside,
            }
        )

    def outputs(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Named outputs of features [B, L]."""
        if self._labels:
            probabilities = tf.nn.softmax(self._model(features))  # [B, labels]
            return {
                "label": tf.gather(tf.constant(self._labels), tf.argmax(probabilities, -1)),
                "score": tf.reduce_max(probabilities, -1),
                "probabilities": probabilities,
            }
        hidden_states = tf.cast(self._model.encoder(features), tf.float32)  # [B, L, H]
        inside = tf.cast(features["padding_mask"], tf.float32)[:, :, None]  # [B, L, 1]
        return {"embedding": tf.reduce_sum(hidden_states * inside, 1) / tf.reduce_sum(inside, 1)}


def export(serving: Serving, folder: str | Path, version: int = 1) -> Path:
    """Writes `<folder>/<version>`, after a fresh process has given the same answers from it.

    Args:
        serving: what to save.
        folder: the model's folder, as TF Serving names it.
        version: number of the version.

    Returns:
        Path of the SavedModel.

    Raises:
        InputError: that version stands there already, or the saved model answers differently.
    """
    target = Path(folder, str(version)).resolve()
    if target.exists():
        raise InputError(f"found {target}; wanted a new version: remove it or give --version")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{version}.{os.getpid()}.tmp")
    try:
        signatures = {"serving_default": serving.serve_text, "ids": serving.serve_ids}
        tf.saved_model.save(serving, str(temporary), signatures=signatures)
        operations = custom_operations(temporary)
        files.write_json(temporary / "ops.json", {"not_core_tensorflow": operations})
        check(serving, temporary)
        temporary.rename(target)
    except OSError as error:
        raise InputError(f"could not write {target}: {error.strerror}; make room") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def custom_operations(saved_model: str | Path) -> list[str]:
    """Names of the ops of a SavedModel that are not TensorFlow's own, sorted."""
    from tensorflow.core.protobuf import saved_model_pb2

    message = saved_model_pb2.SavedModel()
    message.ParseFromString(Path(saved_model, "saved_model.pb").read_bytes())
    names = set()
    for meta_graph in message.meta_graphs:
        graph = meta_graph.graph_def
        names |= {node.op for node in graph.node}
        names |= {node.op for function in graph.library.function for node in function.node_def}
    return sorted(name for name in names if not hasattr(tf.raw_ops, name))


def check(serving: Serving, saved_model: str | Path) -> None:
    """Compares a saved model, loaded in a fresh process, with the Python model in this one.

    Raises:
        InputError: an output differs by more than 1e-5.
    """
    with tempfile.TemporaryDirectory() as scratch:
        texts, answers = Path(scratch, "texts.json"), Path(scratch, "answers.npz")
        texts.write_text(json.dumps(CHECKED_TEXTS), "utf-8")
        run = subprocess.run(
            [sys.executable, "-c", _LOAD_AND_RUN, str(saved_model), str(texts), str(answers)],
            capture_output=True,
            text=True,
            cwd=scratch,
        )
        if run.returncode:
            raise InputError(f"the saved model does not load in a fresh process: {run.stderr}")
        found = dict(np.load(answers, allow_pickle=True))
    wanted = _bulk_answers(serving)
    for name, expected in wanted.items():
        same = (
            np.allclose(found[name], expected, atol=1e-5)
            if expected.dtype == np.float32
            else np.array_equal(found[name], expected)
        )
        if not same:
            raise InputError(
                f"the saved model's {name} differs from the Python model's: found {found[name]}; "
                f"wanted {expected}. Nothing was exported"
            )


def _bulk_answers(serving: Serving) -> dict[str, np.ndarray]:
    """Outputs for `CHECKED_TEXTS` by the road that training takes: the bulk tokenizer."""
    tokenizer = serving._tokenizer
    ids, row_splits = tokenizer.encode(CHECKED_TEXTS)
    ragged = tf.RaggedTensor.from_row_splits(ids, row_splits)
    features = packing.pack(ragged, None, serving._length, tokenizer)
    return {name: value.numpy() for name, value in serving.outputs(features).items()}

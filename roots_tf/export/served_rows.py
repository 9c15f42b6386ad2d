"""The graph that is served of a file of rows: texts in and answers out, as of a SavedModel.

The tokenizer, the rows of texts and what is made of the file's outputs are the graph that a
SavedModel has, traced anew; in the place of the model it calls another runtime.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from roots_tf import tasks, tokenizers
from roots_tf.export import litert, row_folder
from roots_tf.export.embedding import Embedding
from roots_tf.export.row_folder import Description, Format
from roots_tf.models import EncoderConfig
from roots_tf.storage import files
from roots_tf.storage.files import InputError
from roots_tf.tasks.served_graph import ServedGraph

LARGEST = 1 << 31  # bytes of a file of either format


class RowFile:
    """A file of rows in the place of a model, as `ServedGraph` takes one.

    Args:
        config: sizes of the encoder.
        output: name of the file's first output.
        run: gives outputs, by name, of the three inputs, by name, and of `wanted`, the one output
            that is asked for.
        kind: the `FineTuning` of the model, or None.
        length: tokens that each row must have, of a file that takes one row at a time; 0: any.
    """

    variables = ()  # whose weights are in the file

    def __init__(self, config: EncoderConfig, output: str, run: Callable, kind, length: int = 0):
        self.config, self._output, self._run = config, output, run
        self._kind, self._length = kind, length

    def __call__(self, features: dict[str, tf.Tensor], seed=None) -> tf.Tensor:
        """What the model gives for rows [R, L]; nothing is drawn."""
        output = self.rows(features, self._output)
        return output if self._kind is None else self._kind.of_row_output(output)

    def rows(self, features: dict[str, tf.Tensor], wanted: str) -> tf.Tensor:
        """An output of the file.

        Args:
            features: of rows [R, L].
            wanted: name of the output.
        """
        names = ("token_ids", "segment_ids", "padding_mask")
        given = [tf.cast(features[name], tf.int32) for name in names]

        def compute(*arrays):
            return self._of_arrays(dict(zip(names, arrays, strict=True)), wanted)

        output = tf.numpy_function(compute, given, tf.float32, stateful=False)
        return tf.ensure_shape(output, self._shape(wanted))

    def _of_arrays(self, inputs: dict[str, np.ndarray], wanted: str) -> np.ndarray:
        if not self._length:
            return self._run(wanted=wanted, **inputs)[wanted]
        length = inputs["token_ids"].shape[1]
        rest = [(0, 0), (0, self._length - length)]
        padded = {name: np.pad(array, rest) for name, array in inputs.items()}
        outputs = [
            self._run(wanted=wanted, **{name: array[i : i + 1] for name, array in padded.items()})
            for i in range(len(inputs["token_ids"]))
        ]
        found = np.concatenate([output[wanted] for output in outputs])
        return found[:, :length] if self._has_tokens(wanted) else found

    def _has_tokens(self, wanted: str) -> bool:
        """Whether an output has an axis of tokens."""
        by_token = self._kind is not None and self._kind.model == "token_classifier"
        return wanted == "last_hidden_state" or (wanted == "logits" and by_token)

    def _shape(self, wanted: str) -> list[int | None]:
        if wanted == "value":
            return [None]
        width = self._kind.num_outputs if wanted == "logits" else self.config.hidden_dim
        return [None, None, width] if self._has_tokens(wanted) else [None, width]


class RowFileWithStates(RowFile):
    """A file that also has the states of tokens."""

    def encoder(self, features: dict[str, tf.Tensor]) -> tf.Tensor:
        """Hidden states [R, L, H] of rows; `features` as for `rows`."""
        return self.rows(features, "last_hidden_state")


def load(folder: str | Path, format_: Format) -> ServedGraph:
    """The graph of a folder.

    Args:
        folder: that export wrote.
        format_: of `row_folder`.

    Raises:
        InputError: something in the folder is damaged or missing, or its answers cannot be served.
    """
    described = row_folder.read(folder, format_)
    path = Path(folder, format_.file)
    content = files.read_bytes(path, "the file that export writes", LARGEST)
    kind, tokenizer = _kind(described, path), tokenizers.load(folder)
    config, output = described.model.encoder, row_folder.output_of(kind)
    if described.output != output:
        raise InputError(
            "wrong-json",
            f"found output={described.output!r} in {Path(folder, format_.description)}; wanted "
            f"{output!r}, as the model beside it has: export the model again",
        )
    if tokenizer.size > config.vocabulary_size:
        raise InputError(
            "wrong-vocabulary",
            f"found {tokenizer.size} tokens in {folder} and vocabulary_size="
            f"{config.vocabulary_size} in its {format_.description}; wanted no more tokens than "
            "rows: the tokenizer is of another model, copy its own",
        )
    if format_ == row_folder.LITERT:
        run = litert.runner(content, str(path))
        model = RowFile(config, output, run, kind, described.length)
    else:
        from roots_tf.export import onnx_folder  # needs an extra

        run = onnx_folder.runner(content, str(path))
        of_rows = RowFileWithStates if output == "embedding" else RowFile
        model = of_rows(config, output, run, kind)
    if kind is None:
        served = Embedding(model, tokenizer, described.embedding, described.max_seq_length)
    else:
        served = kind.served(model, tokenizer)
    if output == "embedding":  # pooled and scaled already
        served.of_rows = lambda features: {"embedding": model(features)}
    return served


def _kind(described: Description, path: Path):
    """The kind of the model, whose rows are as long as the folder says; None without a task.

    Raises:
        InputError: it is none that is served from such a file.
    """
    model = described.model
    if not model.task:
        return None
    kind = tasks.restore(dataclasses.asdict(model) | {"encoder": model.encoder})
    if kind.model == "pretrainer" or (kind.has_labels() and not kind.labels):
        lacks = "names of its labels" if kind.has_labels() else "logits of its words"
        raise InputError(
            "wrong-model-kind",
            f"found a model of the task {kind.name} in {path}, which lacks {lacks}; wanted "
            "--format=saved_model of the export",
        )
    return kind

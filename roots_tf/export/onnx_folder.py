"""A model for ONNX Runtime and other readers of ONNX: token ids in, plain tensors out.

`model.onnx` is of the standard operators alone. Its inputs are int64 [B, L], as other encoders in
ONNX have them:

    input_ids        with [CLS] and [SEP], [PAD] on padding
    attention_mask   1 on tokens, 0 on padding
    token_type_ids   1 on the second text of a pair, else 0; none of a model that does not tell them

and its outputs float32: of a model without a task `embedding` [B, H], pooled and scaled as the
model folder says, and `last_hidden_state` [B, L, H]; of one of vectors that was fine-tuned the
same; `value` [B] of a regression, in the unit of the training file; else `logits` [B, labels], of a
tagger [B, L, labels] and of question answering [B, L, 2] for start and end. B and L are free. A
pretrained model's head over the vocabulary is a file of its own, `masked_lm.onnx`, from states
`hidden_states` [R, H] to `logits` [R, V], so that only those of masks cost a row of V. Beside them
stand `tokenizer.json` and `onnx.json`, see `row_folder`.
"""

import logging
import os
import tempfile
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
from onnx import TensorProto
from onnxruntime import quantization

import roots_tf
from roots_tf import models, tasks, tokenizers
from roots_tf.export import causal_folders, onnx_heads, row_folder, row_model
from roots_tf.export.new_folder import new_folder
from roots_tf.export.onnx_encoder import OnnxEncoder
from roots_tf.export.onnx_graph import OnnxGraph
from roots_tf.export.row_model import RowModel
from roots_tf.models import pooling, relative, rotary, sinusoidal
from roots_tf.models.config import ADDED
from roots_tf.storage.files import InputError

Quantize = Literal["none", "int8"]
TOLERANCE = 1e-5  # of float32 weights; in units of the largest output where that is more than 1
MASKED_LM = "masked_lm.onnx"
TOGETHER = 64  # tokens of a checked text that is also asked in a batch with others
_NAMES = {
    "input_ids": "token_ids",
    "attention_mask": "padding_mask",
    "token_type_ids": "segment_ids",
}


def write(
    folder: str | Path,
    source: str | Path,
    quantize: Quantize = "none",
    length: int = 0,
    settings: models.EmbeddingSettings | None = None,
) -> dict:
    """Writes a folder with `model.onnx`, the tokenizer and `onnx.json`, which is returned.

    Args:
        folder: where to; must not exist, or be empty.
        source: model folder.
        quantize: "int8" quarters the matrices and tables, and multiplies in int8 with
            ranges found as it runs (dynamic quantisation: no examples are needed).
        length: tokens of a row at most, for whoever serves it; 0: as in training, or as the
            settings say.
        settings: of vectors; None: as the model folder says.

    Returns:
        `bytes` of the file; what `row_folder.description` and `row_model.compare` give; of a file
        with the vocabulary `masked_lm_difference`, the largest of a logit; and checksums.

    Raises:
        InputError: a setting is wrong, the model has an answer that a file of rows does not hold,
            `folder` is not new, or a file without quantisation answers otherwise than the model.
    """
    described = models.describe(source)
    if quantize not in get_args(Quantize):
        raise InputError(
            "no-such-choice", f"found quantize={quantize!r}; wanted {', '.join(get_args(Quantize))}"
        )
    kind = tasks.kind_of(described)
    if kind and kind.model == "pretrainer":
        raise InputError(
            "cannot-export",
            f"found a model of the task {kind.name}, whose answers are words of the vocabulary; "
            "a file of ONNX holds logits or vectors: wanted --format=saved_model",
        )
    causal_folders.refuse_other_parts(described["encoder"], ADDED, str(source), "a file of ONNX")
    tokenizer, model = tokenizers.load(source), models.load(source)
    settings = settings or tasks.embedding_settings(described, str(source))
    pooling.check(settings.pooling, model, described, str(source))
    rows = RowModel(model, kind, tokenizer.pad_id, 0, settings)
    with new_folder(folder) as temporary:
        content = stored(graph_of(model, kind, settings), quantize)
        report = {"quantize": quantize, "bytes": len(content)}
        report |= row_folder.description(described, kind, settings, length)
        longest = described["encoder"].max_sequence_length
        report |= row_model.compare(rows, runner(content), _batches(tokenizer, longest))
        if quantize == "none":
            row_model.check(report, TOLERANCE)
        (temporary / row_folder.ONNX.file).write_bytes(content)
        if kind is None and isinstance(model, models.Pretrainer):
            report |= _write_masked_lm(temporary / MASKED_LM, model, quantize)
        tokenizer.save(temporary)
        row_folder.write(temporary, row_folder.ONNX, report)
    return report


def graph_of(model, kind, settings: models.EmbeddingSettings) -> onnx.ModelProto:
    """A model from ids to answers.

    Args:
        model: of `roots_tf.models`.
        kind: the `FineTuning` that it was fine-tuned for; None of one without a task.
        settings: of vectors, of a model that makes them.
    """
    graph, axes, config = OnnxGraph("encoder"), ("batch", "length"), model.config
    encoder = _encoder(graph, model, kind)
    names = list(_NAMES)[: 3 if config.num_segments > 1 else 2]
    ids, mask, *segments = (graph.input(name, TensorProto.INT64, *axes) for name in names)
    states = encoder.write(ids, mask, *(segments or [""]), axes)
    name, by_token = row_folder.output_of(kind), isinstance(model, models.TokenClassifier)
    if name == "embedding":
        vectors = onnx_heads.embedding(encoder, states, mask, settings)
        graph.output(name, vectors, "batch", config.hidden_dim)
        graph.output("last_hidden_state", states, *axes, config.hidden_dim)
    else:
        logits = onnx_heads.logits(encoder, states, mask, by_token)
        if name == "value":
            graph.output(name, graph.add("Squeeze", logits, graph.numbers(-1)), "batch")
        else:
            graph.output(name, logits, *axes[: 1 + by_token], model.num_labels)
    return graph.model(f"roots-tf {roots_tf.__version__}")


def stored(model: onnx.ModelProto, quantize: Quantize) -> bytes:
    """The bytes of a file.

    Args:
        model: in float32.
        quantize: as for `write`.
    """
    if quantize == "none":
        return model.SerializeToString()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "model.onnx")
        # What it tells of each product that it leaves is nothing to act upon.
        logging.disable(logging.WARNING)
        try:
            quantization.quantize_dynamic(
                *(model, path),
                per_channel=True,
                weight_type=quantization.QuantType.QInt8,
            )
        finally:
            logging.disable(logging.NOTSET)
        return path.read_bytes()


def session(content: bytes, source: str = "the file") -> onnxruntime.InferenceSession:
    """ONNX Runtime with a file, on the processor.

    Args:
        content: the file's.
        source: what it is, for messages.

    Raises:
        InputError: it is no file of ONNX, or a damaged one.
    """
    options = onnxruntime.SessionOptions()
    # Threads beyond the processors that this process may use would wait for one another, spinning.
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    options.log_severity_level = 3  # errors alone; this function raises them as well
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a class for each of its codes
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            "file-damaged",
            f"could not load {source}: {reason}; wanted a whole file of ONNX: export the model "
            "again",
        ) from error


def runner(content: bytes, source: str = "the file"):
    """A function from the three inputs, by our names, to the outputs, by name.

    Of a keyword `wanted`, which names an output, only what that takes is computed.

    Args:
        content: as for `session`.
        source: likewise.

    Raises:
        InputError: as there, or it has other inputs.
    """
    loaded = session(content, source)
    names = [node.name for node in loaded.get_inputs()]
    outputs = [node.name for node in loaded.get_outputs()]
    if not _NAMES.keys() >= set(names):
        raise InputError(
            "wrong-format",
            f"found the inputs {', '.join(names)} in {source}; wanted some of {', '.join(_NAMES)}: "
            "export the model again",
        )
    options = onnxruntime.RunOptions()
    options.only_execute_path_to_fetches = True

    def run(wanted: str = "", **inputs: np.ndarray) -> dict[str, np.ndarray]:
        feeds = {name: inputs[_NAMES[name]].astype(np.int64) for name in names}
        chosen = [wanted] if wanted else outputs
        return dict(zip(chosen, loaded.run(chosen, feeds, options), strict=True))

    return run


def _encoder(graph: OnnxGraph, model, kind) -> OnnxEncoder:
    """A writer of a model's encoder, with the weights of its heads."""
    weights = {name: value.numpy() for name, value in models.named_weights(model).items()}
    if kind and "classes/kernel" in weights:
        head = ("classes/kernel", "classes/bias")
        weights |= zip(head, kind.scaled_head(*map(weights.get, head)), strict=True)
    tables = position_tables(model.config, weights)
    return OnnxEncoder(graph, model.config, weights, tables)


def position_tables(config: models.EncoderConfig, weights: dict) -> dict[str, np.ndarray]:
    """What a position gives, for all that a model has: float32, by name.

    Args:
        config: of the model, whose longest sequence has M tokens.
        weights: by name.

    Returns:
        `added` [M, H], to embeddings; `global_cosines`, `global_sines`, and `local_` of windows
        [M, D/2]; `of_distance` [2M - 1, N], to scores, from distance 1 - M on.
    """
    longest = config.max_sequence_length
    places = tf.range(longest)[None]
    if config.positions == "learned":
        return {"added": weights["encoder/embeddings/position"]}
    if config.positions == "sinusoidal":
        return {"added": sinusoidal.sinusoidal(places, config.hidden_dim)[0].numpy()}
    if config.positions == "relative":
        ahead = tf.range(1 - longest, longest)
        buckets = relative.buckets(ahead, config, config.causal).numpy()
        return {"of_distance": weights["encoder/relative_positions"][buckets]}
    tables = {}
    for name, base in (("global", config.rotary_base), ("local", config.local_rotary_base)):
        cosines, sines = rotary.rotation(places, config.head_dim, base)  # [1, 1, M, D/2]
        tables |= {f"{name}_cosines": cosines[0, 0].numpy(), f"{name}_sines": sines[0, 0].numpy()}
    return tables


def _write_masked_lm(path: Path, model: models.Pretrainer, quantize: Quantize) -> dict:
    """Writes the head over the vocabulary, and says how it differs from the model's."""
    graph, config = OnnxGraph("masked_lm"), model.config
    encoder = _encoder(graph, model, None)
    states = graph.input("hidden_states", TensorProto.FLOAT, "rows", config.hidden_dim)
    logits = onnx_heads.vocabulary(encoder, states)
    graph.output("logits", logits, "rows", config.vocabulary_size)
    content = stored(graph.model(f"roots-tf {roots_tf.__version__}"), quantize)
    some = np.random.default_rng(0).normal(size=[8, config.hidden_dim]).astype(np.float32)
    right = model.masked_lm(
        tf.constant(some[:, None]), tf.zeros([8, 1], tf.int32), model.encoder.embeddings.token
    ).numpy()
    [given] = session(content).run(["logits"], {"hidden_states": some})
    report = {
        "output": "masked_lm logits",
        "largest_output": float(np.abs(right).max()),
        "largest_difference": float(np.abs(given - right).max()),
    }
    if quantize == "none":
        row_model.check(report, TOLERANCE)
    path.write_bytes(content)
    return {"masked_lm_difference": report["largest_difference"]}


def _batches(tokenizer: tokenizers.Tokenizer, longest: int) -> list[dict[str, np.ndarray]]:
    """Inputs of the checked texts, each alone, and those that are not long together."""
    alone = row_model.checked_rows(tokenizer, longest, padded=False)
    short = [row for row in alone if row["padding_mask"].shape[1] <= TOGETHER]
    return [*alone, row_model.together(short)]

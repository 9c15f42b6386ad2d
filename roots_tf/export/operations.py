"""The ops of a SavedModel that are not TensorFlow's own, and the servers that know them."""

from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from roots_tf.storage import files
from roots_tf.storage.files import InputError

# The first release of TensorFlow Serving whose model server registers an op: the first that links,
# by `tensorflow_serving/workspace.bzl`, a tensorflow-text with the op in the target `ops_lib` of
# `tensorflow_text/BUILD`. The server links that target whole (`SUPPORTED_TENSORFLOW_OPS` in
# `tensorflow_serving/model_servers/BUILD`).
_FIRST_SERVING_VERSION = {
    "FastWordpieceTokenizeWithOffsets": "2.10.0",  # links 2.7.3; 2.7 to 2.9 link 2.6.0 without it
    "FastBertNormalize": "2.12.0",  # links 2.12.1; 2.11 links 2.8.2 without it
    "TFText>RoundRobinTrim": "2.20.0",  # links 2.20.0; 2.12 to 2.19 link 2.12.1 without it
}


def meta_graph(saved_model: str | Path) -> meta_graph_pb2.MetaGraphDef:
    """Graph and signatures of a SavedModel, of the tag "serve".

    Raises:
        InputError: the folder holds no SavedModel, or none for serving.
    """
    path, message = Path(saved_model, "saved_model.pb"), saved_model_pb2.SavedModel()
    try:
        message.ParseFromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise InputError(
            "unreadable-file", f"could not read {path}: {error}; wanted that of a SavedModel"
        ) from error
    for graph in message.meta_graphs:
        if "serve" in graph.meta_info_def.tags:
            return graph
    raise InputError(
        "wrong-format", f"found no graph with the tag 'serve' in {path}; export the model again"
    )


def custom(saved_model: str | Path) -> list[str]:
    """Names of the ops of a SavedModel that are not TensorFlow's own, sorted."""
    graph = meta_graph(saved_model).graph_def
    names = {node.op for node in graph.node}
    names |= {node.op for function in graph.library.function for node in function.node_def}
    return sorted(name for name in names if not hasattr(tf.raw_ops, name))


def first_serving_version(names: list[str]) -> str | None:
    """The first release of TensorFlow Serving whose model server registers all these ops.

    No promise that it reads the rest of the graph: TensorFlow reads graphs of older releases, not
    always those of newer ones (tensorflow.org/guide/versions), so the safe server is one of the
    release that wrote the graph, or a later one.

    >>> first_serving_version(["FastBertNormalize", "FastWordpieceTokenizeWithOffsets"])
    '2.12.0'

    Args:
        names: as `custom` gives them.

    Returns:
        The release; None of no ops at all, or of one that no release is known to have.
    """
    if not names or not set(names) <= _FIRST_SERVING_VERSION.keys():
        return None
    releases = [_FIRST_SERVING_VERSION[name] for name in names]
    return max(releases, key=lambda release: [int(part) for part in release.split(".")])


def write(saved_model: str | Path) -> dict:
    """Writes `ops.json` into the folder of a SavedModel and returns what it says.

    `not_core_tensorflow` and `first_serving_version` are what `custom` and `first_serving_version`
    give. `graph_producer` and `graph_min_consumer` are versions of TensorFlow's graphs: of the
    TensorFlow that wrote this one, and the oldest that may read it; which release has which is in
    `tensorflow/core/public/version.h`.
    """
    names, versions = custom(saved_model), meta_graph(saved_model).graph_def.versions
    report = {
        "not_core_tensorflow": names,
        "first_serving_version": first_serving_version(names),
        "tensorflow": tf.__version__,
        "graph_producer": versions.producer,
        "graph_min_consumer": versions.min_consumer,
    }
    files.write_json(Path(saved_model, "ops.json"), report)
    return report

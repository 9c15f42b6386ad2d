"""Which ops a SavedModel needs besides TensorFlow's own, and which servers have them."""

import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_text

from roots_tf.export import operations
from roots_tf.storage.files import InputError

WORDPIECE, NORMALIZE = "FastWordpieceTokenizeWithOffsets", "FastBertNormalize"
TRIM = "TFText>RoundRobinTrim"


@pytest.mark.parametrize(
    ("names", "release"),
    [
        ([WORDPIECE], "2.10.0"),
        ([NORMALIZE], "2.12.0"),
        ([NORMALIZE, WORDPIECE], "2.12.0"),
        ([NORMALIZE, WORDPIECE, TRIM], "2.20.0"),
        ([], None),
        ([WORDPIECE, "OpOfAnotherLibrary"], None),
    ],
)
def test_the_first_release_has_all_the_ops(names, release):
    assert operations.first_serving_version(names) == release


def test_ops_in_functions_and_in_the_graph_are_found(tmp_path):
    """Against ops that tensorflow-text's tokenizers are known to be made of."""
    tokenizer = tensorflow_text.FastBertTokenizer(["[UNK]", "a", "##b"])
    trimmer = tensorflow_text.RoundRobinTrimmer(3)

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def cut(self, text):
            ids = tokenizer.tokenize(text).merge_dims(1, -1)
            return tf.cond(
                tf.size(text) > 1, lambda: trimmer.trim([ids])[0].to_tensor(), ids.to_tensor
            )

    tf.saved_model.save(Module(), str(tmp_path))
    assert operations.custom(tmp_path) == sorted([WORDPIECE, NORMALIZE, TRIM])


def test_what_stands_in_the_file(exported, tmp_path):
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    said = operations.write(tmp_path)
    assert json.loads((tmp_path / "ops.json").read_text("utf-8")) == said
    assert said["not_core_tensorflow"] == [WORDPIECE]
    assert said["first_serving_version"] == "2.10.0"
    assert said["graph_producer"] == tf.version.GRAPH_DEF_VERSION
    assert 0 <= said["graph_min_consumer"] < tf.version.GRAPH_DEF_VERSION


def test_a_folder_without_a_saved_model_is_named(tmp_path):
    with pytest.raises(InputError, match="wanted that of a SavedModel"):
        operations.custom(tmp_path)
    Path(tmp_path, "saved_model.pb").write_bytes(b"\xff\xff")
    with pytest.raises(InputError, match="wanted that of a SavedModel"):
        operations.custom(tmp_path)
    Path(tmp_path, "saved_model.pb").write_bytes(b"")
    with pytest.raises(InputError, match="no graph with the tag"):
        operations.custom(tmp_path)

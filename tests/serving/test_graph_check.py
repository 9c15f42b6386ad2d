"""A graph that may do more than compute is refused before anything of it runs."""

import os
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from roots_tf.serving import allowed_ops, graph_check
from roots_tf.serving.model import Model
from roots_tf.storage.files import InputError

STRINGS = tf.TensorSpec([None], tf.string, name="text")


def save(folder: Path, function, module=None) -> Path:
    """A SavedModel with one signature; its version's folder."""
    module = module or tf.Module()
    module.weight = tf.Variable(1.0)
    module.f = tf.function(function, input_signature=[STRINGS])
    tf.saved_model.save(module, str(folder / "1"), signatures=module.f)
    return folder / "1"


def edit(version: Path, change) -> None:
    """Changes the graph in a SavedModel's file."""
    stored, path = saved_model_pb2.SavedModel(), version / "saved_model.pb"
    stored.ParseFromString(path.read_bytes())
    change(stored.meta_graphs[0])
    path.write_bytes(stored.SerializeToString())


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        Model(str(folder))
    message = str(caught.value)
    assert "\n" not in message and "saved_model.pb; wanted ops that compute" in message
    assert message.endswith("--trust")
    return message


def write(text):
    tf.io.write_file("planted", "x")
    return {"y": text}


def write_in_a_branch(text):
    tf.cond(tf.size(text) > 5, lambda: write(text)["y"], lambda: text)
    return {"y": text}


def write_in_a_loop(text):
    for _ in tf.range(1):
        tf.io.write_file("planted", "x")
    return {"y": text}


def write_in_a_map(text):
    return {"y": tf.map_fn(lambda t: write(t)["y"], text)}


def write_in_a_call(text):
    return tf.function(write)(text)


def gradient_that_writes(text):
    @tf.custom_gradient
    def f(x):
        return x, lambda d: (tf.io.write_file("planted", "x"), d)[1]

    with tf.GradientTape() as tape:
        x = tf.cast(tf.strings.length(text), tf.float32)
        tape.watch(x)
        y = f(x)
    return {"y": tape.gradient(y, x)}


def through_a_dataset(text):
    dataset = tf.data.TextLineDataset(["/etc/hostname"])
    return {"y": dataset.reduce(tf.constant(""), lambda a, b: a + b)[None]}


HOSTILE = {
    "WriteFile": write,
    "WriteFile ": write_in_a_branch,
    "WriteFile  ": write_in_a_loop,
    "WriteFile   ": write_in_a_map,
    "WriteFile    ": write_in_a_call,
    "WriteFile     ": gradient_that_writes,
    "ReadFile": lambda text: {"y": tf.map_fn(tf.io.read_file, text)},
    "MatchingFiles": lambda text: {"y": tf.io.matching_files(text)},
    "PrintV2": lambda text: (tf.print(text, output_stream="file:///tmp/planted"), {"y": text})[1],
    "PyFunc": lambda text: {"y": tf.numpy_function(lambda t: t, [text], tf.string)},
    "EagerPyFunc": lambda text: {"y": tf.py_function(lambda t: t, [text], tf.string)},
    "SaveV2": lambda text: (
        tf.raw_ops.SaveV2(prefix=text[0], tensor_names=["a"], shape_and_slices=[""], tensors=[1.0]),
        {"y": text},
    )[1],
    "RestoreV2": lambda text: {
        "y": tf.raw_ops.RestoreV2(
            prefix=text[0], tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
        )[0]
    },
    "TensorSliceDataset": through_a_dataset,
    "Abort": lambda text: (tf.raw_ops.Abort(), {"y": text})[1],
    "ImmutableConst": lambda text: {
        "y": tf.raw_ops.ImmutableConst(
            dtype=tf.float32, shape=[1], memory_region_name="/etc/hostname"
        )
    },
    "DecodeCompressed": lambda text: {"y": tf.io.decode_compressed(text)},
    "InitializeTableFromTextFileV2": lambda text: (
        tf.raw_ops.InitializeTableFromTextFileV2(
            table_handle=tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64),
            filename="/etc/hostname",
            key_index=-2,
            value_index=-1,
        ),
        {"y": text},
    )[1],
}


@pytest.mark.parametrize("op", HOSTILE)
def test_a_graph_that_does_more_is_refused(op, tmp_path):
    function = tf.function(HOSTILE[op], input_signature=[STRINGS]).get_concrete_function()
    stored = saved_model_pb2.SavedModel()
    stored.meta_graphs.add().graph_def.CopyFrom(function.graph.as_graph_def())
    with pytest.raises(InputError, match=f"found the op {op.strip()} in .*with --trust$"):
        graph_check.check(tmp_path, stored)


class Planted(tf.saved_model.experimental.TrackableResource):
    """Writes a file as it is loaded."""

    def _create_resource(self):
        return tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

    @tf.function(input_signature=[])
    def _initialize(self):
        tf.io.write_file("planted", "x")


def test_what_loading_runs_is_looked_at_too_and_trust_lets_it(tmp_path, monkeypatch):
    module = tf.Module()
    module.resource = Planted()
    save(tmp_path / "model", lambda text: {"y": tf.strings.length(text)}, module)
    loading = tmp_path / "loading"
    loading.mkdir()
    monkeypatch.chdir(loading)
    assert "found the op WriteFile in __inference" in refused(tmp_path / "model")
    assert not Path("planted").exists()
    Model(str(tmp_path / "model"), trust=True)
    assert Path("planted").exists()


def table(tmp_path) -> Path:
    """A model with a table from an asset; its version's folder."""
    (tmp_path / "words.txt").write_text("a\nb\n")
    module = tf.Module()
    module.table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            str(tmp_path / "words.txt"), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        1,
    )  # fmt: skip
    return save(tmp_path / "model", lambda text: {"y": module.table.lookup(text)}, module)


def test_a_table_is_read_from_an_asset(tmp_path):
    table(tmp_path)
    (tmp_path / "words.txt").unlink()
    model = Model(str(tmp_path / "model"))
    text = tf.constant(["b", "c"]).numpy()
    assert model.compute("serving_default", {"text": text})["y"].tolist() == [1, 2]


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname", "..", ""])
def test_an_asset_stays_in_its_folder(name, tmp_path):
    version = table(tmp_path)

    def rename(graph):
        graph.asset_file_def[0].filename = name

    edit(version, rename)
    assert f"found the asset {name!r} in the list of assets" in refused(tmp_path / "model")


def test_an_asset_is_no_link_out_of_the_model(tmp_path):
    version = table(tmp_path)
    (tmp_path / "secret").write_text("a secret\n")
    (version / "assets" / "words.txt").unlink()
    os.symlink(tmp_path / "secret", version / "assets" / "words.txt")
    assert "found the asset 'words.txt'" in refused(tmp_path / "model")


def test_a_table_is_read_from_nothing_else(tmp_path):
    def rename(graph):
        for function in graph.graph_def.library.function:
            for node in function.node_def:
                if node.op == "InitializeTableFromTextFileV2":
                    const = function.node_def.add(name="path", op="Const")
                    const.attr["dtype"].type = tf.string.as_datatype_enum
                    const.attr["value"].tensor.CopyFrom(tf.make_tensor_proto("/etc/hostname"))
                    node.input[1] = "path:output:0"

    edit(table(tmp_path), rename)
    assert "found the op InitializeTableFromTextFileV2" in refused(tmp_path / "model")


def saver(graph) -> str:
    """The function that saves the variables."""
    names = [function.signature.name for function in graph.graph_def.library.function]
    return next(name for name in names if "traced_save" in name)


def by_a_node(graph):
    calls = [node for node in graph.graph_def.node if "f" in node.attr]
    call = next(node for node in calls if "signature" in node.attr["f"].func.name)
    call.attr["f"].func.name = saver(graph)


def by_a_function(graph):
    function = next(f for f in graph.graph_def.library.function if "traced" not in f.signature.name)
    node = function.node_def.add(name="call", op="StatefulPartitionedCall")
    node.attr["f"].func.name = saver(graph)


def within_an_attribute(graph):
    function = next(f for f in graph.graph_def.library.function if "traced" not in f.signature.name)
    node = function.node_def.add(name="call", op="StatefulPartitionedCall")
    node.attr["f"].func.name = function.signature.name
    node.attr["f"].func.attr["g"].func.name = saver(graph)


def by_an_object(graph):
    for node in graph.object_graph_def.nodes:
        if node.HasField("bare_concrete_function"):
            node.bare_concrete_function.concrete_function_name = saver(graph)


def as_a_signature(graph):
    output = next(iter(graph.signature_def["serving_default"].outputs.values()))
    output.name = graph.saver_def.save_tensor_name


def as_what_restores(graph):
    graph.saver_def.restore_op_name = graph.saver_def.save_tensor_name.partition(":")[0]


@pytest.mark.parametrize(
    "change",
    [by_a_node, by_a_function, within_an_attribute, by_an_object, as_a_signature, as_what_restores],
)
def test_nothing_but_the_saver_saves(change, tmp_path):
    edit(save(tmp_path / "model", lambda text: {"y": tf.strings.length(text)}), change)
    message = refused(tmp_path / "model")
    # Without its name the function that restores is none of the saver's either.
    ops = allowed_ops.SAVES | allowed_ops.RESTORES
    assert any(f"the op {op} in " in message for op in ops)


def test_a_function_with_the_name_of_an_op_is_refused(tmp_path):
    def rename(graph):
        function = graph.graph_def.library.function.add()
        function.signature.name = "WriteFile"

    edit(save(tmp_path / "model", lambda text: {"y": tf.strings.length(text)}), rename)
    assert "found a function with the name of an op in WriteFile" in refused(tmp_path / "model")


def save_1(folder: Path, hostile: str) -> None:
    """A SavedModel as TensorFlow 1 wrote it, with a table from an asset."""
    (folder.parent / "words.txt").write_text("a\nb\n")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        text = tf.compat.v1.placeholder(tf.string, [None], "text")
        weight = tf.compat.v1.get_variable("weight", [], use_resource=True)
        asset = tf.constant(str(folder.parent / "words.txt"))
        tf.compat.v1.add_to_collection("asset_filepaths", asset)
        handle = tf.raw_ops.HashTableV2(
            key_dtype=tf.string, value_dtype=tf.int64, shared_name="words"
        )
        fill = tf.raw_ops.InitializeTableFromTextFileV2(
            table_handle=handle, filename=asset, key_index=-2, value_index=-1
        )
        with tf.control_dependencies([fill] if hostile == "answer" else []):
            found = tf.raw_ops.LookupTableFindV2(
                table_handle=handle, keys=text, default_value=tf.constant(-1, tf.int64)
            )
        y = found + tf.cast(0 * weight, tf.int64)
        if hostile == "write":
            with tf.control_dependencies([fill]):
                fill = tf.io.write_file(str(folder.parent / "planted"), "x")
        session.run(tf.compat.v1.global_variables_initializer())
        builder = tf.compat.v1.saved_model.Builder(str(folder / "1"))
        signature = tf.compat.v1.saved_model.predict_signature_def({"text": text}, {"y": y})
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": signature},
            assets_collection=[asset],
            main_op=fill,
        )
        builder.save()


def test_a_model_of_tensorflow_1_is_looked_at_alike(tmp_path):
    save_1(tmp_path / "good", "")
    text = tf.constant(["b", "c"]).numpy()
    answer = Model(str(tmp_path / "good")).compute("serving_default", {"text": text})
    assert answer["y"].tolist() == [1, -1]
    save_1(tmp_path / "write", "write")
    assert "found the op WriteFile in the main graph" in refused(tmp_path / "write")
    assert not (tmp_path / "planted").exists()
    # In an answer the path would be what the graph says, and not the asset's.
    save_1(tmp_path / "answer", "answer")
    assert "found the op InitializeTableFromTextFileV2" in refused(tmp_path / "answer")


def test_the_list_holds_names_of_ops_that_are_pure_by_what_is_known_of_them():
    known = {name for name in allowed_ops.ALLOWED if hasattr(tf.raw_ops, name)}
    assert len(known) > 500
    for part in (
        *("File", "Save", "Restore", "Reader", "Dataset", "PyFunc", "Print", "Summary", "Rpc"),
        *("Remote", "Queue", "Iterator", "Session", "Xla", "Recv", "Abort", "Mutex"),
    ):
        assert not [name for name in allowed_ops.ALLOWED if part in name], part
    others = allowed_ops.SAVES | allowed_ops.RESTORES | allowed_ops.READS_ASSETS
    assert not others & allowed_ops.ALLOWED

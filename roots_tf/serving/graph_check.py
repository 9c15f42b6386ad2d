"""What the graph of a SavedModel may do, read from its file before anything of it is loaded.

A SavedModel is a program. Loading it runs functions of its own, those that fill its tables, and a
request runs one more; an op such as `WriteFile` in any of them does what it says. So every op of
every function must be among `allowed_ops`. Three kinds need more than a name: what saves and
restores variables stands only where TensorFlow puts it, and a table is read from an asset only.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow.python.framework import op_def_registry

from roots_tf.serving import allowed_ops
from roots_tf.storage.files import InputError

_MAIN = "the main graph"
_FILLS_TABLES = ("__saved_model_init_op", "__saved_model_train_op")  # no signatures to ask


def check(path: Path, model: saved_model_pb2.SavedModel) -> None:
    """Refuses a SavedModel that may do more than compute.

    Args:
        path: its folder.
        model: what `saved_model.pb` in it holds.

    Raises:
        InputError: it has an op that is not allowed, or not there; names both.
    """
    # Without objects, or with several graphs, TensorFlow runs the main graph, as its release 1 did.
    graphs = model.meta_graphs
    has_objects = len(graphs) == 1 and graphs[0].HasField("object_graph_def")
    for graph in graphs:
        for op, place in _Graph(path, graph, has_objects).wrong():
            raise InputError(
                "untrusted-graph",
                f"found {op} in {place} of {path / 'saved_model.pb'}; wanted ops that compute and "
                "reach no file, process or machine: serve only what you trust, with --trust",
            )


class _Graph:
    """One graph of a SavedModel, with its functions.

    Args:
        path: folder of the SavedModel.
        graph: with everything that belongs to it.
        has_objects: whether TensorFlow runs functions of its objects, and not its main graph.
    """

    def __init__(self, path: Path, graph: meta_graph_pb2.MetaGraphDef, has_objects: bool):
        self._path, self._graph, self._has_objects = path, graph, has_objects
        self._functions = list(graph.graph_def.library.function)
        self._names = {function.signature.name for function in self._functions}
        self._nodes = {node.name: node for node in graph.graph_def.node}
        saver = graph.saver_def
        self._saving = self._before([saver.save_tensor_name])
        self._restoring = self._before([saver.restore_op_name])
        # What is fetched for other ends: answers, and what fills tables.
        self._answering: set[str] = set()
        names = []
        for key, signature in graph.signature_def.items():
            outputs = [info.name for info in signature.outputs.values()]
            names += outputs
            if key not in _FILLS_TABLES:
                self._answering |= self._before(outputs)
        for collection in graph.collection_def.values():
            names += collection.node_list.value
        self._fetched = self._before(names)
        self._callers = self._find_callers()
        self._assets = list(graph.asset_file_def) or _assets_of_release_1(graph)
        self._objects = graph.object_graph_def.SerializeToString()

    def wrong(self) -> Iterator[tuple[str, str]]:
        """Ops that are not allowed where they are, and the functions they are in."""
        for node in self._graph.graph_def.node:
            if not self._is_allowed(node.op, {node.name}, node, None):
                yield f"the op {node.op}", _MAIN
        for function in self._functions:
            place = function.signature.name
            if op_def_registry.get(place) is not None:
                yield "a function with the name of an op", place
            called_by = self._callers.get(place, [])
            # Called in the main graph alone, and by name in no object that Python can call.
            is_saver = place.encode() not in self._objects and all(
                within is None for within, _ in called_by
            )
            nodes = {node.name for _, node in called_by} if is_saver else {""}
            for node in function.node_def:
                if not self._is_allowed(node.op, nodes, node, function):
                    yield f"the op {node.op}", place
        for node in self._graph.object_graph_def.nodes:
            for name in filter(None, (node.registered_name, node.registered_saver)):
                if not name.startswith("tf."):  # such a class could run code of its own
                    yield f"an object of the class {name!r:.100}", "the objects"
        for asset in self._assets:
            if not self._is_inside(asset.filename):
                yield f"the asset {asset.filename!r:.100}", "the list of assets"

    def _is_allowed(self, op: str, main: set[str], node, function) -> bool:
        """Whether an op may be here.

        Args:
            op: its name.
            main: nodes of the main graph that run it; "" is none that TensorFlow puts there.
            node: that has the op.
            function: that the node is in; None: the main graph.
        """
        if op in allowed_ops.ALLOWED or op in self._names:
            return True
        if op in allowed_ops.SAVES:
            return bool(main) and main <= self._saving - self._restoring - self._fetched
        if op in allowed_ops.RESTORES:
            return bool(main) and main <= self._restoring - self._fetched
        return op in allowed_ops.READS_ASSETS and self._reads_asset(node, function)

    def _reads_asset(self, node, function) -> bool:
        """Whether the file that a table is filled from is an asset, whoever calls this."""
        file = node.input[1] if len(node.input) > 1 else ""
        if function is None:
            return self._gives_asset(node, file)
        arguments = [argument.name for argument in function.signature.input_arg]
        if file not in arguments:
            return False
        place, name = arguments.index(file), function.signature.name
        called_by = self._callers.get(name, [])
        if any(within is not None for within, _ in called_by):
            return False
        if not self._has_objects:
            inputs = [[i for i in caller.input if i[:1] != "^"] for _, caller in called_by]
            return all(
                place < len(data) and self._gives_asset(caller, data[place])
                for (_, caller), data in zip(called_by, inputs, strict=True)
            )
        # TensorFlow runs the functions that the objects name, and nothing of the main graph.
        objects = self._graph.object_graph_def
        bound = objects.concrete_functions[name].bound_inputs
        captured = place - (len(arguments) - len(bound))
        return 0 <= captured < len(bound) and objects.nodes[bound[captured]].HasField("asset")

    def _gives_asset(self, node, tensor: str) -> bool:
        """Whether a node of the main graph runs only with an asset's path as this tensor.

        TensorFlow gives the path where it fills tables; where it answers, it would not.
        """
        assets = {info.tensor_info.name for info in self._assets}
        return _tensor(tensor) in assets and node.name not in self._answering

    def _find_callers(self) -> dict[str, list[tuple]]:
        """Nodes that name a function, with the function that each is in, None of the main graph."""
        callers: dict[str, list[tuple]] = {}
        places = [(None, self._graph.graph_def.node)]
        places += [(f.signature.name, f.node_def) for f in self._functions]
        for within, nodes in places:
            for node in nodes:
                for name in {node.op, *_named(node.attr)} & self._names:
                    callers.setdefault(name, []).append((within, node))
        for gradient in self._graph.graph_def.library.gradient:
            callers.setdefault(gradient.gradient_func, []).append((gradient.function_name, None))
        for gradient in self._graph.graph_def.library.registered_gradients:
            callers.setdefault(gradient.gradient_func, []).append(("a gradient", None))
        return callers

    def _before(self, names: list[str]) -> set[str]:
        """Nodes of the main graph that run for tensors or nodes of these names."""
        found, open_ = set(), [_node(name) for name in names]
        while open_:
            name = open_.pop()
            if name in self._nodes and name not in found:
                found.add(name)
                open_ += map(_node, self._nodes[name].input)
        return found

    def _is_inside(self, name: str) -> bool:
        """Whether an asset is a file of the folder `assets`, and no link out of the model's own."""
        path = self._path / "assets" / name
        return (
            name not in ("", ".", "..")
            and not re.search(r"[/\\\0]", name)
            and (path.resolve().is_relative_to(self._path.resolve()))
        )


def _assets_of_release_1(graph: meta_graph_pb2.MetaGraphDef) -> list:
    """Assets where TensorFlow 1 wrote them."""
    assets = []
    for packed in graph.collection_def["saved_model_assets"].any_list.value:
        assets.append(meta_graph_pb2.AssetFileDef())
        packed.Unpack(assets[-1])
    return assets


def _named(attributes) -> Iterator[str]:
    """Functions that attributes of a node name, and attributes of these functions."""
    for value in attributes.values():
        for function in (value.func, *value.list.func):
            yield function.name
            yield from _named(function.attr)


def _node(name: str) -> str:
    """The node of a tensor's name, or of a control input's."""
    return name.removeprefix("^").partition(":")[0]


def _tensor(name: str) -> str:
    """A tensor's name in full: the first output has no number where it is an input."""
    return name if ":" in name or not name else f"{name}:0"

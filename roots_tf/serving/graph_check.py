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

from roots_tf.files import InputError
from roots_tf.serving import allowed_ops

_MAIN = "the main graph"


def check(path: Path, model: saved_model_pb2.SavedModel) -> None:
    """Refuses a SavedModel that may do more than compute.

    Args:
        path: its folder.
        model: what `saved_model.pb` in it holds.

    Raises:
        InputError: it has an op that is not allowed, or not there; names both.
    """
    for graph in model.meta_graphs:
        for op, place in _Graph(path, graph).wrong():
            raise InputError(
                f"found {op} in {place} of {path / 'saved_model.pb'}; wanted ops that compute and "
                "reach no file, process or machine: serve only what you trust, with --trust"
            )


class _Graph:
    """One graph of a SavedModel, with its functions.

    Args:
        path: folder of the SavedModel.
        graph: with everything that belongs to it.
    """

    def __init__(self, path: Path, graph: meta_graph_pb2.MetaGraphDef):
        self._path, self._graph = path, graph
        self._functions = list(graph.graph_def.library.function)
        self._names = {function.signature.name for function in self._functions}
        self._nodes = {node.name: node for node in graph.graph_def.node}
        saver = graph.saver_def
        self._saving = self._before([saver.save_tensor_name])
        self._restoring = self._before([saver.restore_op_name])
        # What is fetched for other ends: answers, and what fills tables.
        names = [info.name for s in graph.signature_def.values() for info in s.outputs.values()]
        for collection in graph.collection_def.values():
            names += collection.node_list.value
        self._fetched = self._before(names)
        self._callers = self._find_callers()
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
        for asset in self._graph.asset_file_def:
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
        assets = {info.tensor_info.name for info in self._graph.asset_file_def}
        file = node.input[1] if len(node.input) > 1 else ""
        if function is None:
            return _tensor(file) in assets
        arguments = [argument.name for argument in function.signature.input_arg]
        if file not in arguments:
            return False
        place, name = arguments.index(file), function.signature.name
        objects, called_by = self._graph.object_graph_def, self._callers.get(name, [])
        for within, caller in called_by:
            data = [source for source in caller.input if not source.startswith("^")]
            if within or place >= len(data) or _tensor(data[place]) not in assets:
                return False
        if name in objects.concrete_functions:
            bound = objects.concrete_functions[name].bound_inputs
            captured = place - (len(arguments) - len(bound))
            if not 0 <= captured < len(bound):
                return False
            return objects.nodes[bound[captured]].HasField("asset")
        return bool(called_by) and name.encode() not in self._objects

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

"""A graph of ONNX under construction: nodes are added one by one, and name what they give.

Operators are those of the standard, https://onnx.ai/onnx/operators, at `OPSET`.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from roots_tf.storage.files import InputError

OPSET = 20  # the first with Gelu; ONNX Runtime has it from 1.17 on
IR_VERSION = 9  # of the file, the first with that opset
MOST_BYTES = 2**31 - 2**20  # a file of protocol buffers ends at 2 GiB


class OnnxGraph:
    """Nodes, weights, inputs and outputs.

    Args:
        name: of the graph.
    """

    def __init__(self, name: str):
        self._name = name
        self._nodes, self._inputs, self._outputs, self._values = [], [], [], []
        self._weights: dict[str, np.ndarray] = {}

    def input(self, name: str, dtype: int, *shape: str | int) -> str:
        """Adds an input.

        Args:
            name: of it.
            dtype: of `onnx.TensorProto`.
            *shape: sizes; of an axis that is free, its name.

        Returns:
            The name.
        """
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name: str, value: str, *shape: str | int) -> None:
        """Makes a value of float32 an output of another `name`; `shape` as for `input`."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def value(self, value: str, *shape: str | int) -> str:
        """Says the shape of a `value` of float32 within, and gives its name; `shape` as above."""
        self._values.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, shape))
        return value

    def weight(self, name: str, array: np.ndarray) -> str:
        """Adds a constant `array`, and gives its name; of the same `name` there is one."""
        self._weights.setdefault(name, np.ascontiguousarray(array))
        return name

    def numbers(self, *values: int) -> str:
        """A constant of whole numbers, such as a shape or the axes of an operator."""
        return self.weight(f"numbers_{'_'.join(map(str, values))}", np.array(values, np.int64))

    def number(self, value: float) -> str:
        """A constant of float32 without axes."""
        return self.weight(f"number_{value!r}", np.array(value, np.float32))

    def add(self, op: str, *inputs: str, count: int = 1, **attributes) -> str | list[str]:
        """Adds a node.

        Args:
            op: name of its operator.
            *inputs: names of values; "" for one that is left out.
            count: outputs of it.
            **attributes: of the operator.

        Returns:
            The name of its output; of several outputs a list of names.
        """
        node = f"{op}_{len(self._nodes)}"
        names = [node] if count == 1 else [f"{node}_{i}" for i in range(count)]
        self._nodes.append(helper.make_node(op, inputs, names, name=node, **attributes))
        return names[0] if count == 1 else names

    def model(self, producer: str) -> onnx.ModelProto:
        """The graph as a file holds it.

        Args:
            producer: name and version of the program that writes it.

        Raises:
            InputError: its weights are more than a file of ONNX holds.
        """
        if (size := sum(array.nbytes for array in self._weights.values())) > MOST_BYTES:
            raise InputError(
                "cannot-export",
                f"found {size / 1e9:.1f} GB of weights; a file of ONNX holds 2.1 at most: wanted "
                "--format=saved_model",
            )
        stored = [numpy_helper.from_array(array, name) for name, array in self._weights.items()]
        ends = self._inputs, self._outputs
        graph = helper.make_graph(self._nodes, self._name, *ends, stored, value_info=self._values)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
        model.producer_name = producer
        onnx.checker.check_model(model, full_check=True)
        return model

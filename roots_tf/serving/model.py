"""The SavedModel that is served: the highest version in a folder of versions."""

import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the ops that a SavedModel of text uses
from absl import logging
from google.protobuf import json_format, message
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from roots_tf.serving import graph_check, rest, streaming
from roots_tf.serving.rest import ApiError, Signature
from roots_tf.storage import files, neighbours
from roots_tf.storage.files import InputError

# tensorflow/serving, model_servers/http_server.cc, ToHTTPStatusCode. What is not here is 500.
HTTP_STATUS = {
    tf.errors.INVALID_ARGUMENT: 400,
    tf.errors.OUT_OF_RANGE: 400,
    tf.errors.FAILED_PRECONDITION: 400,
    tf.errors.RESOURCE_EXHAUSTED: 429,
    tf.errors.UNIMPLEMENTED: 501,
}


class Model:
    """A loaded version of a model.

    Args:
        folder: its versions, `1/`, `2/` and so on, as `export` writes them.
        name: under which it is served; none: the folder's.
        trust: whether to load it whatever its graph may do, see `graph_check`.

    Raises:
        InputError: there is no version, the highest cannot be loaded, or may do too much.
    """

    def __init__(self, folder: str, name: str = "", trust: bool = False):
        self.name = checked_name(folder, name)
        self.version, self._path = highest_version(folder)
        try:
            stored = _stored(self._path)
            definitions = dict(stored.meta_graphs[0].signature_def)
            if not trust:
                graph_check.check(self._path, stored)
            self._loaded = tf.saved_model.load(str(self._path))
        except InputError:
            raise
        except Exception as error:  # a damaged file shows itself in many ways
            raise InputError(
                "file-damaged",
                f"could not load {self._path}: {_reason(error)}; wanted a SavedModel: export again",
            ) from error
        self._begin(definitions, dict(self._loaded.signatures))

    def _begin(self, definitions: dict, functions: dict) -> None:
        """Keeps the signatures that are both defined and there."""
        self._definitions, self._functions = definitions, functions
        names = sorted(definitions.keys() & functions.keys())
        if not names:
            raise InputError(
                "wrong-format",
                f"found no signature in {self._path}; wanted one or more: export it again",
            )
        self.signatures = {name: _signature(definitions[name]) for name in names}
        parts = ("begin", "advance", "places")
        self.can_stream = streaming.SIGNATURE in names and all(
            callable(getattr(self._loaded, part, None)) for part in parts
        )
        self._state_bytes = self._most_state_bytes() if self.can_stream else 0

    def compute(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs of a signature; floating point numbers become float32 or float64.

        Args:
            signature: its name.
            inputs: an array by name.

        Raises:
            ApiError: TensorFlow refuses the inputs.
        """
        specs = self.signatures[signature].inputs
        tensors = {name: tf.constant(inputs[name], spec.dtype) for name, spec in specs.items()}
        try:
            outputs = self._functions[signature](**tensors)
        except tf.errors.OpError as error:
            raise ApiError(
                "wrong-request" if error.error_code in HTTP_STATUS else "server-failed",
                _reason(error),
                HTTP_STATUS.get(error.error_code, 0),
            ) from error
        return {name: _array(output) for name, output in sorted(outputs.items())}

    def begin(self, inputs: dict[str, np.ndarray]) -> list[tf.Tensor]:
        """The state of a text before its first token.

        Args:
            inputs: an array of one row by name, those of the signature `generate`.

        Raises:
            ApiError: TensorFlow refuses the inputs.
        """
        specs = self.signatures[streaming.SIGNATURE].inputs
        tensors = {name: tf.constant(inputs[name], spec.dtype) for name, spec in specs.items()}
        return self._stepped(self._loaded.begin, **tensors)

    def advance(self, state: list[tf.Tensor]) -> tuple[list[tf.Tensor], dict[str, np.ndarray]]:
        """The state one token on, and what is told of the text so far, of one row.

        Args:
            state: from `begin` or `advance`.

        Raises:
            ApiError: TensorFlow refuses it.
        """
        state, told = self._stepped(self._loaded.advance, state)
        return state, {name: _array(output) for name, output in told.items()}

    def state_bytes(self) -> int:
        """Bytes that the state of a text takes at most."""
        return self._state_bytes

    def _stepped(self, function, *arguments, **named):
        try:
            return function(*arguments, **named)
        except tf.errors.OpError as error:
            raise ApiError(
                "wrong-request" if error.error_code in HTTP_STATUS else "server-failed",
                _reason(error),
                HTTP_STATUS.get(error.error_code, 0),
            ) from error

    def _most_state_bytes(self) -> int:
        """Bytes of the tensors that `begin` gives, where prompt and text are longest."""
        places, total = int(self._loaded.places()), 0
        [begin] = self._loaded.begin.concrete_functions
        for output in tf.nest.flatten(begin.structured_outputs):
            total += output.dtype.size * math.prod(size or places for size in output.shape)
        return total

    def warm_up(self, batch_size: int) -> None:
        """Computes every signature once for one row and once for `batch_size` rows."""
        if self.can_stream:
            try:
                rows = self._example(streaming.SIGNATURE).items()
                self.advance(self.begin({name: array[:1] for name, array in rows}))
            except (ApiError, InputError) as error:
                logging.info("streams are not warmed up: %s", error)
        for name, signature in self.signatures.items():
            for rows in (1, batch_size)[: 1 + signature.by_rows]:
                try:
                    inputs = self._example(name)
                    if signature.by_rows:
                        inputs = {k: np.resize(a, (rows, *a.shape[1:])) for k, a in inputs.items()}
                    self.compute(name, inputs)
                except (ApiError, InputError) as error:
                    logging.info("%s is not warmed up: %s", name, error)

    def _example(self, signature: str) -> dict[str, np.ndarray]:
        """Inputs of a signature: those of the request that `export` wrote, or ones."""
        path = self._path / "requests" / f"{signature}.json"
        if path.exists():
            body = json.dumps(files.read_json(path)).encode("utf-8")
            return rest.read(body, self.signatures, sys.maxsize).inputs
        return {name: _ones(spec) for name, spec in self.signatures[signature].inputs.items()}

    def metadata(self) -> dict:
        """The answer of TensorFlow Serving to `GET .../metadata`."""
        definitions = {
            name: json_format.MessageToDict(
                definition,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            for name, definition in sorted(self._definitions.items())
        }
        return {
            "model_spec": {"name": self.name, "signature_name": "", "version": str(self.version)},
            "metadata": {"signature_def": {"signature_def": definitions}},
        }


class ModelOfFunctions(Model):
    """A model whose signatures are functions of this process.

    Args:
        folder: of the model, for its name.
        functions: concrete functions by the names of the signatures.
        name: under which it is served; none: the folder's.

    Raises:
        InputError: the name is none that a path can have.
    """

    def __init__(self, folder: str, functions: dict, name: str = ""):
        self.name = checked_name(folder, name)
        self.version, self._path, self._loaded = 1, Path(folder), None
        self._begin({key: _definition(function) for key, function in functions.items()}, functions)


def checked_name(folder: str, name: str) -> str:
    """The name under which a model is served: the one given, or else the folder's.

    Args:
        folder: of the model.
        name: given; "" for none.

    Raises:
        InputError: it is none that a path can have.
    """
    name = name or Path(folder).resolve().name
    if not re.fullmatch(r"[^/:]+", name):
        raise InputError("wrong-value", f"found the name {name!r}; wanted one without '/' and ':'")
    return name


def _definition(function) -> meta_graph_pb2.SignatureDef:
    """Inputs and outputs of a concrete function, as a SavedModel has them."""
    definition = meta_graph_pb2.SignatureDef()
    sides = (
        (definition.inputs, function.structured_input_signature[1]),
        (definition.outputs, function.structured_outputs),
    )
    for tensors, specs in sides:
        for name, spec in specs.items():
            tensors[name].name, tensors[name].dtype = name, spec.dtype.as_datatype_enum
            tensors[name].tensor_shape.CopyFrom(spec.shape.as_proto())
    return definition


def highest_version(folder: str) -> tuple[int, Path]:
    """Number and path of the highest version in a model's folder.

    Raises:
        InputError: there is none.
    """
    if Path(folder, "saved_model.pb").exists():
        raise InputError(
            "wrong-folder",
            f"found a SavedModel itself in {folder}; wanted the folder of its versions, "
            f"{Path(folder).resolve().parent}",
        )
    folders = Path(folder).iterdir() if Path(folder).is_dir() else ()
    versions = {int(path.name): path for path in folders if re.fullmatch("[0-9]{1,18}", path.name)}
    if not versions:
        raise InputError(
            "wrong-folder",
            f"found no version of a model in {folder}; wanted a folder that export wrote, with "
            f"the folder 1 in it{_meant(folder)}",
        )
    return max(versions.items())


def _meant(folder: str) -> str:
    """The end of a message: what the folder is, or which one may have been meant."""
    what = neighbours.kind(folder)
    return f"; {folder} holds {what}" if what else neighbours.suggestion(folder)


def _stored(path: Path) -> saved_model_pb2.SavedModel:
    """What the file of a SavedModel holds."""
    stored, file = saved_model_pb2.SavedModel(), Path(path, "saved_model.pb")
    if file.exists() and not file.is_file():  # a FIFO would be waited for without end
        raise ValueError("saved_model.pb is no regular file")
    try:
        stored.ParseFromString(file.read_bytes())
    except message.DecodeError as error:
        raise ValueError(f"saved_model.pb is damaged ({error})") from error
    return stored


def _signature(definition) -> Signature:
    """Inputs of a SignatureDef, and whether all inputs and outputs are rows."""
    inputs = {
        name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype), name)
        for name, info in sorted(definition.inputs.items())
    }
    outputs = {
        name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), _written_as(info.dtype), name)
        for name, info in sorted(definition.outputs.items())
    }
    by_rows = all(spec.shape.rank and spec.shape[0] is None for spec in inputs.values())
    # Whether an output of unknown rank has rows is checked when it is computed.
    by_rows &= all(o.shape.rank is None or o.shape[:1] == [None] for o in outputs.values())
    defaults = {name: tf.make_ndarray(value) for name, value in definition.defaults.items()}
    # A default of one row is that of each; any other form is not filled in.
    defaults = {name: v[0].item() for name, v in defaults.items() if by_rows and v.shape == (1,)}
    return Signature(inputs, bool(by_rows), outputs, defaults)


def _written_as(dtype: int) -> tf.DType:
    """The type that an output of a type has as `_array` gives it."""
    found = tf.as_dtype(dtype)
    return tf.float32 if found.is_floating and found != tf.float64 else found


def _array(output: tf.Tensor) -> np.ndarray:
    """An output as NumPy and JSON know it."""
    if output.dtype.is_floating and output.dtype != tf.float64:
        output = tf.cast(output, tf.float32)
    # `numpy()` of a scalar is not an array; strings must not become an array of fixed width.
    return np.asarray(output.numpy(), object if output.dtype == tf.string else None)


def _ones(spec: tf.TensorSpec) -> np.ndarray:
    """An input of one row."""
    shape = [size or 1 for size in spec.shape.as_list()] if spec.shape.rank else []
    return np.full(shape, b"1" if spec.dtype == tf.string else 1, spec.dtype.as_numpy_dtype)


def _reason(error: Exception) -> str:
    """What TensorFlow says of an error, on one line and without the places in the graph."""
    text = getattr(error, "message", None) or str(error)
    text = text.rpartition("<stack traces unavailable>")[2].partition("\n\t [[")[0]
    text = re.sub(r"\{\{\w+ \S+\}\}", "", text)
    return " ".join(text.split())[:500] or type(error).__name__

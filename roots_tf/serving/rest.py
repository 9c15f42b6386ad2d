"""JSON to tensors: the requests of the predict API of TensorFlow Serving.

A request names a signature and gives its inputs by rows or by columns:

    {"instances": ["a text", "another"]}                        {"predictions": [...]}
    {"instances": [{"token_ids": [2, 7], "padding_mask": [1, 1]}]}
    {"inputs": {"text": ["a text", "another"]}}                 {"outputs": ...}

Source: https://www.tensorflow.org/tfx/serving/api_rest, "Predict API" and "JSON mapping".
"""

import base64
import dataclasses
import itertools
import json

import numpy as np

from roots_tf.mistakes import Identified

DEFAULT_SIGNATURE = "serving_default"
# Inputs of these names have a value a token. TensorFlow would repeat a row, or a token, of one of
# them to fit the others.
_BY_TOKEN = ("token_ids", "segment_ids", "padding_mask")
MAX_RANK = 32  # of an input whose rank the signature leaves open; NumPy takes 64


_STATUS = {"request-too-large": 413, "server-busy": 503, "server-failed": 500}


class ApiError(Identified, Exception):
    """An answer that is an error.

    Args:
        id: of the kind of mistake.
        message: one line for the client, to which the id is added.
        status: of HTTP; 0: that of the kind, 400 for most.
    """

    def __init__(self, id: str, message: str, status: int = 0):
        super().__init__(id, message)
        self.status = status or _STATUS.get(id, 400)
        self.message = f"{message} [{id}]"


@dataclasses.dataclass(frozen=True)
class Signature:
    """What a signature takes and gives.

    Args:
        inputs: `tf.TensorSpec` by name.
        defaults: of inputs that a request may leave out, the value of each row.
        by_rows: whether every input and output has one entry a row, so that the rows of several
            requests can be computed together.
        outputs: `tf.TensorSpec` by name.
    """

    inputs: dict
    by_rows: bool
    outputs: dict = dataclasses.field(default_factory=dict)
    defaults: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Call:
    """A request that is well-formed.

    Args:
        signature: its name.
        inputs: an array by name; strings are objects of `bytes`.
        rows: entries of each input's first axis; None where these are not rows of a batch.
        row_format: whether it came as `instances`; the answer is then `predictions`.
        answer_bytes: how large the answer will be at most, as `answers.expect` tells it.
    """

    signature: str
    inputs: dict[str, np.ndarray]
    rows: int | None
    row_format: bool
    answer_bytes: int = 0


def read(body: bytes | bytearray, signatures: dict[str, Signature], max_text_bytes: int) -> Call:
    """The call in the body of a predict request.

    Args:
        body: JSON in UTF-8; the tokens NaN and Infinity are numbers, as in TensorFlow Serving.
        signatures: those of the model.
        max_text_bytes: bytes of a string at most.

    Raises:
        ApiError: 400, whatever is wrong with it; 501, an input of a type that JSON cannot hold.
    """
    request = parse(body)
    name = request.get("signature_name", "")
    if not isinstance(name, str) or (name or DEFAULT_SIGNATURE) not in signatures:
        raise ApiError(
            "wrong-request",
            f"found signature_name {_show(name)}; wanted one of {', '.join(sorted(signatures))}",
        )
    name = name or DEFAULT_SIGNATURE
    signature = signatures[name]
    row_format = "instances" in request
    if row_format == ("inputs" in request):
        found = "both" if row_format else "none"
        raise ApiError(
            "wrong-request", f"found {found} of 'instances' and 'inputs'; wanted one of them"
        )
    if row_format:
        return call_of_rows(request["instances"], name, signature, max_text_bytes)
    columns = _by_columns(request["inputs"], signature)
    return _call(columns, name, signature, max_text_bytes, row_format=False)


def call_of_rows(instances, name: str, signature: Signature, max_text_bytes: int) -> Call:
    """The call of a list of rows.

    Args:
        instances: an object of inputs each, or the value of the only one without a default.
        name: of the signature.
        signature: that is called.
        max_text_bytes: bytes of a string at most.

    Raises:
        ApiError: as for `read`.
    """
    columns = _by_rows(instances, signature)
    return _call(columns, name, signature, max_text_bytes, row_format=True)


def _call(columns: dict, name: str, signature: Signature, max_text_bytes: int, row_format) -> Call:
    """The call of columns of inputs by name."""
    inputs = {
        key: _tensor(columns[key], spec, key, max_text_bytes)
        for key, spec in signature.inputs.items()
    }
    _check_alike({key: array for key, array in inputs.items() if key in _BY_TOKEN}, "shape", None)
    rows = None
    if signature.by_rows:
        _check_alike(inputs, "number of rows", 1)
        rows = next((len(array) for array in inputs.values()), None)
    if rows == 0:
        raise ApiError("wrong-request", "found no rows; wanted one or more")
    return Call(name, inputs, rows, row_format)


def parse(body: bytes | bytearray) -> dict:
    """The JSON object in a body.

    Raises:
        ApiError: 400, it holds none.
    """
    try:
        request = json.loads(body.decode("utf-8"), object_pairs_hook=_object)
    except RecursionError:
        raise ApiError(
            "wrong-request", "found JSON nested too deeply; wanted the lists of a tensor"
        ) from None
    except ValueError as error:  # also of UTF-8, and of a number of thousands of digits
        raise ApiError("wrong-request", f"found no JSON in UTF-8: {error}") from None
    if not isinstance(request, dict):
        raise ApiError("wrong-request", f"found {_show(request)}; wanted a JSON object")
    return request


def _object(pairs: list[tuple]) -> dict:
    """A JSON object; which of two values of one name was meant, nobody can know."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ApiError(
            "wrong-request", f"found {_show(twice)} twice in an object; wanted each name once"
        )
    return values


def _check_alike(inputs: dict[str, np.ndarray], what: str, axes: int | None) -> None:
    """Refuses arrays that differ in their first axes; None: in any."""
    shapes = {name: list(array.shape[:axes]) for name, array in inputs.items()}
    if len(set(map(tuple, shapes.values()))) > 1:
        found = ", ".join(f"{name} {_show(shape)}" for name, shape in shapes.items())
        raise ApiError("wrong-request", f"found {found}; wanted the same {what} of each")


def _by_rows(instances, signature: Signature) -> dict[str, list]:
    """Columns of `instances`, a list of values, or of objects with a value for each input."""
    needed, defaults = _needed(signature), signature.defaults
    if not isinstance(instances, list) or not instances:
        raise ApiError(
            "wrong-request", f"found {_show(instances)} as 'instances'; wanted a list of rows"
        )
    if len(needed) == 1 and not _is_named(instances[0]):
        given = {name: [value] * len(instances) for name, value in defaults.items()}
        return {needed[0]: instances} | given
    for row, instance in enumerate(instances):
        if not isinstance(instance, dict) or not _fits(instance, signature):
            found = _show(sorted(instance) if isinstance(instance, dict) else instance)
            raise ApiError(
                "wrong-request",
                f"found {found} in row {row} of 'instances'; wanted an object of "
                f"{_wanted(signature)}",
            )
    rows = [defaults | instance for instance in instances]
    return {name: [row[name] for row in rows] for name in signature.inputs}


def _by_columns(inputs, signature: Signature) -> dict:
    """Columns of `inputs`, an object of tensors, or the tensor of the only input."""
    needed, wanted = _needed(signature), _wanted(signature)
    if not _is_named(inputs):
        if len(needed) != 1:
            raise ApiError(
                "wrong-request", f"found {_show(inputs)} as 'inputs'; wanted an object of {wanted}"
            )
        inputs = {needed[0]: inputs}
    if not _fits(inputs, signature):
        raise ApiError(
            "wrong-request",
            f"found {_show(sorted(inputs))} in 'inputs'; wanted an object of {wanted}",
        )
    sizes = [len(column) for column in inputs.values() if isinstance(column, list)]
    left_out = signature.defaults.keys() - inputs.keys()
    return inputs | {name: [signature.defaults[name]] * max(sizes, default=1) for name in left_out}


def _needed(signature: Signature) -> list[str]:
    """Names of the inputs without a default."""
    return [name for name in signature.inputs if name not in signature.defaults]


def _fits(given: dict, signature: Signature) -> bool:
    """Whether these are inputs of a signature, none missing that has no default."""
    return set(_needed(signature)) <= given.keys() <= signature.inputs.keys()


def _wanted(signature: Signature) -> str:
    """The inputs of a signature, for a message."""
    optional = [name for name in signature.inputs if name in signature.defaults]
    return _show(_needed(signature)) + (
        f" and, where they differ, {_show(optional)}" * bool(optional)
    )


def _is_named(value) -> bool:
    """Whether it is an object of named inputs, and no string in base 64."""
    return isinstance(value, dict) and value.keys() != {"b64"}


def _tensor(value, spec, name: str, max_text_bytes: int) -> np.ndarray:
    """The array of nested lists, of the type and shape that a `tf.TensorSpec` wants."""
    shape, inner = [], value
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    wanted = [None] * len(shape) if spec.shape.rank is None else spec.shape.as_list()
    fits = len(shape) == len(wanted) and len(shape) <= MAX_RANK
    if not fits or any(w not in (None, s) for s, w in zip(shape, wanted, strict=True)):
        raise ApiError(
            "wrong-request", f"found {name} of shape {_show(shape)}; wanted {_show(wanted)}"
        )
    flat = [value]
    for size in shape:
        if any(not isinstance(part, list) or len(part) != size for part in flat):
            raise ApiError(
                "wrong-request",
                f"found lists of different lengths in {name}; wanted shape {_show(shape)}",
            )
        flat = list(itertools.chain.from_iterable(flat))
    try:
        return _array(flat, spec.dtype.as_numpy_dtype, max_text_bytes).reshape(shape)
    except (ValueError, OverflowError) as error:
        wanted = spec.dtype.name if spec.dtype.name != "string" else 'text, or {"b64": its bytes}'
        raise ApiError("wrong-request", f"found {error} in {name}; wanted {wanted}") from None


def _array(flat: list, dtype, max_text_bytes: int) -> np.ndarray:
    """Values of JSON as an array of one axis.

    Raises:
        ValueError: a value is not of that type; names it.
        ApiError: 501, JSON cannot hold the type.
    """
    kind = np.dtype(dtype).kind
    if kind == "O":
        return np.array([_text(value, max_text_bytes) for value in flat], dtype=object)
    allowed = {"b": {bool}, "i": {int}, "u": {int}, "f": {int, float}}.get(kind)
    if allowed is None:
        raise ApiError(
            "wrong-request",
            f"found an input of type {np.dtype(dtype)}; wanted one that JSON holds",
            501,
        )
    if not allowed.issuperset(map(type, flat)):
        raise ValueError(_show(next(value for value in flat if type(value) not in allowed)))
    if kind in "iu":
        limits = np.iinfo(dtype)
        for extreme in (min(flat, default=0), max(flat, default=0)):
            if not limits.min <= extreme <= limits.max:
                raise ValueError(_show(extreme))
    with np.errstate(over="ignore"):
        array = np.array(flat, np.float64 if kind == "f" else dtype).astype(dtype)
    if kind == "f" and np.isinf(array).sum() > sum(map(_is_infinite, flat)):
        raise ValueError("a number too large")
    return array


def _is_infinite(number) -> bool:
    return number in (float("inf"), float("-inf"))


def _text(value, max_text_bytes: int) -> bytes:
    """The bytes of a JSON string, or of an object that holds them in base 64."""
    try:
        if isinstance(value, str):
            text = value.encode("utf-8")
        else:
            [(key, digits)] = value.items()
            digits = digits.rstrip("=")
            text = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=key == "b64")
    except (AttributeError, ValueError):  # no string; a lone surrogate; not base 64
        raise ValueError(_show(value)) from None
    if len(text) > max_text_bytes:
        raise ApiError(
            "wrong-request",
            f"found a text of {len(text)} bytes; wanted at most {max_text_bytes}: cut it",
        )
    return text


def _show(value) -> str:
    """A JSON value for a message: short, and of ASCII."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        return "a list"
    shown = json.dumps(value)
    return shown if len(shown) <= 200 else shown[:200] + "..."

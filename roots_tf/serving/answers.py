"""Tensors out as JSON: how large an answer will be, and its writing in small steps.

A number takes up to 17 bytes of JSON and 4 of memory, so that a request of 1 MB may ask for an
answer of gigabytes. What an answer takes at most follows from the shapes of the outputs: where the
signature tells these, the request is refused before anything is computed.
"""

import base64
import dataclasses
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from roots_tf.serving.rest import ApiError, Call, Signature

# One step of writing, 2 ms: nothing else is answered during it.
VALUES_AT_ONCE = 2048
# "-1.23456789e-38"; of float64 17 digits and "e-308". From 1e10 on a float32 may take more, which
# is seen as it is written.
_FLOAT_DIGITS = {2: 15, 4: 15, 8: 24}


@dataclasses.dataclass(frozen=True)
class Expected:
    """How large an answer will be.

    Args:
        json_bytes: of its numbers, names and lists at most.
        is_sure: whether the signature tells all shapes. Else axes that it leaves open are taken to
            be as long as the longest text has bytes: tokens of a text, words, masks.
    """

    json_bytes: int
    is_sure: bool


def expect(signature: Signature, call: Call) -> Expected:
    """How large the answer to a call will be.

    Args:
        signature: that is called.
        call: a request.
    """
    longest = max((_longest(array) for array in call.inputs.values()), default=0) + 2
    shapes, is_sure = {}, call.rows is not None
    for name, spec in signature.outputs.items():
        axes = [None, None] if spec.shape.rank is None else spec.shape.as_list()
        is_sure &= spec.shape.rank is not None and None not in axes[1:]
        if axes and call.rows is not None:
            axes[0] = call.rows
        shapes[name] = [longest if size is None else size for size in axes]
    dtypes = {name: spec.dtype.as_numpy_dtype for name, spec in signature.outputs.items()}
    return Expected(_most_bytes(shapes, dtypes), is_sure)


def check_expected(expected: Expected, max_bytes: int) -> None:
    """Refuses what is sure to be too large.

    Args:
        expected: of a call.
        max_bytes: of an answer.

    Raises:
        ApiError: 413.
    """
    if expected.is_sure and expected.json_bytes > max_bytes:
        raise _too_large(f"of up to {expected.json_bytes} bytes", max_bytes)


def check(outputs: Mapping[str, np.ndarray], max_bytes: int, rows: int | None = None) -> None:
    """Refuses outputs whose JSON is too large.

    Args:
        outputs: an array by name.
        max_bytes: of an answer.
        rows: how many there will be of the first axis; none: as many as there are.

    Raises:
        ApiError: 413.
    """
    shapes = {
        name: array.shape if rows is None else (rows, *array.shape[1:])
        for name, array in outputs.items()
    }
    size = _most_bytes(shapes, {name: array.dtype for name, array in outputs.items()})
    if size > max_bytes:
        largest = max(shapes, key=lambda name: math.prod(shapes[name]))
        shown = "x".join(map(str, shapes[largest]))
        raise _too_large(f"of up to {size} bytes, {largest} of {shown}", max_bytes)


def memory(arrays: Mapping[str, np.ndarray]) -> int:
    """Bytes that arrays take, with the strings in them."""
    return sum(
        array.nbytes + (sum(map(sys.getsizeof, array.flat)) if array.dtype == object else 0)
        for array in arrays.values()
    )


def write(
    outputs: dict[str, np.ndarray], row_format: bool, max_bytes: int = sys.maxsize
) -> bytearray:
    """The body of the answer; a single output is written without its name.

    Bytes that are not UTF-8 become U+FFFD, unless the output's name ends in `_bytes`; such outputs
    are written in base 64.

    Args:
        outputs: an array by name.
        row_format: whether to answer a request that came as `instances`, a value a row.
        max_bytes: that it may have.

    Raises:
        ApiError: 400, outputs that are not one a row were asked for by rows; 413, it is too large.
    """
    shapes = {name: array.shape for name, array in outputs.items()}
    if row_format and (len({shape[:1] for shape in shapes.values()}) != 1 or () in shapes.values()):
        raise ApiError(
            "wrong-request",
            f"found outputs of shapes {shapes}; wanted one row each: ask with 'inputs'",
        )
    if len(outputs) == 1:
        [(name, array)] = outputs.items()
        pieces = _tensor(array, name)
    else:
        pieces = _rows(outputs) if row_format else _object(outputs)
    body = bytearray(b'{"predictions": ' if row_format else b'{"outputs": ')
    for piece in pieces:
        body += piece.encode("utf-8")
        if len(body) >= max_bytes:
            raise _too_large(f"of more than {len(body)} bytes", max_bytes)
    body += b"}"
    return body


def _too_large(found: str, max_bytes: int) -> ApiError:
    return ApiError(
        "request-too-large",
        f"found an answer {found}; wanted at most {max_bytes}: send fewer rows or shorter texts "
        "in a request, or serve with a larger --max_answer_bytes",
    )


def _longest(array: np.ndarray) -> int:
    """Bytes of its longest string, or the longest of its axes but the first."""
    if array.dtype == object:
        return max(map(len, array.flat), default=0)
    return max(array.shape[1:], default=0)


def _most_bytes(shapes: Mapping[str, Sequence[int]], dtypes: Mapping) -> int:
    """Bytes of JSON at most; of strings, for which no bound is known, those of empty ones."""
    total = 32
    for name, shape in shapes.items():
        lists = sum(math.prod(shape[:axis]) for axis in range(len(shape)))
        values = math.prod(shape) * _width(np.dtype(dtypes[name]))
        names = (shape[0] if len(shape) else 1) * (6 * len(name) + 8)
        total += 4 * lists + values + names * (len(shapes) > 1)
    return total


def _width(dtype: np.dtype) -> int:
    """Bytes of a value in JSON at most, with the comma."""
    if dtype.kind in "iu":
        return len(str(np.iinfo(dtype).min or np.iinfo(dtype).max)) + 2
    if dtype.kind in "bO":
        return 7 if dtype.kind == "b" else 4
    return _FLOAT_DIGITS.get(dtype.itemsize, 24) + 2


def _tensor(array: np.ndarray, name: str) -> Iterator[str]:
    """JSON of one output."""
    if array.size <= VALUES_AT_ONCE or not array.ndim:
        yield _dumps(_values(array, name))
        return
    at_once = VALUES_AT_ONCE * len(array) // array.size
    yield "["
    for start in range(0, len(array), at_once or 1):
        yield ", " if start else ""
        if at_once:
            yield _dumps(_values(array[start : start + at_once], name))[1:-1]
        else:
            yield from _tensor(array[start], name)
    yield "]"


def _object(outputs: dict[str, np.ndarray]) -> Iterator[str]:
    """JSON of several outputs, by name."""
    yield "{"
    for i, (name, array) in enumerate(outputs.items()):
        yield f"{', ' * (i > 0)}{_dumps(name)}: "
        yield from _tensor(array, name)
    yield "}"


def _rows(outputs: dict[str, np.ndarray]) -> Iterator[str]:
    """JSON of several outputs, an object a row."""
    rows = len(next(iter(outputs.values())))
    at_once = VALUES_AT_ONCE * rows // max(1, sum(array.size for array in outputs.values()))
    yield "["
    for start in range(0, rows, at_once or 1):
        yield ", " if start else ""
        if at_once:
            end = start + at_once
            columns = {name: _values(array[start:end], name) for name, array in outputs.items()}
            listed = zip(*columns.values(), strict=True)
            yield _dumps([dict(zip(columns, row, strict=True)) for row in listed])[1:-1]
        else:
            yield from _object({name: array[start, ...] for name, array in outputs.items()})
    yield "]"


def _dumps(value) -> str:
    return json.dumps(value, ensure_ascii=False)


def _values(array: np.ndarray, name: str):
    """An output as JSON values."""
    if array.dtype == np.float32:
        return _short(array).tolist()
    if array.dtype != object:
        return array.tolist()
    values = np.empty(array.size, object)
    for i, text in enumerate(array.flat):
        values[i] = (
            {"b64": base64.b64encode(text).decode("ascii")}
            if name.endswith("_bytes")
            else text.decode("utf-8", "replace")
        )
    return values.reshape(array.shape).tolist()


def _short(array: np.ndarray) -> np.ndarray:
    """Numbers as float64 that print with the six digits, or nine, that identify a float32.

    All digits of the float64 as such would be twice as many, and noise. Source:
    tensorflow/serving, util/json_tensor.cc, WriteDecimal.
    """
    found = array.astype(np.float64)
    with np.errstate(all="ignore"):  # zero, infinity and NaN stay as they are
        magnitude = np.floor(np.log10(np.abs(found)))
        for digits in (9, 6):
            scale = 10.0 ** (digits - 1 - magnitude)
            rounded = np.round(found * scale) / scale
            found = np.where(rounded.astype(np.float32) == array, rounded, found)
    return found

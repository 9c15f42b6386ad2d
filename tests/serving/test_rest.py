"""JSON to tensors and back: the literal layouts of TensorFlow Serving, and what it refuses."""

import json

import numpy as np
import pytest
import tensorflow as tf

from roots_tf.serving import answers, rest
from roots_tf.serving.rest import ApiError, Signature

TEXT = Signature({"text": tf.TensorSpec([None], tf.string)}, True)
IDS = ("token_ids", "segment_ids", "padding_mask")
SIGNATURES = {
    "serving_default": TEXT,
    # The example of api_rest.md, "Specifying input tensors in row format".
    "sensors": Signature(
        {
            "tag": tf.TensorSpec([None], tf.string),
            "signal": tf.TensorSpec([None, None], tf.int32),
            "sensor": tf.TensorSpec([None, 2, 2], tf.float32),
        },
        True,
    ),
    "x": Signature({"x": tf.TensorSpec([None], tf.float32)}, True),
    "any": Signature({"x": tf.TensorSpec(None, tf.float32)}, False),
    "scalar": Signature({"x": tf.TensorSpec([], tf.int64)}, False),
    "bool": Signature({"x": tf.TensorSpec([None], tf.bool)}, True),
    "byte": Signature({"x": tf.TensorSpec([None], tf.uint8)}, True),
    "complex": Signature({"x": tf.TensorSpec([None], tf.complex64)}, True),
    "nothing": Signature({}, True),
    "ids": Signature({name: tf.TensorSpec([None, None], tf.int32) for name in IDS}, True),
    "free": Signature({name: tf.TensorSpec([None, None], tf.int32) for name in IDS}, False),
}
ROW_A = {"tag": "foo", "signal": [1, 2, 3], "sensor": [[1, 2], [3, 4]]}
ROW_B = {"tag": "bar", "signal": [3, 4, 5], "sensor": [[4, 5], [6, 8]]}
COLUMNS = {
    "tag": ["foo", "bar"],
    "signal": [[1, 2, 3], [3, 4, 5]],
    "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]],
}


def read(request, limit: int = 100) -> rest.Call:
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    return rest.read(body, SIGNATURES, limit)


def test_rows_and_columns_are_the_same_tensors():
    by_rows = read({"signature_name": "sensors", "instances": [ROW_A, ROW_B]})
    by_columns = read({"signature_name": "sensors", "inputs": COLUMNS})
    assert by_rows.row_format and not by_columns.row_format
    for call in (by_rows, by_columns):
        assert call.signature == "sensors" and call.rows == 2
        assert call.inputs["tag"].tolist() == [b"foo", b"bar"]
        assert call.inputs["signal"].dtype == np.int32
        assert call.inputs["signal"].tolist() == [[1, 2, 3], [3, 4, 5]]
        assert call.inputs["sensor"].dtype == np.float32
        assert call.inputs["sensor"].tolist() == COLUMNS["sensor"]


@pytest.mark.parametrize(
    "request_",
    [
        {"instances": ["é", "b"]},
        {"instances": [{"b64": "w6k="}, "b"]},
        {"instances": [{"b64": "w6k"}, {"b64": "Yg"}]},
        {"instances": [{"text": "é"}, {"text": {"b64": "Yg=="}}]},
        {"inputs": ["é", "b"]},
        {"inputs": {"text": ["é", "b"]}},
        {"inputs": {"text": ["é", "b"]}, "signature_name": "serving_default"},
        {"inputs": {"text": ["é", "b"]}, "signature_name": "", "unknown key": 1},
    ],
)
def test_a_text_is_given_in_many_ways(request_):
    call = read(request_)
    assert call.inputs["text"].tolist() == ["é".encode(), b"b"]
    assert (call.signature, call.rows) == ("serving_default", 2)


def test_binary_strings_are_taken_whole():
    everything = bytes(range(256))
    encoded = {"b64": rest.base64.b64encode(everything).decode()}
    assert read({"instances": [encoded]}, 256).inputs["text"].tolist() == [everything]


@pytest.mark.parametrize(
    ("name", "value", "shape"),
    [
        ("any", 2.5, ()), ("any", [], (0,)), ("any", [[1], [2]], (2, 1)), ("scalar", 7, ()),
        ("x", [1, -10.0, 1e3], (3,)), ("bool", [True, False], (2,)), ("byte", [0, 255], (2,)),
    ],
)  # fmt: skip
def test_types_and_shapes(name, value, shape):
    array = read({"signature_name": name, "inputs": value}).inputs["x"]
    assert array.shape == shape
    assert array.tolist() == value


def test_numbers_that_are_none_are_numbers_as_in_tensorflow_serving():
    x = read(b'{"signature_name": "x", "instances": [NaN, Infinity, -Infinity, 1e999]}').inputs["x"]
    assert np.isnan(x[0]) and x[1:].tolist() == [np.inf, -np.inf, np.inf]


def test_a_signature_of_any_shape_has_no_rows():
    assert read({"signature_name": "any", "inputs": [1.0]}).rows is None


def ids(token_ids, segment_ids, padding_mask, signature="ids") -> dict:
    columns = dict(zip(IDS, (token_ids, segment_ids, padding_mask), strict=True))
    return {"signature_name": signature, "inputs": columns}


SENSORS = {"signature_name": "sensors"}
REFUSED = {
    "nothing": b"",
    "no JSON": b"{'instances': []}",
    "half of it": b'{"instances": ["a"',
    "more after it": b'{"instances": ["a"]} {}',
    "bytes": b"\xff\xfe\x00",
    "no UTF-8 within": b'{"instances": ["\xff"]}',
    "UTF-16": '{"instances": ["a"]}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"instances": ["a"]}',
    "a list": [],
    "a string": "instances",
    "null": None,
    "deep": b"[" * 100_000,
    "deep within": b'{"instances": ' + b"[" * 900 + b"]" * 900 + b"}",
    "deep objects": b'{"instances": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
    "deep, of any rank": b'{"signature_name":"any","inputs":' + b"[" * 99 + b"1" + b"]" * 99 + b"}",
    "a long number": b'{"signature_name": "x", "instances": [' + b"9" * 5_000 + b"]}",
    "a number too large": b'{"signature_name": "x", "instances": [' + b"9" * 400 + b"]}",
    "a number too large for float32": {"signature_name": "x", "instances": [1e39]},
    "an integer too large": {"signature_name": "scalar", "inputs": 2**63},
    "an integer too small": {"signature_name": "byte", "inputs": [-1]},
    "NaN as integer": b'{"signature_name": "byte", "inputs": [NaN]}',
    "NaN as text": b'{"instances": [NaN]}',
    "a fraction as integer": {"signature_name": "byte", "inputs": [1.0]},
    "a bool as integer": {"signature_name": "byte", "inputs": [True]},
    "a bool as number": {"signature_name": "x", "inputs": [True]},
    "an integer as bool": {"signature_name": "bool", "inputs": [1]},
    "text as number": {"signature_name": "x", "inputs": ["1"]},
    "an object as number": {"signature_name": "x", "inputs": [{}]},
    "null as number": {"signature_name": "x", "inputs": [None]},
    "a lone surrogate": b'{"instances": ["\\ud800"]}',
    "a lone surrogate as name": b'{"signature_name": "\\ud800", "instances": ["a"]}',
    "a lone surrogate as input": b'{"inputs": {"\\udfff": ["a"]}}',
    "null as text": {"instances": ["a", None]},
    "not base 64": {"instances": [{"b64": "!"}]},
    "base 64 cut off": {"instances": [{"b64": "w6kA1"}]},
    "base 64 of no ASCII": {"instances": [{"b64": "é"}]},
    "base 64 of a number": {"instances": [{"b64": 1}]},
    "a text too long": {"instances": ["é" * 501]},
    "both formats": {"instances": ["a"], "inputs": ["a"]},
    "no format": {"signature_name": "x"},
    "no rows": {"instances": []},
    "no rows in columns": {"inputs": {"text": []}},
    "an object for rows": {"instances": {"text": ["a"]}},
    "a text for rows": {"instances": "a"},
    "a scalar for a vector": {"inputs": "a"},
    "an unknown signature": {"signature_name": "none", "instances": ["a"]},
    "a number for a signature": {"signature_name": 1, "instances": ["a"]},
    "a list for a signature": {"signature_name": ["x"], "instances": ["a"]},
    "too deep": {"instances": [["a"]]},
    "objects and values": {"instances": ["a", {"text": "b"}]},
    "values and objects": {"instances": [{"text": "b"}, "a"]},
    "plain rows of several inputs": SENSORS | {"instances": [1, 2]},
    "plain columns of several inputs": SENSORS | {"inputs": [1, 2]},
    "a row lacks an input": SENSORS | {"instances": [ROW_A, {"tag": "a"}]},
    "a row has an input too many": SENSORS | {"instances": [ROW_A | {"more": 1}]},
    "a column is missing": SENSORS | {"inputs": {"tag": ["a"]}},
    "a column too many": {"inputs": {"text": ["a"], "more": ["b"]}},
    "rows of different shape": SENSORS | {"instances": [ROW_A, ROW_B | {"signal": [1]}]},
    "a list among numbers": SENSORS | {"instances": [ROW_A, ROW_B | {"signal": [1, [2], 3]}]},
    "a number among lists": SENSORS | {"instances": [ROW_A, ROW_B | {"signal": 1}]},
    "a shape that is not the signature's": SENSORS | {"inputs": COLUMNS | {"sensor": [[1, 2]]}},
    "columns of different rows": SENSORS | {"inputs": COLUMNS | {"tag": ["one"]}},
    "a column of one row": SENSORS | {"inputs": COLUMNS | {"signal": [[1, 2, 3]]}},
    "ids of one row": ids([[1, 2]], [[0, 0]] * 3, [[1, 1]] * 3),
    "a mask of one row": ids([[1, 2]] * 3, [[0, 0]] * 3, [[1, 1]]),
    "a mask of one token": ids([[1, 2]] * 3, [[0, 0]] * 3, [[1]] * 3),
    "segments of one token": ids([[1, 2]], [[0]], [[1, 1]]),
    "ids of one token": ids([[1]], [[0, 0]], [[1, 1]]),
    "ids of one row, where rows may differ": ids([[1]], [[0]] * 2, [[1]] * 2, "free"),
    "a fraction as id": ids([[1.0]], [[0]], [[1]]),
    "a bool as mask": ids([[1]], [[0]], [[True]]),
    "NaN as id": b'{"signature_name": "ids", "instances": [{"token_ids": [NaN], '
    b'"segment_ids": [0], "padding_mask": [1]}]}',
    "a scalar for a row": ids([1], [0], [1]),
    "rows of different length": ids([[1], [1, 2]], [[0], [0]], [[1], [1]]),
    "instances twice": b'{"instances": ["a"], "instances": ["b"]}',
    "a signature twice": b'{"signature_name": "x", "signature_name": "", "instances": ["a"]}',
    "an input twice": b'{"inputs": {"text": ["a"], "text": ["b"]}}',
    "an input of a row twice": b'{"instances": [{"text": "a", "text": "b"}]}',
    "bytes twice": b'{"instances": [{"b64": "YQ==", "b64": "Yg=="}]}',
    "a value where nothing is taken": {"signature_name": "nothing", "inputs": [1]},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused_in_one_line(name):
    with pytest.raises(ApiError) as caught:
        read(REFUSED[name])
    message = caught.value.message
    assert caught.value.status == 400
    assert message.startswith("found ") and "\n" not in message and len(message) < 700
    json.dumps({"error": message}).encode("ascii")


def test_a_type_that_json_cannot_hold_is_not_implemented():
    with pytest.raises(ApiError) as caught:
        read({"signature_name": "complex", "inputs": [1]})
    assert caught.value.status == 501


def objects(values) -> np.ndarray:
    return np.array(values, dtype=object)


def test_answers():
    vectors = np.array([[0.1, 1 / 3], [1e-10, 16777217]], np.float32)
    labels = objects([b"no", "ü".encode()])
    many = {"label": labels, "vectors": vectors}
    rows = [
        {"label": "no", "vectors": [0.1, 0.333333343]},
        {"label": "ü", "vectors": [1e-10, 16777216.0]},
    ]
    assert json.loads(answers.write(many, True)) == {"predictions": rows}
    columns = {"label": ["no", "ü"], "vectors": [row["vectors"] for row in rows]}
    assert json.loads(answers.write(many, False)) == {"outputs": columns}
    assert json.loads(answers.write({"label": labels}, True)) == {"predictions": ["no", "ü"]}
    assert json.loads(answers.write({"vectors": vectors}, False)) == {"outputs": columns["vectors"]}
    assert answers.write({"y": np.float32(2)}, False) == b'{"outputs": 2.0}'


def test_a_float32_is_written_so_that_it_is_read_back_the_same():
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint32)
    numbers = bits.view(np.float32)
    numbers = numbers[np.isfinite(numbers)]
    written = json.loads(answers.write({"y": numbers}, False))["outputs"]
    np.testing.assert_array_equal(np.array(written, np.float32), numbers)
    for number, found in zip(numbers, written, strict=True):
        six = float(f"{number:.6g}")
        if 1e-10 < abs(number) < 1e10:
            assert found == (six if np.float32(six) == number else float(f"{number:.9g}"))
    assert answers.write({"y": np.float32([0.2, np.nan, np.inf])}, False) == (
        b'{"outputs": [0.2, NaN, Infinity]}'
    )


def test_bytes_are_told_by_the_name_of_the_output():
    data = objects([[b"\xff\x00"], [b"a"]])
    assert json.loads(answers.write({"image_bytes": data}, True)) == {
        "predictions": [[{"b64": "/wA="}], [{"b64": "YQ=="}]]
    }
    assert json.loads(answers.write({"image": data}, True)) == {"predictions": [["�\x00"], ["a"]]}


@pytest.mark.parametrize("outputs", [{"a": np.float32(1)}, {"a": np.ones(2), "b": np.ones(3)}])
def test_outputs_that_are_no_rows_are_not_given_by_rows(outputs):
    with pytest.raises(ApiError, match="wanted one row each") as caught:
        answers.write(outputs, True)
    assert caught.value.status == 400
    assert "outputs" in json.loads(answers.write(outputs, False))

"""Requests beside a SavedModel: read back through the protos of TensorFlow Serving, and sent."""

import ast
import base64
import concurrent.futures
import contextlib
import http.server
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the ops of the SavedModel)

from roots_tf.export import requests
from roots_tf.storage.files import InputError

TEXTS = ["the ship", "a ship.", "漢字 \" \\ \n $1 '"]
EXAMPLES = {
    "serving_default": {"text": TEXTS},
    "ids": {"token_ids": np.array([[2, 33, 34, 3], [2, 5, 3, 0]]), "padding_mask": [[1] * 4] * 2},
}


@pytest.fixture(scope="module")
def served(exported, tmp_path_factory) -> Path:
    """A copy of the SavedModel, with requests."""
    folder = tmp_path_factory.mktemp("served") / "1"
    shutil.copytree(exported, folder)
    requests.write(folder, "ships", EXAMPLES)
    return folder


@pytest.fixture(scope="module")
def signatures(served):
    return tf.saved_model.load(str(served)).signatures


@pytest.fixture(scope="module")
def wanted(signatures) -> dict:
    """Answers to the examples."""
    texts = signatures["serving_default"](text=tf.constant(TEXTS))
    ids = {name: tf.constant(values, tf.int32) for name, values in EXAMPLES["ids"].items()}
    return {"serving_default": texts, "ids": signatures["ids"](**ids)}


def answer(signatures, name: str, inputs: dict) -> dict:
    """The outputs of a signature for inputs of the types that it has."""
    specs = signatures[name].structured_input_signature[1]
    assert inputs.keys() == specs.keys()
    return signatures[name](**{key: tf.constant(v, specs[key].dtype) for key, v in inputs.items()})


def assert_same(found: dict, wanted: dict) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if value.dtype == tf.string:
            assert np.array(found[name]).tolist() == value.numpy().tolist()
        else:
            np.testing.assert_allclose(found[name], value, atol=1e-6)


def test_the_warm_up_holds_a_request_a_signature(served, signatures, wanted):
    apis = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    path = str(served / "assets.extra" / "tf_serving_warmup_requests")
    records = [record.numpy() for record in tf.data.TFRecordDataset(path)]
    assert len(records) == len(EXAMPLES)
    for record, name in zip(records, EXAMPLES, strict=True):
        log = apis.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert (request.model_spec.name, request.model_spec.signature_name) == ("ships", name)
        inputs = {key: tf.make_ndarray(tensor) for key, tensor in request.inputs.items()}
        specs = signatures[name].structured_input_signature[1]
        for key, spec in specs.items():  # a server refuses other types
            assert request.inputs[key].dtype == spec.dtype.as_datatype_enum
        assert_same(answer(signatures, name, inputs), wanted[name])


def test_a_body_asks_what_the_example_asks(served, signatures, wanted):
    for name in EXAMPLES:
        body = json.loads((served / "requests" / f"{name}.json").read_text("utf-8"))
        assert body["signature_name"] == name
        assert_same(answer(signatures, name, body["inputs"]), wanted[name])
    assert body["inputs"]["token_ids"] == [[2, 33, 34, 3], [2, 5, 3, 0]]


def test_bytes_that_are_no_text_are_written_in_base64(exported, tmp_path):
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    requests.write(tmp_path, "ships", {"serving_default": {"text": [b"\xff\0", "漢"]}})
    body = json.loads((tmp_path / "requests" / "serving_default.json").read_text("utf-8"))
    first, second = body["inputs"]["text"]
    assert (base64.b64decode(first["b64"]), second) == (b"\xff\0", "漢")


@contextlib.contextmanager
def rest_server(signatures):
    """Answers POST as the REST interface of TensorFlow Serving does; gives its address.

    `tensorflow_serving/g3doc/api_rest.md`, "Predict API", in the columnar format.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/models/ships:predict"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            outputs = answer(signatures, body["signature_name"], body["inputs"])
            found = {name: value.numpy().astype("U32" if value.dtype == tf.string else float)
                     for name, value in outputs.items()}  # fmt: skip
            said = json.dumps({"outputs": {name: value.tolist() for name, value in found.items()}})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(said.encode() + b"\n")

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("localhost", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"localhost:{server.server_port}"
        server.shutdown()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl_sends_each_body(served, signatures, wanted):
    with rest_server(signatures) as address:
        run = subprocess.run(
            ["sh", str(served / "requests" / "curl.sh"), address],
            env=os.environ | {"no_proxy": "localhost"},
            capture_output=True,
            check=True,
        )
    lines = run.stdout.splitlines()
    for line, outputs in zip(lines, wanted.values(), strict=True):
        found = json.loads(line)["outputs"]
        found["label"] = [label.encode() for label in found["label"]]
        assert_same(found, outputs)


@contextlib.contextmanager
def grpc_server(signatures):
    """A server of TensorFlow Serving's gRPC interface that asks the SavedModel."""
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("tensorflow_serving.apis")
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802  (its name in the .proto)
            assert request.model_spec.name == "ships"
            inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            outputs = answer(signatures, request.model_spec.signature_name, inputs)
            response = predict_pb2.PredictResponse()
            for name, value in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return response

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(None)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_client_asks_over_grpc(served, signatures, wanted, name):
    with grpc_server(signatures) as address:
        run = subprocess.run(
            [sys.executable, str(served / "requests" / "client.py"), name, address],
            capture_output=True,
            text=True,
            check=True,
        )
    lines = (line.split(" ", 1) for line in run.stdout.splitlines())
    assert_same({key: ast.literal_eval(value) for key, value in lines}, wanted[name])


def test_the_client_takes_the_first_signature_and_the_usual_port(served):
    pytest.importorskip("tensorflow_serving.apis")
    text = (served / "requests" / "client.py").read_text("utf-8")
    for arguments, expected in (
        ([], ["serving_default", "localhost:8500"]),
        (["ids"], ["ids", "localhost:8500"]),
        (["ids", "there:1"], ["ids", "there:1"]),
    ):
        line = re.search(r"^signature, server = (.*)$", text, re.MULTILINE)[1]
        assert eval(line, {"sys": type("sys", (), {"argv": ["client.py", *arguments]})}) == expected


def test_without_the_package_it_says_how_to_get_a_warm_up(exported, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    shutil.copy(Path(exported, "saved_model.pb"), tmp_path)
    with caplog.at_level(logging.WARNING, "absl"):
        requests.write(tmp_path, "ships", EXAMPLES)
    assert "no warm-up requests were written: pip install 'roots-tf[serving]'" in caplog.text
    assert not (tmp_path / "assets.extra").exists()
    assert (tmp_path / "requests" / "client.py").exists()


@pytest.mark.parametrize(
    ("model", "examples", "message"),
    [
        ("my ships", EXAMPLES, "found 'my ships' as a model's name"),
        ("ships", {}, "found 0 examples; wanted 1 to 1000"),
        ("ships", {"classify": {}}, "found no signature 'classify'; wanted one of "),
        ("ships", {"ids": {"token_ids": [[2]]}}, "with token_ids; wanted padding_mask, token_ids"),
        (
            "ships",
            {"serving_default": {"text": [1]}},
            "found an example for text of serving_default",
        ),
        ("ships", {"serving_default": {"text": "a"}}, r"of shape \(\); wanted \(None,\)"),
    ],
)
def test_an_example_that_does_not_fit_is_refused(exported, tmp_path, model, examples, message):
    shutil.copy(Path(exported, "saved_model.pb"), tmp_path)
    with pytest.raises(InputError, match=message):
        requests.write(tmp_path, model, examples)
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model.pb"]

"""`serve`: a real server process, as its clients see it."""

import asyncio
import gzip
import http.client
import json
import shutil
import signal
import socket
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2

from pipelines import export, serve
from roots_tf.storage.files import InputError
from tests.serving import tiny
from tests.serving.test_rest import REFUSED
from tests.serving.tiny import Served

URL = "/v1/models/tiny"
LIMITS = ("--max_body_bytes=50000", "--max_text_bytes=1000")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Versions 1 and 2, and what is none."""
    folder = tmp_path_factory.mktemp("served") / "tiny"
    tiny.save(folder / "1")
    shutil.copytree(folder / "1", folder / "2")
    (folder / ".3.tmp").mkdir()
    (folder.parent / "secret").write_text("a secret")
    return folder


@pytest.fixture(scope="module")
def served(folder):
    """A server; it has to live through every test of this file, and end well."""
    server = Served(folder, *LIMITS, until="serving at")
    server.status_at_first = server.ask("GET", URL)
    server.health = [server.ask("GET", "/healthz")]
    while server.health[-1][0] != 200:
        server.health.append(server.ask("GET", "/healthz"))
    yield server
    assert server.process.poll() is None
    kept_alive = http.client.HTTPConnection("127.0.0.1", server.port)
    kept_alive.request("GET", "/healthz")
    assert kept_alive.getresponse().read() == b'{"status": "ready"}'
    with socket.create_connection(("127.0.0.1", server.port)):  # which sends nothing
        assert server.stop() == 0
    kept_alive.close()


@pytest.fixture(scope="module")
def signatures(folder):
    return tf.saved_model.load(str(folder / "2")).signatures


ANSWERS = {  # signature, request, answer
    "the example of the documentation": (
        "half_plus_three", {"instances": [1.0, 2.0, 5.0]}, {"predictions": [3.5, 4.0, 5.5]}
    ),
    "columns": ("half_plus_three", {"inputs": {"x": [1, 2]}}, {"outputs": [3.5, 4.0]}),
    "one input without its name": ("half_plus_three", {"inputs": [1]}, {"outputs": [3.5]}),
    "rows of integers": ("pair", {"instances": [[1, 2], [3, 4]]}, {"predictions": [3, 7]}),
    "base 64": (
        "same", {"instances": [{"b64": "/wA="}, "ü"]},
        {"predictions": [{"b64": "/wA="}, {"b64": "w7w="}]},
    ),
    "a scalar": ("total", {"inputs": [1, 2]}, {"outputs": 3.0}),
    "a scalar of text": ("joined", {"inputs": ["a", "ü"]}, {"outputs": "aü"}),
    "a matrix of strings": (
        "pieces", {"instances": ["a b", "c"]}, {"predictions": [["a", "b"], ["c", ""]]}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("version", ["", "/versions/2"])
def test_answers(served, name, version):
    signature, request, answer = ANSWERS[name]
    request = request | {"signature_name": signature}
    assert served.ask("POST", f"{URL}{version}:predict", request) == (200, answer)


def test_several_outputs_have_names(served, signatures):
    texts = ["a", "ü ß", ""]
    expected = signatures["serving_default"](text=tf.constant(texts))
    for key, request in (("predictions", {"instances": texts}), ("outputs", {"inputs": texts})):
        status, answer = served.ask("POST", f"{URL}:predict", request)
        assert status == 200 and list(answer) == [key]
        found = answer[key]
        if key == "predictions":
            found = {name: [row[name] for row in found] for name in found[0]}
        assert found["length"] == [1, 5, 0]
        assert found["upper"] == ["A", "ü ß", ""]
        np.testing.assert_allclose(found["v"], expected["v"], atol=1e-6)


def test_status_and_metadata_are_tensorflow_servings(served, folder):
    statuses = pytest.importorskip("tensorflow_serving.apis.get_model_status_pb2")
    metadata = pytest.importorskip("tensorflow_serving.apis.get_model_metadata_pb2")
    for path in (URL, f"{URL}/versions/2"):
        status, answer = served.ask("GET", path)
        parsed = json_format.ParseDict(answer, statuses.GetModelStatusResponse())
        assert status == 200
        [version] = parsed.model_version_status
        assert (version.version, version.state) == (2, statuses.ModelVersionStatus.AVAILABLE)
        assert answer["model_version_status"][0]["status"]["error_code"] == "OK"
    for path in (f"{URL}/metadata", f"{URL}/versions/2/metadata"):
        status, answer = served.ask("GET", path)
        assert status == 200
        assert answer["model_spec"] == {"name": "tiny", "signature_name": "", "version": "2"}
        definitions = answer["metadata"]["signature_def"]
        parsed = json_format.ParseDict(definitions, metadata.SignatureDefMap())
        stored = saved_model_pb2.SavedModel()
        stored.ParseFromString((folder / "2" / "saved_model.pb").read_bytes())
        assert dict(parsed.signature_def) == dict(stored.meta_graphs[0].signature_def)
        text = definitions["signature_def"]["serving_default"]["inputs"]["text"]
        assert text == {
            "dtype": "DT_STRING",
            "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
            "name": "serving_default_text:0",
        }


TEXTS = {"instances": ["a"]}
ERRORS = {
    "another model": ("POST", "/v1/models/other:predict", TEXTS, 404),
    "another version": ("POST", f"{URL}/versions/1:predict", TEXTS, 404),
    "status of another model": ("GET", "/v1/models/other", None, 404),
    "status of another version": ("GET", f"{URL}/versions/7", None, 404),
    "metadata of another version": ("GET", f"{URL}/versions/7/metadata", None, 404),
    "no version": ("POST", f"{URL}/versions/x:predict", TEXTS, 400),
    "a version too long": ("GET", f"{URL}/versions/{'9' * 99}", None, 400),
    "a method of other models": ("POST", f"{URL}:classify", TEXTS, 400),
    "no method": ("POST", URL, TEXTS, 400),
    "the wrong verb": ("GET", f"{URL}:predict", None, 400),
    "a verb that nothing takes": ("DELETE", URL, None, 405),
    "nothing": ("GET", "/", None, 404),
    "no path of the API": ("GET", "/v2/models/tiny", None, 404),
    "a verb of metrics": ("POST", "/monitoring/prometheus/metrics", {}, 405),
    "a body too large": ("POST", f"{URL}:predict", {"instances": ["a" * 900] * 60}, 413),
    "a text too large": ("POST", f"{URL}:predict", {"instances": ["a" * 1001]}, 400),
    "an input unknown": ("POST", f"{URL}:predict", {"inputs": {"texts": ["a"]}}, 400),
    "a signature unknown": ("POST", f"{URL}:predict", {"signature_name": "no", **TEXTS}, 400),
    "a shape that does not fit": (
        "POST", f"{URL}:predict", {"signature_name": "pair", "instances": [[1, 2, 3]]}, 400
    ),
    "shapes that do not fit each other": (
        "POST", f"{URL}:predict",
        {"signature_name": "ids", "inputs": {"token_ids": [[1, 2]], "padding_mask": [[1, 1, 1]]}},
        400,
    ),
    "an id that TensorFlow refuses": (
        "POST", f"{URL}:predict",
        {"signature_name": "ids", "instances": [{"token_ids": [10], "padding_mask": [1]}]}, 400
    ),
    "a scalar by rows": (
        "POST", f"{URL}:predict", {"signature_name": "total", "instances": [1]}, 400
    ),
    "more rows than may wait": ("POST", f"{URL}:predict", {"instances": [""] * 1025}, 400),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(served, name):
    *request, expected = ERRORS[name]
    status, answer = served.ask(*request)
    assert status == expected
    assert list(answer) == ["error"] and isinstance(answer["error"], str)
    assert answer["error"] and "\n" not in answer["error"]


def test_hostile_bodies_are_refused_and_nothing_more(served):
    before = served.metrics()
    for name, body in REFUSED.items():
        if isinstance(body, bytes) and len(body) > 50_000:
            body = body[:40_000]
        status, answer = served.ask("POST", f"{URL}:predict", body)
        assert (status, list(answer)) == (400, ["error"]), name
    packed = gzip.compress(json.dumps(TEXTS).encode())
    for encoding, body, expected in (
        ("gzip", packed, 200), ("gzip", packed[:-4], 400), ("gzip", b"no gzip", 400),
        ("gzip", gzip.compress(b" " * 1_000_000), 413), ("br", b"\0", 415),
    ):  # fmt: skip
        headers = {"Content-Encoding": encoding}
        assert served.ask("POST", f"{URL}:predict", body, headers)[0] == expected
    after = served.metrics()
    assert "roots_serving_requests_total 500" not in after
    count = "roots_serving_requests_total 400"
    assert after[count] == before.get(count, 0) + len(REFUSED) + 2


def test_a_body_at_the_limit_is_taken(served):
    body = json.dumps(TEXTS).encode()
    body += b" " * (50_000 - len(body))
    assert served.ask("POST", f"{URL}:predict", body)[0] == 200
    assert served.ask("POST", f"{URL}:predict", body + b" ")[0] == 413


def test_clients_that_break_off_leave_nothing_behind(served):
    head = f"POST {URL}:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n".encode()
    for sent in (b"", b"GET", b"\r\n\r\n\0\0", b"\x16\x03\x01\x02\0", head, head + b'{"inst'):
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(sent)
    for _ in range(1_000):
        if served.metrics()["roots_serving_requests_in_progress"] == 1:  # this one
            return
        time.sleep(0.01)
    raise AssertionError("a request that was broken off is still in progress")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret", "/..%2fsecret", "/%2e%2e/secret", "/v1/models/../../secret",
        "/v1/models/..%2f..%2fsecret", "/v1/models/..%2fsecret/metadata", "/v1/models/.3.tmp",
        "/v1/models/tiny/versions/..%2f..%2f..%2fsecret", "/v1/models/tiny/../../../secret",
        "/v1/models/tiny/versions/1/saved_model.pb", "/v1/models/tiny%2fversions%2f2",
        "//etc/passwd", "/etc/passwd", "file:///etc/passwd", "/v1/models/tiny%00", "/%ff%fe",
        "/v1/models/%ed%a0%80", "/v1/models/tiny/versions/2/metadata/../../../../../secret",
    ],
)  # fmt: skip
def test_no_path_reaches_a_file(served, path):
    for method in ("GET", "POST"):
        status, answer = served.fetch(method, path, b"{}" if method == "POST" else None)
        assert status in (400, 404, 405)
        assert b"a secret" not in answer and b"root:" not in answer


def test_it_is_healthy_once_it_is_warmed_up(served):
    status, answer = served.status_at_first
    assert (status, answer["model_version_status"][0]["state"]) == (200, "LOADING")
    assert {status for status, _ in served.health[:-1]} == {503}
    assert served.health[-1] == (200, {"status": "ready"})


def test_metrics(served):
    before = served.metrics()
    served.ask("POST", f"{URL}:predict", {"instances": ["a", "b"]})
    after = served.metrics()
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown["roots_serving_requests_total 200"] == 2  # and the metrics themselves
    assert grown["roots_serving_batch_rows_count"] == 1
    assert grown["roots_serving_batch_rows_sum"] == 2
    assert grown["roots_serving_predict_seconds_count"] == 1
    assert after["roots_serving_queue_rows"] == 0
    assert after["process_resident_memory_bytes"] > 1e7


def test_requests_that_come_together_are_computed_together(served, signatures):
    texts = [[f"text {i}", "x" * (i % 7)][: 1 + i % 2] for i in range(80)]
    before = served.metrics()
    bodies = [{"signature_name": "slow", "instances": rows} for rows in texts]
    found = asyncio.run(served.post_all(f"{URL}:predict", bodies, at_once=20))
    after = served.metrics()
    noise = float(signatures["slow"](text=tf.constant(["a"]))["noise"][0])
    for rows, (status, answer) in zip(texts, found, strict=True):
        assert status == 200
        assert answer["predictions"] == [
            {"length": len(text), "noise": pytest.approx(noise, abs=1e-5)} for text in rows
        ]
    name = "roots_serving_batch_rows"
    rows = after[f"{name}_sum"] - before[f"{name}_sum"]
    batches = after[f"{name}_count"] - before[f"{name}_count"]
    assert rows == sum(map(len, texts))
    assert batches < len(texts) / 2


def test_an_answer_does_not_depend_on_its_neighbours(served, signatures):
    """Among requests of other shapes, other signatures, and some that are refused."""
    generator = np.random.default_rng(0)
    bodies, expected = [], []
    for i in range(120):
        rows, length = generator.integers(1, 4, 2)
        ids = generator.integers(0, 10, [rows, length]).astype(np.int32)
        if i % 10 == 0:
            ids[0, 0] = 10
        inputs = {"token_ids": ids.tolist(), "padding_mask": np.ones_like(ids).tolist()}
        bodies.append({"signature_name": "ids", "inputs": inputs})
        outputs = None if i % 10 == 0 else signatures["ids"](
            token_ids=tf.constant(ids), padding_mask=tf.ones_like(ids)
        )  # fmt: skip
        expected.append(outputs and outputs["embedding"].numpy())
    found = asyncio.run(served.post_all(f"{URL}:predict", bodies, at_once=40))
    for (status, answer), embedding in zip(found, expected, strict=True):
        assert status == (400 if embedding is None else 200)
        if embedding is not None:
            np.testing.assert_allclose(answer["outputs"], embedding, atol=1e-5)


def test_a_call_larger_than_a_batch_is_answered_whole(served, signatures):
    texts = ["word " * (1 + i // 32) for i in range(70)]
    request = {"signature_name": "pieces", "instances": texts}
    status, answer = served.ask("POST", f"{URL}:predict", request)
    expected = signatures["pieces"](text=tf.constant(texts))["pieces"].numpy()
    assert status == 200
    assert answer["predictions"] == [[piece.decode() for piece in row] for row in expected]


def test_beyond_the_queue_requests_get_503_and_sigterm_loses_none(folder):
    served = Served(folder, "--max_batch_size=1", "--max_queue=12")
    body = {"signature_name": "slow", "instances": ["a"]}
    found = asyncio.run(served.post_all(f"{URL}:predict", [body] * 60, at_once=60))
    statuses = [status for status, _ in found]
    assert set(statuses) == {200, 503} and statuses.count(200) >= 12
    message = next(answer["error"] for status, answer in found if status == 503)
    assert "12 rows waiting; wanted room for 1: try again later" in message

    async def stop_under_load():
        count = "roots_serving_predict_seconds_count"
        before = (await asyncio.to_thread(served.metrics))[count]
        asked = asyncio.create_task(served.post_all(f"{URL}:predict", [body] * 12, at_once=12))
        arrived = waiting = 0
        while arrived < 12 or not waiting:
            assert not asked.done()
            metrics = await asyncio.to_thread(served.metrics)  # which is itself in progress
            arrived = metrics["roots_serving_requests_in_progress"] - 1 + metrics[count] - before
            waiting = metrics["roots_serving_queue_rows"]
        served.process.send_signal(signal.SIGTERM)
        return await asked

    assert [status for status, _ in asyncio.run(stop_under_load())] == [200] * 12
    assert served.process.wait(60) == 0
    with pytest.raises(ConnectionRefusedError):
        served.ask("GET", "/healthz")


def test_a_taken_port_is_named(folder, served):
    with pytest.raises(InputError, match=f"port {served.port}: .*choose another --port"):
        serve.main(serve.Config(model=str(folder), port=served.port))


@pytest.mark.parametrize("package", ["aiohttp", "prometheus_client"])
def test_a_missing_extra_is_named(folder, monkeypatch, package):
    for name in list(sys.modules):
        if name.startswith("roots_tf.serving"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"found no package {package}.*roots-tf\[serving\]"):
        serve.main(serve.Config(model=str(folder), port=0))


@pytest.mark.slow
def test_memory_does_not_grow(served):
    bodies = [{"instances": ["text " * (i % 40)] * (1 + i % 3)} for i in range(2_500)]

    def memory() -> float:
        found = asyncio.run(served.post_all(f"{URL}:predict", bodies, at_once=16))
        assert {status for status, _ in found} == {200}
        return served.metrics()["process_resident_memory_bytes"]

    memory()
    settled = memory()
    assert max(memory() for _ in range(4)) < settled + 10e6


@pytest.mark.slow
def test_what_export_writes_is_served(work, tmp_path):
    path = export.main(export.Config(model=work.model, output=str(tmp_path / "encoder")))
    served = Served(tmp_path / "encoder")
    try:
        texts = ["Return the first item.", "", "x" * 3000, "a b " * 200]
        status, answer = served.ask("POST", "/v1/models/encoder:predict", {"inputs": texts})
        loaded = tf.saved_model.load(path)
        expected = loaded.signatures["serving_default"](text=tf.constant(texts))
        outputs = answer["outputs"]
        outputs = outputs if len(expected) > 1 else {next(iter(expected)): outputs}
        assert status == 200 and outputs.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_allclose(outputs[name], array, atol=1e-5)
    finally:
        assert served.stop() == 0

"""Conditional writes to gs://, against a server that knows this one request of Google's API."""

import http.server
import json
import threading
import urllib.parse

import pytest

from roots_tf.storage import objects


class Handler(http.server.BaseHTTPRequestHandler):
    """Uploads of media, with `ifGenerationMatch`."""

    objects: dict[str, tuple[int, bytes]] = {}

    def do_POST(self):  # noqa: N802
        asked = urllib.parse.urlsplit(self.path)
        query = {name: values[0] for name, values in urllib.parse.parse_qs(asked.query).items()}
        content = self.rfile.read(int(self.headers["Content-Length"]))
        assert asked.path == "/upload/storage/v1/b/bucket/o"
        assert query["uploadType"] == "media"
        generation, _ = self.objects.get(query["name"], (0, b""))
        if int(query["ifGenerationMatch"]) != generation:
            self.answer(412, {"error": {"code": 412, "message": "conditionNotMet"}})
            return
        self.objects[query["name"]] = (generation + 7, content)
        self.answer(200, {"name": query["name"], "generation": str(generation + 7)})

    def answer(self, status: int, value: dict) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def google(monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("FSSPEC_GS_TOKEN", "anon")
    yield Handler.objects
    server.shutdown()
    server.server_close()


def test_a_write_on_a_condition(google):
    url = "gs://bucket/run/.writer"
    first = objects.write_if(url, b"1", None)
    assert first == "7"
    assert objects.write_if(url, b"2", None) is None
    assert objects.write_if(url, b"2", objects.no_version(url)) is None
    assert google == {"run/.writer": (7, b"1")}
    assert objects.write_if(url, b"2", first) == "14"
    assert google == {"run/.writer": (14, b"2")}

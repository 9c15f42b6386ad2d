"""Files of Hugging Face's hub, from a server that speaks as much of its API as they take."""

import hashlib
import http.server
import json
import threading
import urllib.parse

import pytest

from roots_tf.corpus import reading
from roots_tf.storage import claims, files, ranges

FILES = {
    "README.md": b"# Texts",
    "data/a.jsonl": b'{"text": "one"}\n{"text": "two"}\n' * 2000,
    "data/b c.txt": "zwei Wörter\n".encode() * 3000,
}
DATASET = "/api/datasets/owner/name"


def entry(name: str) -> dict:
    digest = hashlib.sha1(FILES[name]).hexdigest()
    return {"type": "file", "path": name, "size": len(FILES[name]), "oid": digest}


def tree(folder: str, is_deep: bool) -> list[dict]:
    """What stands in a folder, or also in those below it."""
    start, found = f"{folder}/" if folder else "", {}
    for name in FILES:
        if name.startswith(start):
            first, slash, _ = name.removeprefix(start).partition("/")
            about = {"type": "directory", "path": start + first, "oid": "0" * 40, "size": 0}
            found[first] = about if slash else entry(name)
            if slash and is_deep:
                found[name] = entry(name)
    return list(found.values())


class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if path in (DATASET, f"{DATASET}/revision/main"):
            self.send_json({"id": "owner/name", "sha": "0" * 40, "siblings": []})
        elif path.startswith(f"{DATASET}/tree/main"):
            folder = path.removeprefix(f"{DATASET}/tree/main").strip("/")
            self.send_json(tree(folder, "recursive=true" in self.path.lower()))
        elif (name := path.rpartition("/resolve/main/")[2]) in FILES:
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            about = f"bytes {first}-{last}/{len(FILES[name])}"
            self.send(206, FILES[name][first : last + 1], {"Content-Range": about})
        else:
            self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def send_json(self, value) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, content: bytes, headers: dict) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        yield "hf://datasets/owner/name"
        server.shutdown()


@pytest.mark.parametrize(
    "pattern, wanted",
    [
        ("data/a.jsonl", ["data/a.jsonl"]),
        ("data", ["data/a.jsonl", "data/b c.txt"]),
        ("data/*.txt", ["data/b c.txt"]),
        ("*/*", ["data/a.jsonl", "data/b c.txt"]),
    ],
)
def test_files_of_a_dataset(hub, pattern, wanted):
    found = files.expand(f"{hub}/{pattern}")
    assert found == [f"{hub}/{name}" for name in wanted]
    for url, name in zip(found, wanted, strict=True):
        assert ranges.size(url) == len(FILES[name])
        with ranges.opened(url) as file:
            assert file.read() == FILES[name]


def test_documents_and_a_claim(hub):
    (url,) = files.expand(f"{hub}@main/data/a.jsonl")
    texts = [document.text for document in reading.read_documents(url)]
    assert texts == ["one", "two"] * 2000
    assert claims.content(url) == claims.content(f"{hub}/data/a.jsonl") != ""


def test_what_is_not_there_is_told(hub):
    for name in (f"{hub}/data/c.txt", "hf://datasets/owner/none/a.txt"):
        with pytest.raises(files.InputError, match=f"found nothing at {name}; wanted"):
            files.expand(name)

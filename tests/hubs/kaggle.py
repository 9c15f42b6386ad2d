"""What kagglehub asks of Kaggle, answered on this machine: the files of one version of a model."""

import base64
import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Kaggle:
    def __init__(self, files: dict[str, bytes]):
        self.files = files
        self.asked: list[str] = []
        self.status = 0  # instead of every answer
        self.cut = 0  # answers with files that break off in the middle
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def handler(self):
        kaggle = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                kaggle.asked.append(f"{asked['modelSlug']}/{asked.get('path', '')}")
                if kaggle.status:
                    return self.answer(b"{}", kaggle.status)
                if self.path.endswith("/ListModelInstanceVersionFiles"):
                    names = [{"name": name} for name in kaggle.files]
                    content = json.dumps({"files": names, "nextPageToken": ""}).encode()
                    return self.answer(content, 200, {"Content-Type": "application/json"})
                return self.answer(b"", 302, {"Location": f"{kaggle.url}/storage/{asked['path']}"})

            def do_GET(self):
                content = kaggle.files[self.path.removeprefix("/storage/")]
                md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
                headers = {"Accept-Ranges": "bytes", "x-goog-hash": f"md5={md5}"}
                start = int(self.headers.get("Range", "bytes=0-")[6:-1])
                self.answer(content[start:], 206 if start else 200, headers)

            def answer(self, content: bytes, status: int, headers: dict | None = None):
                self.send_response(status)
                for name, value in {"Content-Length": len(content), **(headers or {})}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                if self.command == "GET" and kaggle.cut:
                    kaggle.cut -= 1
                    content = content[: len(content) // 2]
                self.wfile.write(content)

        return Handler


@contextlib.contextmanager
def running(files: dict[str, bytes]):
    kaggle = Kaggle(files)
    thread = threading.Thread(target=kaggle.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield kaggle
    finally:
        kaggle.server.shutdown()
        kaggle.server.server_close()
        thread.join()

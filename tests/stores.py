"""A real S3 server in a thread, behind a proxy that fails as it is told to.

store.put("a.txt", b"text")                        s3://corpus/a.txt
store.fail("a.txt", "503", times=2)                the next two requests of it
store.delay = 0.05                                 seconds before each answer
store.requests                                     (method, path, status) of each
"""

import contextlib
import http.client
import http.server
import logging
import os
import socket
import socketserver
import threading
import time
import urllib.parse
from pathlib import Path

BUCKET = "corpus"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIATESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "secret/of+the/tests",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    # Of no other account on this machine.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
# The server looks at whose key it is, not at the signature.
_OWNER = "AWS4-HMAC-SHA256 Credential=AKIATESTTESTTEST/20260101/us-east-1/s3/aws4_request, "
_OWNER += "SignedHeaders=host, Signature=0"
_ANSWERS = {"503": "SlowDown", "500": "InternalError", "403": "AccessDenied", "404": "NoSuchKey"}


class Store:
    """The server, the proxy and what they have seen; `url` names a key of the one bucket."""

    def __init__(self):
        from moto.server import ThreadedMotoServer

        self.delay, self.bytes_a_second = 0.0, 0.0
        self.requests: list[tuple[str, str, int]] = []
        self._faults: list[list] = []  # part of a path, what happens, how often
        self._lock = threading.Lock()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # which tells of each request
        self._moto = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        self._moto.start()
        self._behind = self._moto.get_host_and_port()
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._ask("PUT", f"/{BUCKET}", b"")

    @staticmethod
    def url(key: str = "") -> str:
        return f"s3://{BUCKET}/{key}".rstrip("/")

    def put(self, key: str, content: bytes | Path) -> str:
        """Stores an object, past the proxy, and gives its URL; of a folder all its files."""
        if isinstance(content, Path) and content.is_dir():
            for path in filter(Path.is_file, sorted(content.rglob("*"))):
                self.put(f"{key}/{path.relative_to(content)}", path)
        else:
            body = content.read_bytes() if isinstance(content, Path) else content
            self._ask("PUT", f"/{BUCKET}/{urllib.parse.quote(key)}", body)
        return self.url(key)

    def delete(self, key: str) -> None:
        self._ask("DELETE", f"/{BUCKET}/{key}", b"")

    def fail(self, part: str, how: str, times: int = 1) -> None:
        """Has the next requests, whose method and path hold a text, fail.

        `how` is a status, "cut" (within the body), "hang" (nothing for a minute), "slow" (a byte at
        a time) or "hide" (a listing without the keys that hold what follows "hide:").
        """
        self._faults.append([part, how, times])

    def reset(self) -> None:
        self.delay, self.bytes_a_second = 0.0, 0.0
        self._faults.clear()
        self.requests.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._moto.stop()

    def fault_of(self, request: str) -> str:
        with self._lock:
            for fault in self._faults:
                if fault[0] in request and fault[2] > 0:
                    fault[2] -= 1
                    return fault[1]
        return ""

    def _ask(self, method: str, path: str, body: bytes) -> None:
        answer, _ = self.forward(method, path, {"Authorization": _OWNER}, body)
        assert answer.status < 300, (method, path, answer.status)

    def forward(self, method: str, path: str, headers: dict, body: bytes):
        """What the server behind answers, and its body."""
        connection = http.client.HTTPConnection(*self._behind, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer, answer.read()


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads, request_queue_size = True, 128

    def handle_error(self, request, client_address):
        """Says nothing of clients that have gone."""


def _handler_of(store: Store) -> type:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = store.fault_of(f"{self.command} {self.path}")
            if store.delay:
                time.sleep(store.delay)
            if fault == "hang":
                time.sleep(60)
            if fault in _ANSWERS:
                code = _ANSWERS[fault]
                content = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
                self._send(int(fault), {"Content-Type": "application/xml"}, content, "")
                return
            headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
            answer, content = store.forward(self.command, self.path, headers, body)
            if fault.startswith("hide:"):
                content = _without_keys(content, fault.removeprefix("hide:").encode())
            self._send(answer.status, dict(answer.getheaders()), content, fault)

        def _send(self, status: int, headers: dict, content: bytes, fault: str) -> None:
            store.requests.append((self.command, self.path, status))
            self.send_response(status)
            length = headers.get("Content-Length", "0")
            for name, value in headers.items():
                if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            is_head = self.command == "HEAD"
            self.send_header("Content-Length", length if is_head else str(len(content)))
            self.end_headers()
            if is_head:
                return
            if fault == "cut":
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            elif fault == "slow":
                for byte in content:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)
            else:
                self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, *_):
            pass

    return Handler


def _without_keys(listing: bytes, part: bytes) -> bytes:
    """A listing in which the keys that hold `part` have not come up yet."""
    pieces = listing.split(b"<Contents>")
    return b"<Contents>".join([pieces[0], *(p for p in pieces[1:] if part not in p)]) + (
        listing[listing.rindex(b"</Contents>") + 11 :] if part in pieces[-1] else b""
    )

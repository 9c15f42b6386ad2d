"""A hub on this machine that speaks the protocol of the Hugging Face hub, with faults on demand.

Repositories are lists of commits. Large files are reached by a redirect to another host, as on the
hub: here `localhost` in the place of `127.0.0.1`, which must never see a token.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

LARGE = (".safetensors", ".h5", ".bin", ".onnx", ".pb", ".tflite")  # kept as git's pointers
TOKEN, READER = "hf_secretOfThisTest", "hf_readsAlone"


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclasses.dataclass
class Repository:
    commits: dict[str, dict[str, bytes]]  # files by path, by hash; the first is the oldest
    refs: dict[str, str]
    gated: bool = False
    private: bool = False

    def commit(self, files: dict[str, bytes], ref: str = "main") -> str:
        oid = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits[oid], self.refs[ref] = dict(files), oid
        return oid

    @property
    def head(self) -> dict[str, bytes]:
        return self.commits[self.refs["main"]]


@dataclasses.dataclass
class Fault:
    """What goes wrong in the next `times` requests whose method and path match."""

    pattern: str
    times: int = 1
    status: int = 0  # instead of an answer
    cut: int = -1  # the connection ends after so many bytes of the body
    html: bool = False  # the page of a gate before the network
    stall: bool = False  # half of the body, and no more until the hub goes on
    lose: bool = False  # it is done, and answered as if the server were down
    flip: bool = False  # a bit of the body is another
    etag: str = ""  # instead of the right one
    headers: dict = dataclasses.field(default_factory=dict)


class Hub:
    def __init__(self):
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}  # uploads by SHA-256
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, str, str]] = []  # method, path, Range
        self.leaked: list[str] = []  # paths of the other host that came with a token
        self.lock = threading.Lock()
        self.stalled, self.go_on = threading.Event(), threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def add(self, name: str, files: dict[str, bytes], **about) -> Repository:
        made = self.repositories[name] = Repository({}, {}, **about)
        made.commit(files)
        return made

    def fault(self, pattern: str, **about) -> Fault:
        self.faults.append(Fault(pattern, **about))
        return self.faults[-1]

    def paths(self, method: str, containing: str = "") -> list[str]:
        return [path for how, path, _ in self.asked if how == method and containing in path]

    def take_fault(self, line: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, line):
                    fault.times -= 1
                    return fault
        return None


@contextlib.contextmanager
def running() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
        thread.join()


class RefusedError(Exception):
    def __init__(self, status: int, code: str = "", message: str = ""):
        self.status, self.code, self.message = status, code, message


def _handler(hub: Hub):
    class Handler(_Handler):
        pass

    Handler.hub = hub
    return Handler


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.path_only, _, query = self.path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query))
        where = urllib.parse.unquote(self.path_only)
        self.hub.asked.append((self.command, where, self.headers.get("Range", "")))
        self.given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.headers["Host"].startswith("localhost") and self.given:
            self.hub.leaked.append(where)
        self.fault = self.hub.take_fault(f"{self.command} {where}")
        try:
            if self.fault and self.fault.status:
                return self.answer({"error": "injected"}, self.fault.status, self.fault.headers)
            for pattern, method in ROUTES:
                if match := re.fullmatch(pattern, f"{self.command} {where}"):
                    with self.hub.lock:
                        todo = getattr(self, method)(*match.groups())
                    return self.answer(*todo)
            self.answer({"error": f"no route {self.command} {where}"}, 404)
        except RefusedError as error:
            headers = {"X-Error-Code": error.code, "X-Error-Message": error.message}
            headers = {name: value for name, value in headers.items() if value}
            self.answer({"error": error.message}, error.status, headers)

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def answer(self, body=b"", status: int = 200, headers: dict | None = None):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        fault = self.fault or Fault("")
        status = 503 if fault.lose else status
        body = b"<html>Log in to this network</html>" if fault.html else body
        if fault.flip and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        headers = {"Content-Length": len(body)} | (headers or {})
        if fault.etag:
            headers |= {n: fault.etag for n in ("ETag", "X-Linked-Etag") if n in headers}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.stall:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.hub.stalled.set()
            self.hub.go_on.wait(60)
            self.close_connection = True
            return
        if 0 <= fault.cut < len(body):
            self.wfile.write(body[: fault.cut])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(1)
            return
        self.wfile.write(body)

    def repository(self, name: str) -> Repository:
        found = self.hub.repositories.get(name)
        if self.given and self.given not in (TOKEN, READER):
            raise RefusedError(401, "", "Invalid credentials in Authorization header")
        if found is None or (found.private and not self.given):
            raise RefusedError(404 if self.given else 401, "RepoNotFound", "Repository not found")
        return found

    def commit_of(self, found: Repository, revision: str) -> str:
        commit = found.refs.get(revision, revision)
        if commit not in found.commits:
            raise RefusedError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def check_gate(self, found: Repository, name: str):
        if found.gated and self.given != TOKEN:
            raise RefusedError(403, "GatedRepo", f"Access to model {name} is restricted")

    def writer(self):
        if self.given != TOKEN:
            raise RefusedError(403, "", "You don't have the rights to write")

    # What is read.

    def info(self, name, revision="main"):
        found = self.repository(name)
        commit = self.commit_of(found, revision)
        files = [_sibling(path, content) for path, content in found.commits[commit].items()]
        about = {"id": name, "sha": commit, "siblings": files, "private": found.private}
        return (about | {"tags": [], "downloads": 0, "likes": 0},)

    def tree(self, name, revision):
        found = self.repository(name)
        self.check_gate(found, name)
        files = found.commits[self.commit_of(found, revision)]
        return ([_entry(path, content) for path, content in files.items()],)

    def resolve(self, name, revision, path):
        found = self.repository(name)
        self.check_gate(found, name)
        commit = self.commit_of(found, revision)
        content = found.commits[commit].get(path)
        about = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if content is None:
            raise RefusedError(404, "EntryNotFound", "Entry not found")
        if path.endswith(LARGE):
            self.hub.stored[sha256(content)] = content
            about |= {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": len(content)}
            about |= {"ETag": f'"{git_oid(content)}"'}
            about["Location"] = f"http://localhost:{self.hub.port}/cdn/{sha256(content)}?sig=S3CRET"
            return b"", 302, about
        return self.ranged(content, about | {"ETag": f'"{git_oid(content)}"'})

    def cdn(self, oid):
        return self.ranged(self.hub.stored[oid], {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})

    def ranged(self, content: bytes, headers: dict):
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            return content, 200, headers
        start, end = int(asked[1]), int(asked[2] or len(content) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        return content[start : end + 1], 206, headers

    # What is written.

    def whoami(self):
        if self.given not in (TOKEN, READER):
            raise RefusedError(401, "", "Invalid credentials in Authorization header")
        return ({"name": "me", "type": "user", "orgs": []},)

    def create(self):
        self.writer()
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        url = {"url": f"{self.hub.url}/{name}"}
        if name in self.hub.repositories:
            return url | {"error": "You already created this model repo"}, 409
        self.hub.add(name, {".gitattributes": b"*"}, private=asked.get("visibility") == "private")
        return (url,)

    def validate(self):
        content = json.loads(self.body)["content"]
        front = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
        head = yaml.safe_load(front[1]) if front else {}
        errors = [
            {"message": f'"{key}" must be a string'}
            for key in ("license", "library_name", "pipeline_tag")
            if not isinstance(head.get(key, ""), str)
        ]
        return {"errors": errors, "warnings": []}, 400 if errors else 200

    def preupload(self, name, revision):
        self.writer()
        found, files = self.repository(name), []
        for file in json.loads(self.body)["files"]:
            large, there = file["path"].endswith(LARGE), found.head.get(file["path"])
            mode = {"path": file["path"], "uploadMode": "lfs" if large else "regular"}
            if there is not None:
                mode["oid"] = sha256(there) if large else git_oid(there)
            files.append(mode | {"shouldIgnore": False})
        return ({"files": files},)

    def batch(self, name):
        self.writer()
        objects = []
        for each in json.loads(self.body)["objects"]:
            upload = {"href": f"{self.hub.url}/upload/{each['oid']}"}
            verify = {"href": f"{self.hub.url}/verify"}
            actions = {"upload": upload, "verify": verify}
            is_there = each["oid"] in self.hub.stored
            objects.append(each | ({} if is_there else {"actions": actions}))
        return ({"transfer": "basic", "objects": objects},)

    def upload(self, oid):
        if sha256(self.body) != oid:
            raise RefusedError(400, "", "other bytes than were announced")
        self.hub.stored[oid] = self.body
        return (b"",)

    def verify(self):
        asked = json.loads(self.body)
        if len(self.hub.stored.get(asked["oid"], b"")) != asked["size"]:
            raise RefusedError(404, "", "nothing of that kind was uploaded")
        return ({},)

    def commit(self, name, revision):
        self.writer()
        found = self.repository(name)
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = lines.pop(0)["value"]
        if header.get("parentCommit", found.refs[revision]) != found.refs[revision]:
            raise RefusedError(412, "", "A commit has happened since.")
        files = dict(found.head)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.stored[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        oid = found.commit(files, revision)
        return ({"commitUrl": f"{self.hub.url}/{name}/commit/{oid}", "commitOid": oid},)


def _entry(path: str, content: bytes) -> dict:
    entry = {"type": "file", "path": path, "size": len(content), "oid": git_oid(content)}
    if path.endswith(LARGE):
        pointer = "version https://git-lfs.github.com/spec/v1\n"
        pointer += f"oid sha256:{sha256(content)}\nsize {len(content)}\n"
        entry["oid"] = git_oid(pointer.encode())
        lfs = {"oid": sha256(content), "size": len(content), "pointerSize": len(pointer)}
        entry["lfs"] = lfs
    return entry


def _sibling(path: str, content: bytes) -> dict:
    entry = _entry(path, content)
    lfs = {"lfs": entry["lfs"] | {"sha256": entry["lfs"]["oid"]}} if "lfs" in entry else {}
    return {"rfilename": path, "size": entry["size"], "blobId": entry["oid"]} | lfs


NAME = r"([\w.-]+(?:/[\w.-]+)?)"
ROUTES = (
    (rf"GET /api/models/{NAME}", "info"),
    (rf"GET /api/models/{NAME}/revision/(.+)", "info"),
    (rf"GET /api/models/{NAME}/tree/(.+)", "tree"),
    (r"(?:GET|HEAD) /cdn/(\w+)", "cdn"),
    (rf"(?:GET|HEAD) /{NAME}/resolve/(.+?)/(.+)", "resolve"),
    (r"GET /api/whoami-v2", "whoami"),
    (r"POST /api/repos/create", "create"),
    (r"POST /api/validate-yaml", "validate"),
    (rf"POST /api/models/{NAME}/preupload/(.+)", "preupload"),
    (rf"POST /{NAME}\.git/info/lfs/objects/batch", "batch"),
    (r"PUT /upload/(\w+)", "upload"),
    (r"POST /verify", "verify"),
    (rf"POST /api/models/{NAME}/commit/(.+)", "commit"),
)

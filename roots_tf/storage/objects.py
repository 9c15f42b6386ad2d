"""Objects of a store, one request each: list, fetch, upload, remove, write on a condition.

An object appears whole or not at all: a store has no half-written file and no rename. Where the
store tells an object's MD5, as `ETag` or `md5Hash`, what was sent or fetched is compared with it.
"""

import base64
import contextlib
import hashlib
import mimetypes
import os
import re
from pathlib import Path
from typing import NamedTuple

from absl import logging

from roots_tf.storage import urls
from roots_tf.storage.files import InputError

# Bytes of a part of a large upload: S3 takes 10,000 parts at most, and memory holds some of them.
PART_BYTES, MOST_PARTS = 16 << 20, 9_000
# Of other tools: AWS's, rclone's, s3cmd's, s3fs's, and others of large files.
_OTHER_PART_BYTES = tuple(size << 20 for size in (8, 5, 15, 50, 64, 100))
WRITABLE = ("s3", "gs")  # schemes that an output may have
_VERSIONS = ("generation", "ETag", "etag", "md5Hash", "sha256", "blob_id")
_UNMET = {"PreconditionFailed", "ConditionalRequestConflict", "412"}
_UNKNOWN = {"NotImplemented"}  # what a store says that knows no conditions


class Object(NamedTuple):
    """What a store says of an object.

    Attributes:
        url: of it.
        size: bytes; -1 where it is not told.
        version: changes whenever the object does; "" where the store tells none.
        md5: of the bytes in hexadecimal digits; "" where it is not told.
        parts: it was uploaded in, whose MD5s `md5` is made of; 0 of one that was not.
    """

    url: str
    size: int
    version: str
    md5: str = ""
    parts: int = 0


def describe(url: str, info: dict) -> Object:
    """An object from what fsspec says of it.

    Args:
        url: of the object.
        info: as `fsspec` file systems give it.
    """
    version = next((str(info[name]) for name in _VERSIONS if info.get(name)), "")
    etag = re.fullmatch(r'"?([0-9a-f]{32})(?:-(\d+))?"?', str(info.get("ETag") or ""))
    md5, parts = (etag[1], int(etag[2] or 0)) if etag and url.startswith("s3://") else ("", 0)
    if info.get("md5Hash"):
        md5 = base64.b64decode(info["md5Hash"]).hex()
    return Object(url, -1 if info.get("size") is None else int(info["size"]), version, md5, parts)


def at(url: str) -> Object | None:
    """The object of a `url`; None where there is none, or a folder."""
    store = urls.filesystem(url)
    info = urls.if_there(lambda: store.info(url), url)
    return describe(url, info) if info and info.get("type") == "file" else None


def below(url: str) -> dict[str, Object]:
    """The objects in a folder and in folders below it, by their names there, in order.

    Args:
        url: of the folder.

    Raises:
        InputError: there is no such bucket, or it cannot be read.
    """
    store, url = urls.filesystem(url), url.rstrip("/")
    start = store._strip_protocol(url).rstrip("/") + "/"
    found = urls.attempts(lambda: store.find(url + "/", detail=True), url)
    inside = {
        name.removeprefix(start): info
        for name, info in sorted(found.items())
        if name.startswith(start) and info.get("type") == "file" and not name.endswith("/")
    }
    if odd := [name for name in inside if not is_local_name(name)]:
        logging.warning(
            "%s holds %s, a name that no file here can have: left out (of %d such)",
            *(urls.shown(url), odd[0], len(odd)),
        )
    return {n: describe(urls.join(url, n), inside[n]) for n in inside if n not in odd}


def is_local_name(name: str) -> bool:
    """Whether a `name` in a store can be one in a folder here, and leads nowhere else.

    >>> is_local_name("model/model.json"), is_local_name("../../.bashrc"), is_local_name("empty/")
    (True, False, False)
    """
    return not {"", ".", ".."} & set(name.split("/")) and "\0" not in name


def fetch(found: Object, path: str | Path) -> None:
    """Fetches an object and compares it with what the store says of it.

    Args:
        found: from `at` or `below`.
        path: where to put it; a file that stands there is replaced.

    Raises:
        InputError: it is gone, cannot be read, or comes damaged however often it is fetched.
    """
    store, seen = urls.filesystem(found.url), set()
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    for _ in range(3):
        urls.attempts(lambda: store.get_file(found.url, str(path)), found.url)
        if fits(found, path):
            return
        # An ETag is no MD5 that is known where the store encrypts with keys of a service, or where
        # parts had a size that is not known: then the bytes come the same twice.
        digest = file_md5(path)
        if digest in seen and (found.parts or is_opaque(found, path)):
            return
        seen.add(digest)
    raise InputError(
        "file-damaged",
        f"found {found.url} damaged on its way, three times ({os.path.getsize(path)} bytes, MD5 "
        f"{file_md5(path)}); wanted {found.size} bytes, MD5 {found.md5 or 'unknown'}, as the store "
        "says: it may have changed meanwhile, so run the same command again",
    )


def fits(found: Object, path: str | Path) -> bool:
    """Whether a local file is an object, as far as the store tells: by size and MD5.

    Args:
        found: the object.
        path: of the file; it may be missing.
    """
    try:
        size = os.path.getsize(path)
    except OSError:
        return False
    if found.size not in (-1, size):
        return False
    if not found.parts:
        return not found.md5 or found.md5 == file_md5(path)
    sizes = dict.fromkeys((_part_bytes(size), *_OTHER_PART_BYTES))
    fitting = [part for part in sizes if -(-size // part) == found.parts]
    return any(file_md5(path, part) == found.md5 for part in fitting)


def file_md5(path: str | Path, part_bytes: int = 0) -> str:
    """MD5 of a file, or of the MD5s of its parts, as S3 has it of what was uploaded in parts.

    Args:
        path: of the file.
        part_bytes: of each part but the last; 0 is the file as a whole.
    """
    with open(path, "rb") as file:
        if not part_bytes:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        of_parts = hashlib.md5(usedforsecurity=False)
        while part := file.read(part_bytes):
            of_parts.update(hashlib.md5(part, usedforsecurity=False).digest())
    return of_parts.hexdigest()


def _part_bytes(size: int) -> int:
    return max(PART_BYTES, -(-size // MOST_PARTS))


def is_opaque(found: Object, path: str | Path) -> bool:
    """Whether a file has the size of an object, of which S3 says that its ETag is no MD5.

    Args:
        found: the object.
        path: of the file.
    """
    if not found.url.startswith("s3://") or os.path.getsize(path) != found.size:
        return False
    store = urls.filesystem(found.url)
    bucket, key, _ = store.split_path(found.url)
    about = urls.attempts(lambda: store.call_s3("head_object", Bucket=bucket, Key=key), found.url)
    by_service = str(about.get("ServerSideEncryption", "")).startswith("aws:kms")
    return by_service or bool(about.get("SSECustomerAlgorithm"))


def upload(file: int, url: str) -> None:
    """Uploads an open file; the object appears when all of it is there.

    Args:
        file: its descriptor: of what is replaced meanwhile the old content is uploaded, whole.
        url: where to.

    Raises:
        InputError: the store refuses it, or cannot be reached.
    """
    store, size = urls.filesystem(url), os.fstat(file).st_size
    kind = mimetypes.guess_type(urls.name_of(url))[0] or "application/octet-stream"
    how = {"content_type": kind}
    if url.startswith("s3://"):
        how = {"ContentType": kind, "chunksize": _part_bytes(size), "max_concurrency": 2}

    def put():
        os.lseek(file, 0, os.SEEK_SET)
        store.put_file(f"/dev/fd/{file}", url, **how)

    urls.attempts(put, url)


def remove(url: str) -> None:
    """Removes the object of a `url`; one that is gone is no error."""
    store = urls.filesystem(url)

    def forget():
        with contextlib.suppress(FileNotFoundError):
            store.rm_file(url)

    urls.attempts(forget, url)


def try_to_write(url: str) -> None:
    """Writes a hidden object beside a `url`, and removes it where it may: who writes one file need
    not be allowed to remove any.

    Raises:
        InputError: the store refuses it, or cannot be reached.
    """
    store, (folder, name) = urls.filesystem(url), urls.split(url)
    probe = urls.join(folder, f".{name}.tmp")
    urls.attempts(lambda: store.pipe_file(probe, b"\n"), url)
    with contextlib.suppress(InputError):
        remove(probe)


def read(url: str) -> tuple[bytes, str] | None:
    """What a small object holds, and its version; None where there is none."""
    store, version = urls.filesystem(url), None
    for _ in range(10):
        content, found = urls.if_there(lambda: store.cat_file(url), url), at(url)
        if content is None and found is None:
            return None
        if content is not None and found is not None:
            is_it = hashlib.md5(content, usedforsecurity=False).hexdigest() == found.md5
            if is_it or found.version == version:  # the same before and after
                return content, found.version
        version = found.version if found else None
    raise InputError(
        "store-unreachable",
        f"found {url} changed each time it was read; wanted it at rest: run the same command again",
    )


def write_if(url: str, content: bytes, version: str | None) -> str | None:
    """Writes an object on a condition, which the store itself looks after.

    Args:
        url: of the object.
        content: of a few kilobytes.
        version: that stands there; None: nothing does.

    Returns:
        The new version; None where the condition did not hold.

    Raises:
        Exception: whatever the store's library raises; the object may have been written then.
    """
    store = urls.filesystem(url)
    try:
        if url.startswith("s3://"):
            how = {"mode": "create"} if version is None else {"IfMatch": version}
            return store.pipe_file(url, content, **how)["ETag"]
        bucket, key, _ = store.split_path(url)
        answer = store.call(
            *("POST", f"{store._location}/upload/storage/v1/b/{bucket}/o"),
            **{"uploadType": "media", "name": key, "ifGenerationMatch": version or "0"},
            **{"data": content, "json_out": True},
        )
        return str(answer["generation"])
    except Exception as error:
        if _codes(error) & _UNMET:
            return None
        if _codes(error) & _UNKNOWN:
            return store.pipe_file(url, content)["ETag"]
        raise


def no_version(url: str) -> str:
    """A version that the object of a `url` has never had."""
    return f'"{"0" * 32}"' if url.startswith("s3://") else "1"


def _codes(error: BaseException | None) -> set[str]:
    """What an error, and those that it came from, have as codes."""
    found = set()
    while error is not None:
        answer = getattr(error, "response", None)
        if isinstance(answer, dict):
            found.add(str(answer.get("Error", {}).get("Code")))
        found.add("412" if isinstance(error, FileExistsError) else str(getattr(error, "code", "")))
        error = error.__cause__ or error.__context__
    return found

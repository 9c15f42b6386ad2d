"""Web archives: pages and texts from WARC and WET files, compressed or not, damaged or not.

The format is ISO 28500:2017 (WARC 1.1). Read here are records of the type `response` (an HTTP
answer with status 200 that holds HTML or plain text) and `conversion` (the text of a WET file).
"""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow

from roots_tf.corpus import web_pages
from roots_tf.corpus.documents import Document
from roots_tf.corpus.tally import Tally
from roots_tf.storage import compression, urls
from roots_tf.storage.files import InputError

HEADER_BYTES = 1 << 16  # of a record or an HTTP answer; servers refuse 8 to 16 KB
SEPARATOR_BYTES = 64  # newlines between records; the standard has four
# A file with more records of a wrong length is read no further: the content that such a record
# claims has to be searched again for the next record.
MAX_DAMAGED = 1000
MAX_RESTARTS = 10  # of decompression, where that content is more than is held in memory
_MARK = b"WARC/"
_HTML = {"text/html", "application/xhtml+xml"}


class _Bytes:
    """The decompressed bytes of a part of a file, read forward; a few can be put back."""

    def __init__(self, path: str, start: int, end: int):
        self.path, self.end = path, end
        self.restarts = self.damaged = 0
        self._begin(start)

    def _begin(self, at: int) -> None:
        self._held, self._taken = b"", 0
        if compression.codec(self.path):
            self._chunks, self.offset = compression.chunks(self.path), 0
            self.skip(at)
        else:
            self._chunks, self.offset = compression.chunks(self.path, at, self.end), at

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer only at the end."""
        missing = self._taken + size - len(self._held)
        if missing > 0:
            pieces = [self._held[self._taken :]]
            while missing > 0 and (chunk := next(self._chunks, b"")):
                pieces.append(chunk)
                missing -= len(chunk)
            self._held, self._taken = b"".join(pieces), 0
        return self._held[self._taken : self._taken + size]

    def take(self, size: int) -> bytes:
        """The next bytes, fewer only at the end; moves past them."""
        data = self.peek(size)
        self._taken += len(data)
        self.offset += len(data)
        return data

    def skip(self, size: int) -> bool:
        """Moves past some bytes; False if the file ends before."""
        while size > 0:
            piece = len(self.take(min(size, compression.BLOCK_BYTES)))
            if not piece:
                return False
            size -= piece
        return True

    def put_back(self, data: bytes) -> None:
        self._held, self._taken = data + self._held[self._taken :], 0
        self.offset -= len(data)

    def restart(self, at: int) -> bool:
        """Goes back to an offset; False if that was done too often already."""
        self.restarts += 1
        if self.restarts <= MAX_RESTARTS:
            self._begin(at)
        return self.restarts <= MAX_RESTARTS

    def find_record(self) -> None:
        """Moves to the next line that a record may begin with, or to the end."""
        line = b"\n" + _MARK
        self.damaged += 1
        if self.damaged > MAX_DAMAGED:
            raise compression.DamagedFileError(
                "file-damaged",
                f"found {self.damaged} damaged records in {self.path}; the rest was left out",
            )
        while data := self.peek(compression.BLOCK_BYTES):
            if (at := data.find(line)) >= 0:
                self.take(at + 1)
                return
            self.take(max(len(data) - len(line) + 1, 1))


def read(path: str, start: int, end: int, max_bytes: int, tally: Tally) -> Iterator[Document]:
    """Documents of a WARC or WET file; pages are HTML as it was answered, decoded.

    A record whose length is wrong is dropped as `damaged_record`, and reading goes on where the
    next record begins; a file that cannot be decompressed to its end is read up to the
    damage, and counted as `damaged_file`.

    Args:
        path: a file, compressed as its suffix says.
        start: its first byte, where a record begins; only 0 for a compressed file.
        end: the byte after the last; -1 for the end of the file.
        max_bytes: longer pages and texts are dropped as `too_long`.
        tally: counts dropped records, and notes HTTP answers that are not pages.

    Raises:
        InputError: the file is no WARC file at all.
    """
    name = urls.name_of(path)
    try:
        source = _Bytes(path, start, end)
        if source.peek(1) and not source.peek(len(_MARK)) == _MARK:
            raise InputError(
                "wrong-format",
                f"found no WARC record at the beginning of {path} ({source.peek(20)!r}); wanted a "
                "web archive: give the file the suffix of what it is, or leave it out",
            )
        while source.peek(1):
            yield from _record(source, name, max_bytes, tally)
    except compression.DamagedFileError as error:
        _drop("damaged_file", str(error), name, tally)


def borders(path: str, task_bytes: int) -> list[int]:
    """Offsets where records of an uncompressed file begin, 0 first.

    Only the headers are read. After a record whose length is wrong no more are given.

    Args:
        path: the file.
        task_bytes: about how far apart the offsets are.
    """
    offsets = [0]
    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        at = 0
        while at < size:
            if at - offsets[-1] >= task_bytes:
                offsets.append(at)
            file.seek(at)
            head = file.read(4096)
            parsed = _header(head) or _header(head + file.read(HEADER_BYTES - len(head)))
            if parsed is None:
                break
            at += parsed[1] + parsed[2]
            file.seek(at)
            separator = file.read(SEPARATOR_BYTES)
            rest = separator.lstrip(b"\r\n")
            at += len(separator) - len(rest)
            if at > size or not rest.startswith(_MARK[: len(rest)]):
                break
    return offsets


def _header(data: bytes) -> tuple[dict[bytes, bytes], int, int] | None:
    """Fields of the record that `data` begins with, length of its header and of its content."""
    if not data.startswith(_MARK):
        return None
    stop, length = _end_of_head(data)
    if not stop:
        return None
    fields = _fields(data[:stop])
    try:
        content = int(fields.get(b"content-length", b""))
    except ValueError:
        return None
    return (fields, length, content) if content >= 0 else None


def _end_of_head(data: bytes) -> tuple[int, int]:
    """Where a header ends, and its length with the blank line; zeros if it has no end."""
    standard = data.find(b"\r\n\r\n")
    bare = data.find(b"\n\n", 0, standard if standard >= 0 else len(data))
    if bare >= 0:
        return bare, bare + 2
    return (standard, standard + 4) if standard >= 0 else (0, 0)


def _fields(head: bytes) -> dict[bytes, bytes]:
    """Named fields of a header, names in small letters; the first line is not one."""
    lines = (line.partition(b":") for line in head.splitlines()[1:])
    return {name.strip().lower(): value.strip() for name, colon, value in lines if colon}


def _record(source: _Bytes, name: str, max_bytes: int, tally: Tally) -> Iterator[Document]:
    """The document of the next record, if it holds one; moves to the end of the record."""
    parsed = _header(source.peek(HEADER_BYTES))
    if parsed is None:
        head = source.take(len(_MARK)) + source.peek(200)
        _drop("damaged_record", head.decode("utf-8", "replace"), name, tally)
        source.find_record()
        return
    fields, length, content = parsed
    source.take(length)
    begin = source.offset
    body = source.take(min(content, max_bytes + HEADER_BYTES))
    complete = source.skip(content - len(body))
    separator = source.peek(SEPARATOR_BYTES)
    rest = separator.lstrip(b"\r\n")
    if not complete or not rest.startswith(_MARK[: len(rest)]):
        _drop("damaged_record", _url(fields), name, tally)
        if source.offset == begin + len(body):
            source.put_back(body)
        elif not source.restart(begin):
            return
        source.find_record()
        return
    source.take(len(separator) - len(rest))
    whole = len(body) == content
    kind = fields.get(b"warc-type", b"").lower()
    if kind == b"response":
        yield from _response(fields, body, whole, max_bytes, tally)
    elif kind == b"conversion" and fields.get(b"content-type", b"").startswith(b"text/plain"):
        document = _document(fields, body.decode("utf-8", "replace"), "")
        if whole and len(body) <= max_bytes:
            yield document
        else:
            _drop("too_long", document.text, document.source, tally)


def _response(
    fields: dict[bytes, bytes], body: bytes, whole: bool, max_bytes: int, tally: Tally
) -> Iterator[Document]:
    """The page that an HTTP answer holds."""
    stop, length = _end_of_head(body)
    status = body[:stop].split(b"\n", 1)[0].split()
    if not status or not status[0].startswith(b"HTTP/") or status[1:2] != [b"200"]:
        tally.note("answers_without_status_200")
        return
    answer = _fields(body[:stop])
    kind, _, parameters = answer.get(b"content-type", b"").decode("latin-1").partition(";")
    kind = kind.strip().lower() or fields.get(b"warc-identified-payload-type", b"").decode(
        "latin-1"
    )
    if kind not in _HTML and kind != "text/plain":
        tally.note("answers_of_other_types")
        return
    body = body[length:]
    try:
        body = _decoded(body, answer, max_bytes) if whole else body[: max_bytes + 1]
    except (ValueError, OSError, zlib.error):
        _drop("damaged_record", "", _url(fields), tally)
        return
    charset = parameters.lower().partition("charset=")[2].partition(";")[0].strip("\"' ")
    too_long = not whole or len(body) > max_bytes
    text = web_pages.decode(body[:1000] if too_long else body, charset)
    if too_long:
        _drop("too_long", text, _url(fields), tally)
    else:
        yield _document(fields, text, "html" if kind in _HTML else "")


def _decoded(body: bytes, answer: dict[bytes, bytes], max_bytes: int) -> bytes:
    """A body without chunks (RFC 9112, 7.1), decompressed (RFC 9110, 8.4.1), up to `max_bytes`."""
    # Archives that have decoded an answer often left its header as it was: look at the bytes.
    if b"chunked" in answer.get(b"transfer-encoding", b"").lower():
        body = _without_chunks(body)
    for coding in reversed(answer.get(b"content-encoding", b"").lower().split(b",")):
        coding = coding.strip()
        if coding in (b"gzip", b"x-gzip"):
            if body.startswith(b"\x1f\x8b"):
                body = zlib.decompressobj(31).decompress(body, max_bytes + 1)
        elif coding == b"deflate":
            zlib_header = (
                len(body) > 1 and body[0] & 15 == 8 and (body[0] * 256 + body[1]) % 31 == 0
            )
            window = 15 if zlib_header else -15
            if not body.lstrip().startswith(b"<"):
                body = zlib.decompressobj(window).decompress(body, max_bytes + 1)
        elif coding in (b"br", b"zstd") and not body.lstrip().startswith(b"<"):
            codec = {b"br": "brotli", b"zstd": "zstd"}[coding]
            stream = pyarrow.CompressedInputStream(pyarrow.BufferReader(body), codec)
            body = stream.read(max_bytes + 1)
    return body


def _without_chunks(body: bytes) -> bytes:
    pieces, at = [], 0
    while at < len(body):
        line = body.find(b"\r\n", at, at + 1000)
        try:
            size = int(body[at:line].partition(b";")[0], 16)
        except ValueError:
            if not pieces:
                return body  # the archive has joined the chunks already
            raise
        if line < 0 or size < 0:
            raise ValueError("no chunk")
        if not size:
            break
        pieces.append(body[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
    return b"".join(pieces)


def _url(fields: dict[bytes, bytes]) -> str:
    return fields.get(b"warc-target-uri", b"").decode("utf-8", "replace").strip("<>")


def _document(fields: dict[bytes, bytes], text: str, markup: str) -> Document:
    date = fields.get(b"warc-date", b"").decode("utf-8", "replace")
    metadata = {"date": date, "url": _url(fields)}
    return Document(text, _url(fields), "", markup, json.dumps(metadata, ensure_ascii=False))


def _drop(reason: str, text: str, source: str, tally: Tally) -> None:
    tally.read(text)
    tally.drop(reason, text, source)

"""Compressed files: which one is, by its suffix, and its bytes, decompressed as they are read."""

import bz2
import functools
import lzma
import zlib
from collections.abc import Callable, Iterator

import pyarrow

from roots_tf.storage import ranges, urls
from roots_tf.storage.files import InputError

BLOCK_BYTES = 1 << 20
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
# Text shrinks to a fifth, tables of numbers to a fiftieth; gzip cannot shrink below 1/1032 (zlib
# manual, "Maximum Compression Factor"), and what comes near that is made to fill a disk.
BOMB_RATIO = 200
BOMB_BYTES = 1 << 28  # a small file may be all zeros
XZ_MEMORY = 256 << 20  # `xz -9` needs 65 MiB to decompress (xz(1), "Preset levels")
_BEGINNINGS = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "bz2": b"BZh", "xz": b"\xfd7zXZ"}


class DamagedFileError(InputError):
    """A compressed file that cannot be decompressed to its end, or should not be."""


def codec(path: str) -> str | None:
    """Codec of a compressed file by its suffix; None for a plain file."""
    path = (urls.plain(path) if urls.is_url(path) else path).lower()
    return next((name for end, name in COMPRESSIONS.items() if path.endswith(end)), None)


def without_compression(path: str) -> str:
    """Path without the suffix of its compression.

    >>> without_compression("pages.xml.bz2")
    'pages.xml'
    """
    path = urls.plain(path) if urls.is_url(path) else path
    ends = (end for end in COMPRESSIONS if path.lower().endswith(end))
    return next((path[: -len(end)] for end in ends), path)


def chunks(path: str, start: int = 0, end: int = -1) -> Iterator[bytes]:
    """Bytes of a file, decompressed, at most a megabyte at a time.

    Args:
        path: a file or a URL; `.gz`, `.zst`, `.bz2` and `.xz` are decompressed as they are read.
        start: first byte; only 0 for a compressed file.
        end: the byte after the last; -1 for the end of the file.

    Raises:
        DamagedFileError: the file cannot be decompressed to its end, or is a bomb: it grows by more
            than `BOMB_RATIO`. What comes before the damage (zstd: less a megabyte) was given.
        InputError: the file cannot be read, or is not compressed as its suffix says.
    """
    name = codec(path)
    offset = start
    try:
        with _opened(path, start, end) as raw:
            if name in _DECOMPRESSORS:
                read = _reader(raw, _DECOMPRESSORS[name])
            else:
                read = (pyarrow.CompressedInputStream(raw, name) if name else raw).read
            left = end - start if end >= 0 else BLOCK_BYTES
            while data := read(min(BLOCK_BYTES, left)):
                left -= len(data) if end >= 0 else 0
                offset += len(data)
                if name and offset > max(BOMB_BYTES, BOMB_RATIO * raw.tell()):
                    raise OSError(f"{raw.tell()} bytes grew to {offset}: a decompression bomb")
                yield data
    except (OSError, EOFError, zlib.error, lzma.LZMAError, pyarrow.ArrowException) as error:
        kind = f"whole {name} data" if name else "a file that can be read"
        raise (DamagedFileError if _begins_as(path, name) else InputError)(
            "file-damaged",
            f"could not read {urls.shown(path)} beyond byte {offset} ({error}); wanted {kind}: "
            "copy or download it again, or leave it out",
        ) from error


def _opened(path: str, start: int, end: int) -> pyarrow.NativeFile:
    """The file's own bytes from `start` on."""
    if urls.is_url(path):
        return pyarrow.PythonFile(ranges.opened(path, start, end), mode="r")
    raw = pyarrow.OSFile(path)
    raw.seek(start)
    return raw


def _begins_as(path: str, name: str | None) -> bool:
    try:
        with ranges.opened(path) as file:
            return name is not None and file.read(5).startswith(_BEGINNINGS[name])
    except OSError:
        return False


class _GzipDecompressor:
    """zlib with the methods of the other two. pyarrow would lose what comes before damage."""

    def __init__(self):
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self.needs_input = True

    eof = property(lambda self: self._stream.eof)
    unused_data = property(lambda self: self._stream.unused_data)

    def decompress(self, data: bytes, size: int) -> bytes:
        content = self._stream.decompress(self._stream.unconsumed_tail + data, size)
        self.needs_input = len(content) < size and not self._stream.unconsumed_tail
        return content


_DECOMPRESSORS = {
    "gzip": _GzipDecompressor,
    "bz2": bz2.BZ2Decompressor,
    "xz": functools.partial(lzma.LZMADecompressor, memlimit=XZ_MEMORY),
}


def _reader(raw: pyarrow.NativeFile, decompressor: Callable) -> Callable[[int], bytes]:
    """Reads a file of any number of compressed streams, as pyarrow does for zstd."""
    stream = decompressor()

    def read(size: int) -> bytes:
        nonlocal stream
        while True:
            if stream.eof:
                more = stream.unused_data.lstrip(b"\0") or raw.read(BLOCK_BYTES)  # xz may pad
                if not more:
                    return b""
                stream = decompressor()
            else:
                more = raw.read(BLOCK_BYTES) if stream.needs_input else b""
                if not more and stream.needs_input:
                    if raw.tell():
                        raise EOFError("Truncated compressed stream")
                    return b""  # an empty file
            if data := stream.decompress(more, size):
                return data

    return read

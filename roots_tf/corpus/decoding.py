"""Bytes of text files to blocks of decoded text, in bounded memory, whatever the line length."""

import bz2
import codecs
import functools
import io
import lzma
import zlib
from collections.abc import Callable, Iterator

import pyarrow

from roots_tf.corpus.tally import Tally
from roots_tf.files import InputError

BLOCK_BYTES = 1 << 20
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
# Text shrinks to a fifth, tables of numbers to a fiftieth; gzip cannot shrink below 1/1032 (zlib
# manual, "Maximum Compression Factor"), and what comes near that is made to fill a disk.
BOMB_RATIO = 200
BOMB_BYTES = 1 << 28  # a small file may be all zeros
XZ_MEMORY = 256 << 20  # `xz -9` needs 65 MiB to decompress (xz(1), "Preset levels")

# The four-byte marks come first: the UTF-32 mark begins with the UTF-16 one.
BYTE_ORDER_MARKS = [
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
]
_CONTROLS = bytes({*range(32)} - {*b"\t\n\v\f\r\x1b"})  # that no text file has in any number
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


_BEGINNINGS = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "bz2": b"BZh", "xz": b"\xfd7zXZ"}


class DamagedFileError(InputError):
    """A compressed file that cannot be decompressed to its end, or should not be."""


def compression(path: str) -> str | None:
    """Codec of a compressed file by its suffix; None for a plain file."""
    return next((codec for end, codec in COMPRESSIONS.items() if path.endswith(end)), None)


def without_compression(path: str) -> str:
    """Path without the suffix of its compression.

    >>> without_compression("pages.xml.bz2")
    'pages.xml'
    """
    return next((path.removesuffix(end) for end in COMPRESSIONS if path.endswith(end)), path)


def byte_order_mark(head: bytes) -> tuple[bytes, str]:
    """The mark that a file starts with (empty if none) and the encoding that follows from it.

    >>> byte_order_mark(b"\\xff\\xfeH\\x00")
    (b'\\xff\\xfe', 'utf-16-le')
    """
    return next(((m, e) for m, e in BYTE_ORDER_MARKS if head.startswith(m)), (b"", "utf-8"))


def chunks(path: str, start: int = 0, end: int = -1) -> Iterator[bytes]:
    """Bytes of a file, decompressed, at most a megabyte at a time.

    Args:
        path: a file; `.gz`, `.zst`, `.bz2` and `.xz` are decompressed as they are read.
        start: first byte; only 0 for a compressed file.
        end: the byte after the last; -1 for the end of the file.

    Raises:
        DamagedFileError: the file cannot be decompressed to its end, or is a bomb: it grows by more
            than `BOMB_RATIO`. What comes before the damage (zstd: less a megabyte) was given.
        InputError: the file cannot be read, or is not compressed as its suffix says.
    """
    codec = compression(path)
    offset = start
    try:
        with pyarrow.OSFile(path) as raw:
            raw.seek(start)
            if codec in _DECOMPRESSORS:
                read = _reader(raw, _DECOMPRESSORS[codec])
            else:
                read = (pyarrow.CompressedInputStream(raw, codec) if codec else raw).read
            left = end - start if end >= 0 else BLOCK_BYTES
            while data := read(min(BLOCK_BYTES, left)):
                left -= len(data) if end >= 0 else 0
                offset += len(data)
                if codec and offset > max(BOMB_BYTES, BOMB_RATIO * raw.tell()):
                    raise OSError(f"{raw.tell()} bytes grew to {offset}: a decompression bomb")
                yield data
    except (OSError, EOFError, zlib.error, lzma.LZMAError, pyarrow.ArrowException) as error:
        kind = f"whole {codec} data" if codec else "a file that can be read"
        raise (DamagedFileError if _begins_as(path, codec) else InputError)(
            f"could not read {path} beyond byte {offset} ({error}); wanted {kind}: "
            "copy or download it again, or leave it out"
        ) from error


def _begins_as(path: str, codec: str | None) -> bool:
    try:
        with open(path, "rb") as file:
            return codec is not None and file.read(5).startswith(_BEGINNINGS[codec])
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


def blocks(path: str, start: int = 0, end: int = -1) -> Iterator[tuple[int, bytes]]:
    """Bytes of a file, decompressed, about a megabyte at a time.

    A block ends after a newline where it has one, otherwise between two UTF-8 characters.

    Args:
        path: a file, as in `chunks`.
        start: first byte; only 0 for a compressed file.
        end: the byte after the last; -1 for the end of the file.

    Yields:
        Offset of the block in the (decompressed) file, and its bytes.

    Raises:
        DamagedFileError: see `chunks`.
    """
    offset = start
    carry = b""
    for data in chunks(path, start, end):
        carry += data
        cut = carry.rfind(b"\n") + 1 or _whole_characters(carry)
        if cut:
            yield offset, carry[:cut]
            offset += cut
            carry = carry[cut:]
    if carry:
        yield offset, carry


def _whole_characters(data: bytes) -> int:
    """Length of `data` without a UTF-8 character that its end cuts in two."""
    for back in range(1, min(4, len(data) + 1)):
        if data[-back] >= 0xC0:
            return len(data) - back
        if data[-back] < 0x80:
            break
    return len(data)


def text_blocks(path: str, start: int, end: int, tally: Tally) -> Iterator[str]:
    """Decoded text of a file or of a part of it; every line ends in a bare newline.

    The encoding is UTF-8 unless a byte order mark says UTF-16 or UTF-32. A few bytes that are not
    UTF-8 become U+FFFD; the tally notes how many, NUL bytes included.

    Args:
        path: the file, compressed as its suffix says.
        start: first byte of the part.
        end: the byte after the last; -1 for the end of the file.
        tally: notes replaced bytes.

    Raises:
        InputError: more than ten bytes and one in a thousand of a block are not UTF-8: the file is
            binary or in another encoding. Text in windows-1252 has more than that in every
            language but English; one flipped bit in a large file has less.
    """
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    decoder = None
    for offset, data in blocks(path, start, end):
        if offset == 0:
            mark, encoding = byte_order_mark(data[:4])
            data = data[len(mark) :]
            if encoding != "utf-8":
                decoder = codecs.getincrementaldecoder(encoding)("replace")
            offset = len(mark)
        text = decoder.decode(data) if decoder else _decode(path, offset, data, tally)
        yield newlines.decode(text)
    yield newlines.decode(decoder.decode(b"", True) if decoder else "", True)


def _decode(path: str, offset: int, data: bytes, tally: Tally) -> str:
    nuls = data.count(0)
    first = data.find(0)
    try:
        text = data.decode("utf-8")
        invalid = 0
    except UnicodeDecodeError as error:
        text = data.decode("utf-8", "replace")
        invalid = text.count(REPLACEMENT) - data.count(REPLACEMENT.encode())
        first = min(first, error.start) if nuls else error.start
    if nuls + invalid > 10 + len(data) // 1000:
        found = f"{nuls} NUL bytes" if nuls else f"{invalid} bytes that are not UTF-8"
        controls = len(data) - len(data.translate(None, _CONTROLS))
        advice = (
            "this looks like a binary file: leave it out (or unpack it)"
            if controls > len(data) // 100
            else f"convert it, for example: iconv -f WINDOWS-1252 -t UTF-8 {path}"
        )
        raise InputError(
            f"found {found} among {len(data)} in {path}, the first at byte {offset + first}; "
            f"wanted UTF-8 text, JSON lines or Parquet; {advice}"
        )
    tally.note("bytes_not_utf8_replaced", invalid)
    return text

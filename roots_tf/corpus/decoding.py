"""Bytes of text files to blocks of decoded text, in bounded memory, whatever the line length."""

import codecs
import io
from collections.abc import Iterator

from roots_tf.corpus.tally import Tally
from roots_tf.storage import encodings
from roots_tf.storage.compression import chunks
from roots_tf.storage.encodings import byte_order_mark
from roots_tf.storage.files import InputError

_CONTROLS = bytes({*range(32)} - {*b"\t\n\v\f\r\x1b"})  # that no text file has in any number
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def blocks(path: str, start: int = 0, end: int = -1) -> Iterator[tuple[int, bytes]]:
    """Bytes of a file, decompressed, about a megabyte at a time.

    A block ends after a newline where it has one, otherwise between two UTF-8 characters.

    Args:
        path: a file, as in `compression.chunks`.
        start: first byte; only 0 for a compressed file.
        end: the byte after the last; -1 for the end of the file.

    Yields:
        Offset of the block in the (decompressed) file, and its bytes.

    Raises:
        DamagedFileError: see `compression.chunks`.
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


def text_blocks(
    path: str, start: int, end: int, tally: Tally, encoding: str = "utf-8"
) -> Iterator[str]:
    """Decoded text of a file or of a part of it; every line ends in a bare newline.

    A byte order mark goes before the encoding that is given. A few bytes that are not of it become
    U+FFFD; the tally notes how many, NUL bytes included.

    Args:
        path: the file, compressed as its suffix says.
        start: first byte of the part.
        end: the byte after the last; -1 for the end of the file.
        tally: notes replaced bytes.
        encoding: Python's name of it.

    Raises:
        InputError: more than ten bytes and one in a thousand of a block are not of the encoding, or
            more than one in a hundred of a small file: it is binary or in another encoding. Text in
            windows-1252 has more than that in every language but English; one flipped bit in a
            large file has less. Or it is UTF-8 and another one was given.
    """
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    decoder = None
    for offset, data in blocks(path, start, end):
        if offset == 0:
            mark, marked = byte_order_mark(data[:4])
            data, offset = data[len(mark) :], len(mark)
            if mark:
                encoding = marked
            encodings.check_not_utf8(path, data, encoding)
        if encoding == "utf-8":
            text = data.decode("utf-8", "replace")
        else:
            decoder = decoder or codecs.getincrementaldecoder(encoding)("replace")
            text = decoder.decode(data)
        _count_replaced(path, offset, data, text, encoding, tally)
        yield newlines.decode(text)
    rest = decoder.decode(b"", True) if decoder else ""
    if rest:
        tally.note("bytes_not_decoded_replaced", rest.count(REPLACEMENT))
    yield newlines.decode(rest, True)


def _count_replaced(
    path: str, offset: int, data: bytes, text: str, encoding: str, tally: Tally
) -> None:
    """Notes the bytes that are not of the encoding, and refuses what has too many of them."""
    wide = encoding.startswith(("utf-16", "utf-32"))
    nuls = 0 if wide else data.count(0)
    invalid = text.count(REPLACEMENT)
    if invalid:
        invalid -= data.count(REPLACEMENT.encode(encoding, "ignore") or b"\0\0\0\0\0")
    allowed = 10 + len(data) // 1000
    if offset <= 4:  # all of a small file
        allowed = min(allowed, len(data) // 100)
    if nuls + invalid > allowed:
        name = encodings.shown_name(encoding)
        found = f"{nuls} NUL bytes" if nuls else f"{invalid} bytes that are not {name}"
        first = offset + _first_invalid(data, encoding)
        controls = len(data) - len(data.translate(None, _CONTROLS))
        # A block may end within a letter of another encoding.
        sample = next(chunks(path)) if offset <= 4 else data
        is_wide = encodings.guess(sample) in ("utf-16-le", "utf-16-be")
        advice = (
            "this looks like a binary file: leave it out (or unpack it)"
            if controls > len(data) // 100 and not is_wide
            else encodings.advice(path, sample)
        )
        raise InputError(
            "not-text",
            f"found {found} among {len(data)} in {path}, the first at byte {first}; wanted {name} "
            f"text, JSON lines or Parquet; {advice}",
        )
    name = "utf8" if encoding == "utf-8" else "decoded"
    tally.note(f"bytes_not_{name}_replaced", invalid)


def _first_invalid(data: bytes, encoding: str) -> int:
    """Place of the first byte that is NUL or not of the encoding."""
    places = [data.find(0)] if data.count(0) else []
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        places.append(error.start)
    return min(places, default=0)

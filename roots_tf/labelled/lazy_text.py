"""The text of a file that is read as often as it is asked for, and never held."""

import io
import os
from collections.abc import Iterator

from roots_tf.labelled import text_files
from roots_tf.storage import compression, encodings, urls

HEAD_BYTES = 1 << 20  # of these is told whether a file may be read so


class LazyText:
    """The text that `text_files.read_text` gives, some at a time.

    Args:
        path: of a file, compressed as its suffix says.
        encoding: Python's name of its encoding.
        head: the first megabyte of the file, decompressed, at most.
    """

    def __init__(self, path: str, encoding: str, head: bytes):
        mark, marked = encodings.byte_order_mark(head[:4])
        self._path, self._mark = path, len(mark)
        self._encoding = marked if mark else encoding
        encodings.check_not_utf8(path, head[len(mark) :], self._encoding)
        self.head = head[len(mark) :].decode(self._encoding, "ignore")

    def opened(self, newline: str) -> Iterator[str]:
        """Lines with their ends, which `newline` says as that of `io.StringIO` does.

        Raises:
            InputError: as for `text_files.read_text`.
        """
        raw = io.BufferedReader(_Raw(compression.chunks(self._path)), HEAD_BYTES)
        raw.read(self._mark)
        try:
            yield from io.TextIOWrapper(raw, self._encoding, newline=newline)
        except UnicodeDecodeError:
            text_files.read_text(self._path, self._encoding)  # which says where and why
            raise

    def __contains__(self, char: str) -> bool:
        return any(char in line for line in self.opened("\n"))


class _Raw(io.RawIOBase):
    """Chunks of bytes as a file."""

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks, self._left = chunks, memoryview(b"")

    def readable(self):
        return True

    def readinto(self, buffer):
        self._left = self._left or memoryview(next(self._chunks, b""))
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def text_of(path: str | os.PathLike, encoding: str) -> str | LazyText:
    """The text of a file: lazy where its lines are told apart as they come.

    They are not in a pipe, which is read once; where lines may end in CR alone; in one array of
    JSON; and in TSV with quotes, of which all of the file says whether they are part of the texts.

    Args:
        path: of the file.
        encoding: as for `text_files.read_text`; errors as there.
    """
    path, name = str(path), encodings.python_name(encoding)
    if urls.is_url(path) or not os.path.isfile(path):
        return text_files.read_text(path, encoding)
    head = b""
    for chunk in compression.chunks(path):
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    text = LazyText(path, name, head)
    is_array = text.head.lstrip()[:1] == "["
    is_whole = is_array or "\n" not in text.head or "\0" in text.head
    if is_whole or (text_files.suffix_of(path) == ".tsv" and '"' in text):
        return text_files.read_text(path, encoding)
    return text


def opened(text: str | LazyText, newline: str) -> Iterator[str]:
    """Lines of a `text`, held or not, with their ends, as `newline` says them."""
    if isinstance(text, LazyText):
        return text.opened(newline)
    return iter(io.StringIO(text, newline=newline))

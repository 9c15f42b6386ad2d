"""Local files and those behind URLs, opened for reading alike.

A file behind a URL is read by ranges of bytes, the next one while the present one is used, so that
reading forward does not wait for each answer. Nothing of it is kept on disk.
"""

import concurrent.futures
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, TypeVar

from roots_tf.storage import listings, urls
from roots_tf.storage.input_error import InputError

Result = TypeVar("Result")
AT_ONCE = 16  # files that are looked into side by side
# The first range is small, since many files are only looked into; then they grow, as each costs
# the time of an answer, some 50 ms.
FIRST_BYTES, MOST_BYTES = 1 << 20, 8 << 20
SLOWEST = 1 << 16  # bytes a second; an answer that comes more slowly is asked for again


def size(path: str | os.PathLike) -> int:
    """Bytes of a local file or of one behind a URL.

    Raises:
        OSError: the local file is not there.
        InputError: the one behind the URL is not.
    """
    if not urls.is_url(path):
        return os.path.getsize(path)
    found = listings.about(path).size
    if found >= 0:
        return found
    with opened(path) as file:
        return file.seek(0, os.SEEK_END)


def state(path: str | os.PathLike) -> list:
    """Size and time, or what a store has in its place: others where the content is another.

    Args:
        path: of a file; errors as for `size`.
    """
    if urls.is_url(path):
        return list(listings.about(path)[:2])
    about = os.stat(path)
    return [about.st_size, about.st_mtime_ns]


def mapped(function: Callable[[str], Result], paths: Sequence[str]) -> Iterator[Result]:
    """What a function gives of each file, in order; stores are asked for many at a time.

    Args:
        function: of a path, which opens the file.
        paths: local, or URLs.
    """
    if not any(map(urls.is_url, paths)):
        yield from map(function, paths)
        return
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(function, paths)


def opened(path: str | os.PathLike, start: int = 0, end: int = -1) -> BinaryIO:
    """A file to read bytes from, at `start`; it can be sought in.

    Args:
        path: local, or a URL.
        start: where the first read begins.
        end: the byte after the last that will be read, if it is known: none beyond it is asked for.

    Raises:
        OSError: the local file cannot be opened.
        InputError: the one behind the URL cannot; reading raises it too.
    """
    if not urls.is_url(path):
        file = open(path, "rb")  # noqa: SIM115, who asked for it closes it
    elif end < 0 and listings.about(path).size < 0:
        file = _whole(path)
    else:
        file = io.BufferedReader(_Ranges(path, end))
    file.seek(start)
    return file


def read(url: str, start: int, end: int) -> bytes:
    """Bytes [start, end) of a file behind a URL, all of them.

    Args:
        url: of the file.
        start: the first byte.
        end: the byte after the last.

    Raises:
        InputError: they cannot be had, or the file has fewer.
        NoRangesError: the server gives whole files only.
    """
    store = urls.filesystem(url)

    def part() -> bytes:
        data = _timed(store, url, start, end)
        if len(data) > end - start:
            raise NoRangesError(url)
        if len(data) < end - start:
            raise EOFError(f"{len(data)} bytes of {end - start} came")
        return data

    if start >= end:
        return b""
    try:
        return urls.attempts(part, url)
    except InputError as error:
        if error.id == "no-such-file" or (found := listings.about(url, anew=True).size) >= end:
            raise
        raise InputError(
            "file-damaged",
            f"found {found} bytes in {urls.shown(url)}, of which more were listed before; wanted "
            "a file that stays as it is while it is read: run the same command again",
        ) from error


class NoRangesError(Exception):
    """A server gives whole files only."""


def _timed(store, url: str, start: int, end: int) -> bytes:
    """The range; of an asynchronous store not later than its size allows."""
    if not getattr(store, "async_impl", False):
        return store.cat_file(url, start=start, end=end)
    from fsspec import asyn

    seconds = urls.READ_SECONDS + (end - start) / SLOWEST
    return asyn.sync(store.loop, store._cat_file, url, start=start, end=end, timeout=seconds)


def _whole(url: str) -> BinaryIO:
    """A copy without a name of a file that its server gives whole, without saying its size."""
    store = urls.filesystem(url)
    file = tempfile.TemporaryFile()  # noqa: SIM115, as above

    def fetch() -> None:
        file.seek(0)
        file.truncate()
        store.get_file(url, file)

    urls.attempts(fetch, url)
    return file


class _Ranges(io.RawIOBase):
    """A file behind a URL, read by ranges that grow while they follow one another."""

    def __init__(self, url: str, end: int):
        self._url, self._at, self._end = url, 0, end
        self._block, self._begin = b"", 0  # what is held, and where it begins
        self._next_bytes = FIRST_BYTES
        self._ahead: concurrent.futures.Future | None = None  # of what follows the block
        self._thread: concurrent.futures.ThreadPoolExecutor | None = None
        self._copy: BinaryIO | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence)
        self._at = offset + (self._size() if base is None else base)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer) -> int:
        wanted = len(buffer)
        if self._copy is None:
            try:
                self._hold(wanted)
            except NoRangesError:
                self._copy = _whole(self._url)
        if self._copy is not None:
            self._copy.seek(self._at)
            data = self._copy.read(wanted)
        else:
            place = self._at - self._begin
            data = self._block[place : place + wanted]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
        if self._copy is not None:
            self._copy.close()
        self._block = b""
        super().close()

    def _size(self) -> int:
        """Where reading ends."""
        if self._end < 0:
            self._end = listings.about(self._url).size
        return self._end

    def _hold(self, wanted: int) -> None:
        """Makes the block one that holds the byte at the present place, if the file has it."""
        after = self._begin + len(self._block)
        if self._begin <= self._at < after or self._at >= self._size():
            return
        follows = self._at == after and len(self._block) > 0
        if follows and self._ahead is not None:
            self._block, self._begin = self._ahead.result(), after
        else:
            self._next_bytes = self._next_bytes if follows else FIRST_BYTES
            end = min(self._at + max(wanted, self._next_bytes), self._size())
            self._block, self._begin = read(self._url, self._at, end), self._at
        self._ahead = None
        if follows:
            self._look_ahead()

    def _look_ahead(self) -> None:
        """Begins to read what follows the block."""
        begin = self._begin + len(self._block)
        self._next_bytes = min(2 * self._next_bytes, MOST_BYTES)
        end = min(begin + self._next_bytes, self._size())
        if begin < end:
            if self._thread is None:
                self._thread = concurrent.futures.ThreadPoolExecutor(1)
            self._ahead = self._thread.submit(read, self._url, begin, end)

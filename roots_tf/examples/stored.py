"""Examples behind a URL: the small files as a local copy, the shards brought shortly before use.

A reader knows the order of the shards long before it gets there. While one is read the next ones
come; each is dropped once it was read, so that some `AHEAD` + 1 of them are here at a time and the
folder is never copied whole. They are files without a name, of which nothing is left even by a
process that is killed.
"""

import collections
import concurrent.futures
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from roots_tf import tokenizers
from roots_tf.examples import records
from roots_tf.examples.manifest import TOKENIZER
from roots_tf.storage import files, listings, ranges, urls

AHEAD = 3  # shards that are on their way while one is read; they are of 8 MB, and 20 MB at most
_folders: dict[tuple, tempfile.TemporaryDirectory] = {}  # of this process, gone when it ends


def here(folder: str | Path) -> Path:
    """A local folder of small files, such as a tokenizer's, or a copy of the one behind a URL.

    Args:
        folder: local, or a URL.

    Raises:
        InputError: it cannot be fetched.
    """
    if not urls.is_url(folder):
        return Path(folder)
    inside = listings.in_folder(folder)
    content = (folder, *((url, listings.about(url)) for url in inside))
    if content not in _folders:
        copy = tempfile.TemporaryDirectory(prefix="roots-")
        for url in inside:
            path = Path(copy.name, url.removeprefix(urls.join(folder, "")))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files.read_bytes(url, "a file of a tokenizer", files.LARGEST_JSON))
        _folders[content] = copy
    return Path(_folders[content].name)


def tokenizer_of(folder: str | Path) -> tokenizers.Tokenizer:
    """The tokenizer that examples were made with, from their own folder.

    Args:
        folder: of the examples, local or a URL.

    Raises:
        InputError: it is missing or damaged.
    """
    return tokenizers.load(here(urls.below(folder, TOKENIZER)))


def brought(folder: str, shards: Iterable[dict]) -> Iterator[str]:
    """Local paths of shards, one after the other, each until the next one is asked for.

    Args:
        folder: URL of the examples.
        shards: what the manifest says of each, in the order in which they are read.

    Raises:
        InputError: a shard cannot be had, or is not the one of the manifest.
    """
    coming: collections.deque[concurrent.futures.Future] = collections.deque()
    left = iter(shards)
    pool = concurrent.futures.ThreadPoolExecutor(AHEAD, "shards")
    try:
        while True:
            while len(coming) <= AHEAD and (shard := next(left, None)) is not None:
                coming.append(pool.submit(_fetched, folder, shard))
            if not coming:
                return
            with coming.popleft().result() as file:
                yield f"/proc/self/fd/{file.fileno()}"
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _fetched(folder: str, shard: dict) -> BinaryIO:
    """A shard in a file without a name, compared with the manifest."""
    url = urls.join(folder, shard["name"])
    content = ranges.read(url, 0, shard["bytes"])
    if hashlib.sha256(content).hexdigest() != shard["sha256"]:  # perhaps on its way
        content = ranges.read(url, 0, shard["bytes"])
        check_content(content, shard["sha256"], url)
    file = tempfile.TemporaryFile()  # noqa: SIM115, who asked for it closes it
    file.write(content)
    file.flush()
    return file


def check_content(content: bytes, sha256: str, name: str) -> None:
    """Refuses a shard that is not the one of the manifest.

    Args:
        content: of the shard.
        sha256: of the manifest.
        name: path or URL of the shard, for the message.

    Raises:
        InputError: a record is damaged, and the message says where; or all are whole, of others.
    """
    if hashlib.sha256(content).hexdigest() != sha256:
        records.parsed(content, name)
        raise files.InputError(
            "file-damaged",
            f"found another SHA-256 in {name} than the manifest's; wanted this build's shard, "
            "whose records are whole: copy it again, or run build-examples again",
        )

"""What stands in stores behind URLs: files under a name, a folder or a pattern, and their sizes.

What a listing says of a file is kept, so that cutting tasks asks for nothing once more; `about`
asks for a file that was not listed.
"""

import datetime
import glob
import re
from typing import NamedTuple

from roots_tf.storage import urls
from roots_tf.storage.input_error import InputError

_HIDDEN = re.compile(r"(^|/)[._]")
# What tells one content of a file from another, the best first: digests, then the store's own mark.
_DIGESTS = ("sha256", "md5Hash", "ETag", "etag", "blob_id", "Content-MD5", "Digest")
_TIMES = ("LastModified", "Last-Modified", "updated", "mtime", "last_modified")
_known: dict[str, "About"] = {}


class About(NamedTuple):
    """What a store says of a file.

    Attributes:
        size: in bytes; -1 where it does not say.
        version: another text where the content is another: a digest, else a time; "": unknown.
        is_folder: whether it is a folder, of which the other two say nothing.
    """

    size: int
    version: str = ""
    is_folder: bool = False


def about(url: str, *, anew: bool = False) -> About:
    """What the store says of a file or folder.

    Args:
        url: of it.
        anew: whether to ask again for what a listing has told.

    Raises:
        InputError: it is not there, or the store cannot be asked.
    """
    if anew or url not in _known:
        store = urls.filesystem(url)
        _known[url] = _about(urls.attempts(lambda: store.info(url), url))
        if url.endswith("/") and not urls.scheme_of(url).is_web:  # beside it may be such an object
            _known[url] = About(0, "", True)
    return _known[url]


def matching(pattern: str) -> list[str]:
    """Files and folders that a URL or a pattern of one names, in order; errors as for `about`.

    A web address is no pattern, and so is a name in which "[" or "?" stand that there is.

    Args:
        pattern: a URL; `*`, `?` and `[...]` match within a name, `**` any number of folders.
    """
    if urls.scheme_of(pattern).is_web or not glob.has_magic(pattern):
        about(pattern, anew=True)
        return [pattern]
    found = globbed(pattern)
    if not found and "*" not in pattern:
        about(pattern, anew=True)
        return [pattern]
    return [url for url in _remembered(pattern, found) if _is_meant(url, pattern)]


def globbed(pattern: str) -> dict[str, dict]:
    """What fsspec says of the files and folders that match a pattern, by their paths in the store.

    Args:
        pattern: a URL.

    Raises:
        InputError: the store cannot be asked, or has no such bucket.
    """
    store, bucket = urls.filesystem(pattern), "/".join(pattern.split("/")[:3])
    found = urls.attempts(lambda: store.glob(pattern, detail=True), pattern)
    if not found and bucket.startswith(("s3://", "gs://")) and not glob.has_magic(bucket):
        try:
            about(bucket, anew=True)
        except InputError as error:
            if error.id == "no-such-file":  # who may list a part of it alone is refused otherwise
                raise
    return found


def _is_meant(url: str, pattern: str) -> bool:
    """Whether a pattern means a name that it matches, as local ones do: a "*" no hidden name."""
    names, patterns = url.split("/"), pattern.split("/")
    if "**" in patterns:
        start = patterns.index("**")
        return not any(name.startswith((".", "_")) for name in names[start:])
    pairs = zip(names, patterns, strict=False)
    return not any(name.startswith(".") and part[:1] in ("*", "?", "[") for name, part in pairs)


def files(pattern: str) -> list[str]:
    """The files that a URL or a pattern of one names, and those in the folders that it names.

    As of local ones, hidden files are left out of folders and patterns, and of a folder that holds
    Parquet all else.

    Args:
        pattern: as for `matching`; errors as there.
    """
    named = matching(pattern)
    listed = [url for url in named if not about(url).is_folder]
    if named != [pattern]:
        listed = [url for url in listed if not _HIDDEN.match(urls.name_of(url))]
    for folder in (url for url in named if about(url).is_folder):
        listed += in_folder(folder)
    return listed


def in_folder(folder: str) -> list[str]:
    """The files in a folder and in those below it, in order, as `files` takes them.

    Args:
        folder: a URL; errors as for `about`.
    """
    store = urls.filesystem(folder)
    found = urls.attempts(lambda: store.find(folder, detail=True), folder)
    start = folder.rstrip("/") + "/"
    for gone in [url for url in _known if url.startswith(start)]:
        del _known[gone]
    inside = _remembered(folder, found)
    inside = [url for url in inside if not _HIDDEN.search(url.removeprefix(start))]
    return [url for url in inside if url.endswith(".parquet")] or inside


def _remembered(base: str, found: dict[str, dict]) -> list[str]:
    """URLs of what a store has listed, in order; keeps what it says of each."""
    scheme = base.partition("://")[0]
    listed = {}
    for name, info in found.items():
        url = name if "://" in name else f"{scheme}://{name}"
        if not name.endswith("/"):  # an empty object that stands for a folder
            listed[url] = _about(info)
    _known.update(listed)
    return sorted(listed)


def _about(info: dict) -> About:
    """What the `info` of fsspec says, whatever the store."""
    if info.get("type") == "directory":
        return About(0, "", True)
    size = info.get("size")
    info = info | {"sha256": (info.get("lfs") or {}).get("sha256")}
    version = next((str(info[name]) for name in _DIGESTS if info.get(name)), "")
    if not version:
        version = next((_time(info[name]) for name in _TIMES if info.get(name)), "")
    return About(-1 if size is None else int(size), version.strip('"'))


def _time(value) -> str:
    return value.isoformat() if isinstance(value, datetime.datetime) else str(value)

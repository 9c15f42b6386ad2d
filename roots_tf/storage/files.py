"""Files between stages: globs, shard names, atomic writes, JSON, fingerprints."""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import logging

from roots_tf.storage import leftovers, listings, neighbours, paths, ranges, urls
from roots_tf.storage.input_error import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, a quota, `ulimit -f`
# Full; read-only, no permission; a file where a folder should be, or the reverse; no such place.
_CANNOT_WRITE = {
    *(*_FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENOTEMPTY),
    *(errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT, errno.ELOOP),
}
LARGEST_JSON = 256 << 20  # bytes; a tokenizer of 250,000 entries takes 20 MiB


def expand(patterns: str | Sequence[str]) -> list[str]:
    """Files that match the glob patterns, each once; a folder stands for the files in it.

    Linked folders are followed. In folders hidden files, those in hidden folders and those that
    start with `_` are left out, as is all else in a folder that holds Parquet shards (a stage's own
    report). URLs are listed by their stores.

    Args:
        patterns: names of files or folders or glob patterns, or one of these.

    Raises:
        InputError: a pattern matches no file, a folder cannot be read, a link in it leads nowhere,
            or a store cannot be asked.
    """
    patterns = [patterns] if isinstance(patterns, str | os.PathLike) else patterns
    patterns = [pattern for pattern in map(os.fspath, patterns) if pattern]
    if not patterns:
        raise InputError(
            "missing-flag", "found no input pattern; wanted at least one file, folder or glob"
        )
    found: list[str] = []
    for pattern in patterns:
        try:
            listed = (listings.files if urls.is_url(pattern) else _local_files)(pattern)
        except OSError as error:
            raise InputError(
                "unreadable-file",
                f"could not read {error.filename}: {error.strerror}; mend it or take it away: what "
                "stands there would be left out",
            ) from error
        if not listed:
            commas = len(patterns) > 1 and (
                "; commas part names: write one that holds commas in quotes, as in '\"a, b.txt\"'"
            )
            raise InputError(
                "no-such-file",
                f"found no file that matches {urls.shown(pattern)!r}; wanted at least one input"
                f"{commas or ''}{neighbours.suggestion(pattern)}",
            )
        found += listed
    return list(paths.real_names(found).values())


def expand_from_root(patterns: str | Sequence[str]) -> list[str]:
    """As `expand`, with the paths from the root: workers of a cluster stand in another folder.

    Args:
        patterns: as for `expand`; errors as there.
    """
    return [path if urls.is_url(path) else os.path.abspath(path) for path in expand(patterns)]


def _local_files(pattern: str) -> list[str]:
    """The files that a pattern names here, and those in the folders that it names."""
    names = paths.matching(pattern)
    listed = [name for name in names if os.path.isfile(name)]
    if names != [os.path.expanduser(pattern)]:  # what is named in full is meant
        listed = [n for n in listed if not os.path.basename(n).startswith((".", "_"))]
    for folder in filter(os.path.isdir, names):
        inside = paths.files_under(folder)
        listed += [name for name in inside if name.endswith(".parquet")] or inside
    return listed


def shard_name(stem: str, index: int, count: int, suffix: str) -> str:
    """Name of one shard of several.

    >>> shard_name("documents", 3, 16, ".parquet")
    'documents-00003-of-00016.parquet'

    Args:
        stem: what the name begins with.
        index: number of the shard, from 0.
        count: number of shards.
        suffix: what the name ends with.
    """
    return f"{stem}-{index:05d}-of-{count:05d}{suffix}"


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path in the folder of `path`; on success it is synced and renamed to it.

    On an exception the temporary file is removed, and whatever stood at `path` still stands. What a
    process that was killed left in the folder is removed by the next one that writes there.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = leftovers.temporary_path(path)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            leftovers.sweep_once(path.parent)
            yield temporary
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Context in which a disk that is full, or a place that cannot be written, is one line.

    Raises:
        InputError: something went wrong in writing `path`, of which then nothing is left.
    """
    try:
        yield
    except Exception as error:
        if (cause := full_disk(error)) is None and not _is_at(error, Path(path)):
            raise
        advice = "make room or choose another folder" if cause else "choose another folder"
        raise InputError(
            "no-room" if cause else "cannot-write",
            f"could not write {path}: {cause or error.strerror}; nothing was left under that name: "
            f"{advice}, then run the same command again",
        ) from error


def full_disk(error: BaseException) -> str | None:
    """What an error says of a full disk, whichever library raised it; None of any other error.

    TensorFlow, tokenizers and safetensors have errors of their own, and put the system's words into
    their text; numpy counts what it has written.
    """
    if isinstance(error, InputError):
        return None
    if isinstance(error, OSError) and error.errno is None:
        counted = re.search(r"\d+ requested and \d+ written", str(error))
        if counted:
            return os.strerror(errno.ENOSPC)
    if isinstance(error, OSError) and error.errno in _FULL:
        return error.strerror or os.strerror(error.errno)
    words = map(os.strerror, _FULL)
    return next((word for word in words if word in str(error)), None)


def _is_at(error: Exception, path: Path) -> bool:
    """Whether the system could not write at the path, or beside or above it."""
    if not isinstance(error, OSError) or error.errno not in _CANNOT_WRITE:
        return False
    if not isinstance(error.filename, str | bytes | os.PathLike):
        return True
    place, path = (Path(os.path.abspath(os.fsdecode(name))) for name in (error.filename, path))
    return place.is_relative_to(path.parent) or path.is_relative_to(place)


def sync(path: str | Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk.

    Some systems of files cannot tell it of a folder, which is no error.
    """
    with contextlib.suppress(OSError) if os.path.isdir(path) else contextlib.nullcontext():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Writes a text as UTF-8, atomically.

    Args:
        path: of the file.
        text: all that it is to hold.

    Raises:
        InputError: it cannot be written, or the text holds half a surrogate pair.
    """
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            "not-text",
            f"found half a surrogate pair, \\u{ord(text[error.start]):04x}, in the text for "
            f"{path}; wanted Unicode text",
        ) from error
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | Path, value) -> None:
    """Writes the JSON `value` to `path` atomically, for people to read: indented, UTF-8.

    JSON has no NaN and nothing infinite: such a number becomes null, and a warning says which.
    """
    where: list[str] = []
    value = _finite(value, "", where)
    if where:
        logging.warning("%s: null stands for numbers that are not finite: %s", path, _some(where))
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    if any("\ud800" <= char <= "\udfff" for char in set(text)):  # UTF-8 has none of them alone
        text = json.dumps(value, indent=2)
    write_text(path, text + "\n")


def as_read_back(value):
    """The JSON value as it is read again once `write_json` has written it: tuples are lists."""
    return json.loads(json.dumps(_finite(value, "", [])))


def _finite(value, place: str, where: list[str]):
    """The JSON value with None for numbers that are not finite; their places are added to `where`.

    >>> where = []
    >>> _finite({"dev": [0.5, math.nan]}, "", where), where
    ({'dev': [0.5, None]}, ['dev.1'])
    """
    if isinstance(value, float) and not math.isfinite(value):
        where.append(place.removeprefix("."))
        return None
    if isinstance(value, dict):
        return {key: _finite(inner, f"{place}.{key}", where) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner, f"{place}.{i}", where) for i, inner in enumerate(value)]
    return value


def _some(names: Sequence[str]) -> str:
    """The first ten names, and how many more there are."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def read_json(path: str | Path):
    """Reads a JSON file.

    Raises:
        InputError: the file is missing, is no regular file, is larger than `LARGEST_JSON`, or is
            not JSON.
    """
    content = read_bytes(path, "the JSON that an earlier program writes", LARGEST_JSON)
    try:
        return json.loads(content.decode("utf-8"))
    except RecursionError as error:
        raise InputError(
            "not-json", f"found no JSON in {path} (too deep); write that file again"
        ) from error
    except ValueError as error:
        raise InputError(
            "not-json", f"found no JSON in {path} ({error}); write that file again"
        ) from error


def read_bytes(path: str | Path, wanted: str, most: int) -> bytes:
    """Reads a whole file, and waits for nobody: of a FIFO nothing comes.

    Args:
        path: of the file, or a URL.
        wanted: what it should hold, for messages.
        most: bytes that it may have.

    Raises:
        InputError: the file is missing, cannot be read, is no regular file or is larger.
    """
    try:
        if urls.is_url(path):
            _check_size(path, listings.about(path, anew=True).size, wanted, most)
            with ranges.opened(path) as file:
                return file.read()
        with open(path, "rb", opener=_open_at_once) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise FileNotFoundError
            _check_size(path, about.st_size, wanted, most)
            return file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError(
            "no-such-file", f"found no file {path}; wanted {wanted}{neighbours.suggestion(path)}"
        ) from error
    except OSError as error:
        raise InputError(
            "unreadable-file",
            f"could not read {path}: {error.strerror or error}; make it a file that can be read",
        ) from error


def _check_size(path: str | Path, size: int, wanted: str, most: int) -> None:
    if size > most:
        raise InputError(
            "file-too-large",
            f"found {size} bytes in {urls.shown(str(path))}; wanted {wanted}, of at most {most}: "
            "give the file that was meant",
        )


def _open_at_once(path, flags: int) -> int:
    """A descriptor of the file, also of a FIFO, where `open` would wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value) -> str:
    """Sixteen hexadecimal digits that stand for any JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

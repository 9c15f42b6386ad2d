"""Files between stages: globs, shard names, atomic writes, JSON, and the claim of a folder."""

import contextlib
import errno
import glob
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import roots_tf
from roots_tf import leftovers

# Disk full, quota, read-only, no permission; a file where a folder should be, or the reverse.
_CANNOT_WRITE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG),
}
LARGEST_JSON = 256 << 20  # bytes; a tokenizer of 250,000 entries takes 20 MiB
_VERSION_KEY = "roots_tf"  # of config.json; folders of version 0.1 have none


class InputError(ValueError):
    """A user's mistake: says what was found, what was wanted and what to do.

    A program prints its text on one line, without a traceback, and exits with `exit_status`.
    """

    exit_status = 2


def expand(patterns: Sequence[str]) -> list[str]:
    """Files that match the glob patterns, each once; a folder stands for the files in it.

    Hidden files, those in hidden folders and those that start with `_` are left out, as is all
    else in a folder that holds Parquet shards (a stage's own report).

    Raises:
        InputError: a pattern matches no file.
    """
    if not any(patterns):
        raise InputError("found no input pattern; wanted at least one file, folder or glob")
    paths: dict[str, None] = {}  # in order, each once
    for pattern in filter(None, patterns):
        pattern = os.path.expanduser(pattern)
        exists = Path(pattern).exists()  # its name may hold "[", which is no pattern then
        names = [pattern] if exists else sorted(glob.glob(pattern, recursive=True))
        folders = [name for name in names if Path(name).is_dir()]
        files = [name for name in names if Path(name).is_file()]
        files = [name for name in files if not Path(name).name.startswith((".", "_"))]
        for folder in folders:
            inside = [
                str(path)
                for path in sorted(Path(folder).rglob("*"))
                if path.is_file()
                and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
            ]
            files += [name for name in inside if name.endswith(".parquet")] or inside
        if not files:
            raise InputError(f"found no file that matches {pattern!r}; wanted at least one input")
        paths.update(dict.fromkeys(files))
    return list(paths)


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
        path.parent.mkdir(parents=True, exist_ok=True)
        leftovers.sweep_once(path.parent)
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        if error.errno in _CANNOT_WRITE:
            raise InputError(
                f"could not write {path}: {error.strerror or error}; nothing was left under that "
                "name: make room or choose another folder, then run the same command again"
            ) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


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
    """Writes `text` to `path` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, "utf-8")


def write_json(path: str | Path, value) -> None:
    """Writes the JSON `value` to `path` atomically, for people to read: indented, UTF-8."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | Path):
    """Reads a JSON file.

    Raises:
        InputError: the file is missing, is no regular file, is larger than `LARGEST_JSON`, or is
            not JSON.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise FileNotFoundError
            if about.st_size > LARGEST_JSON:
                raise InputError(
                    f"found {about.st_size} bytes in {path}; wanted a JSON file of at most "
                    f"{LARGEST_JSON}: give the file that was meant"
                )
            return json.loads(file.read().decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError(
            f"found no file {path}; wanted the JSON that an earlier program writes"
        ) from error
    except OSError as error:
        raise InputError(
            f"could not read {path}: {error.strerror or error}; make it a file that can be read"
        ) from error
    except RecursionError as error:
        raise InputError(f"found no JSON in {path} (too deep); write that file again") from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"found no JSON in {path} ({error}); write that file again") from error


def _open_at_once(path, flags: int) -> int:
    """A descriptor of the file, also of a FIFO, where `open` would wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def claim(folder: str | Path, config: dict) -> dict | None:
    """Begins the run of one config in a folder, or goes on with it.

    The config is saved as `config.json`, together with the version of this package, when the folder
    is first claimed. While the folder holds nothing else, another config replaces it: a run that
    stopped at a wrong flag does not block the corrected command. `report.json`, which a program
    writes last, marks a finished run.

    Args:
        folder: where a program writes; made if missing.
        config: what decides the output, as JSON values.

    Returns:
        The report of a finished run, or None where there is work to do.

    Raises:
        InputError: the folder was claimed by another config, or by another version of this package
            whose config has other keys.
    """
    path = Path(folder, "config.json")
    if not _is_claimed(path):
        write_json(path, {_VERSION_KEY: roots_tf.__version__} | config)
        return None
    return finished(folder, config)


def finished(folder: str | Path, config: dict) -> dict | None:
    """The report of a finished run; arguments, result and errors as for `claim`. Writes nothing."""
    config = json.loads(json.dumps(config))  # as it will be read back: tuples are lists
    path = Path(folder, "config.json")
    if not _is_claimed(path):
        return None
    before = read_json(path)
    version = before.pop(_VERSION_KEY, "0.1.x")
    if before != config:
        raise InputError(_other_config(folder, version, before, config))
    report = Path(folder, "report.json")
    return read_json(report) if report.exists() else None


def _is_claimed(config: Path) -> bool:
    """Whether a folder holds the `config` and more."""
    return config.exists() and any(other != config for other in config.parent.iterdir())


def _other_config(folder: str | Path, version: str, before: dict, config: dict) -> str:
    """Why a run of `config` cannot go on in a folder that `version` claimed with `before`."""
    if version != roots_tf.__version__ and before.keys() != config.keys():
        only_there = ", ".join(sorted(before.keys() - config.keys())) or "none"
        only_here = ", ".join(sorted(config.keys() - before.keys())) or "none"
        return (
            f"{folder} holds a run that version {version} of roots-tf began; this is "
            f"{roots_tf.__version__}, which has other flags: found {only_there} only there; wanted "
            f"{only_here} too. Choose another --output, or finish that run with roots-tf {version}"
        )
    names = sorted(k for k in before | config if before.get(k) != config.get(k))
    found = ", ".join(f"{name}={before.get(name)!r}" for name in names)
    wanted = ", ".join(f"{name}={config.get(name)!r}" for name in names)
    return (
        f"{folder} holds a run of another config: found {found}; wanted {wanted}. Choose "
        "another --output, or give the flags of that run"
    )


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value) -> str:
    """Sixteen hexadecimal digits that stand for any JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

"""Inputs that are fetched whole: files of a store as local ones, in a cache.

    ROOTS_CACHE/objects/0a1b...              bytes, by URL and version
    ROOTS_CACHE/inputs/2c3d.../run/model/    the same files under their names

A program that wants a folder or a file gets the second. An object that has changed is another one,
and so is a folder with such an object; what a process has fetched whole is renamed to its place, so
two may fetch the same at once. Nothing is removed: `rm -r` does that while no program runs.
"""

import concurrent.futures
import contextlib
import glob
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from roots_tf.storage import files, leftovers, listings, objects, urls
from roots_tf.storage.files import InputError

AT_ONCE = 8  # objects that are fetched at a time
# What programs read beside what they were given: an export tells of the run that trained a model,
# and a mean of checkpoints has its sizes and tokenizer from their run's model.
_BESIDE = {"model": ("config.json", "report.json"), "checkpoints": ("model/",)}


def root() -> Path:
    """Folder of the cache: `ROOTS_CACHE`, else `roots_tf` in that of the user."""
    user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("ROOTS_CACHE") or Path(user, "roots_tf")).expanduser().absolute()


def local(url: str) -> str:
    """A local path, or pattern, of what a URL names, once that is fetched.

    Args:
        url: of a file, of a folder, or a glob pattern of these.

    Raises:
        InputError: there is nothing, it cannot be fetched or kept, or comes damaged.
    """
    is_pattern = glob.has_magic(url) and not urls.scheme_of(url).is_web and not objects.at(url)
    found, rest = _matching(url) if is_pattern else _named(url)
    if not found:
        raise InputError(
            "no-such-file",
            f"found no file at {urls.shown(url)}; wanted a file, or a folder with files: mend the "
            "name",
        )
    view = _view(found)
    if is_pattern:
        return os.path.join(glob.escape(str(view)), rest)
    return str(view / rest)


def _named(url: str) -> tuple[dict[str, objects.Object], str]:
    """The objects of a file or folder by where they belong in a view, and where it is itself.

    The last two names stay: what a model is called may be the folder that its own is in.
    """
    folder, name = urls.split(url)
    above, stem = urls.split(folder)[1], re.match(r"ckpt-\d+\.", name)
    if name and not stem and not url.endswith("/") and (found := objects.at(url)):
        return {name: found}, name
    rest = "/".join(filter(None, (above, name))) or urls.name_of(folder) or "bucket"
    below = {} if urls.scheme_of(url).is_web else _shown(objects.below(url))
    if not below and not urls.scheme_of(url).is_web and name:  # a checkpoint, or a part of one
        start, inside = stem[0] if stem else f"{name}.", _shown(objects.below(folder))
        found = {f"{above}/{n}": each for n, each in inside.items() if n.startswith(start)}
        return found | _beside(folder, Path(above)), rest
    found = {f"{rest}/{inner}": each for inner, each in below.items()}
    return found | (_beside(url, Path(rest)) if found else {}), rest


def _matching(pattern: str) -> tuple[dict[str, objects.Object], str]:
    """The objects that a pattern matches, as `_named`, and what is left of the pattern."""
    start, parts = pattern.split("://")[0], pattern.partition("://")[2].split("/")
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    base = f"{start}://{'/'.join(parts[:first])}"
    store, above = urls.filesystem(pattern), parts[first - 1]
    matches = listings.globbed(pattern)
    prefix, found = store._strip_protocol(base).rstrip("/") + "/", {}
    for path, info in matches.items():
        name = path.removeprefix(prefix)
        if info.get("type") == "directory" and objects.is_local_name(name):
            inside = objects.below(urls.join(base, name))
            found |= {f"{name}/{inner}": each for inner, each in inside.items()}
        elif objects.is_local_name(name):
            found[name] = objects.describe(urls.join(base, name), info)
    found = {f"{above}/{name}": each for name, each in _shown(found).items()}
    if found and any(re.match(r"ckpt-\d+\.", name.rpartition("/")[2]) for name in found):
        stems = {name.rpartition("/")[2].split(".")[0] for name in found}
        rest = {n: o for n, o in _shown(objects.below(base)).items() if n.split(".")[0] in stems}
        found |= {f"{above}/{name}": each for name, each in rest.items()}
        found |= _beside(base, Path(above))
    return found, "/".join([above, *parts[first:]])


def _shown(found: dict[str, objects.Object]) -> dict[str, objects.Object]:
    """Those that are not hidden."""
    return {
        name: each
        for name, each in found.items()
        if not any(part.startswith(".") for part in name.split("/"))
    }


def _beside(url: str, place: Path) -> dict[str, objects.Object]:
    """What programs look for beside a folder, where it is there.

    Args:
        url: of the folder.
        place: of it in the view.
    """
    above, found = urls.split(url)[0], {}
    for name in _BESIDE.get(place.name, ()):
        beside = urls.join(above, name)
        if name.endswith("/"):
            inside = _shown(objects.below(beside))
            found |= {str(place.parent / name / inner): each for inner, each in inside.items()}
        elif each := objects.at(beside):
            found[str(place.parent / name)] = each
    return found


def _view(found: dict[str, objects.Object]) -> Path:
    """A folder with the objects under their names.

    Raises:
        InputError: a name is that of an object and of a folder; or as `local`.
    """
    for name in found:
        if whole := next((p for p in map(str, Path(name).parents) if p in found), ""):
            raise InputError(
                "wrong-folder",
                f"found {found[whole].url}, which is a file, and in a folder of that name "
                f"{found[name].url}; wanted a folder as disks have it: rename one of the two, or "
                "name what you mean",
            )
    keys = {name: _key(each) for name, each in found.items()}
    view = root() / "inputs" / files.fingerprint(sorted(keys.items()))
    stored = {name: root() / "objects" / key for name, key in keys.items()}
    missing = [
        (each, stored[name])
        for name, each in found.items()
        if not each.version or _size(stored[name]) != each.size
    ]
    if missing:
        _fetch(missing)
    with files.writing(view):
        for name, each in found.items():
            if _size(view / name) != each.size or not each.version:
                _link(stored[name], view / name)
    return view


def _key(found: objects.Object) -> str:
    parts = f"{found.url}\n{found.version}\n{found.size}"
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _fetch(missing: Sequence[tuple[objects.Object, Path]]) -> None:
    """Fetches objects to their places in the cache."""
    size, first = sum(max(each.size, 0) for each, _ in missing), missing[0][0].url
    shown = urls.shown(first if len(missing) == 1 else urls.split(first)[0])
    check_writable()
    with files.writing(root()):
        (root() / "objects").mkdir(parents=True, exist_ok=True)
        leftovers.sweep_once(root() / "objects")
    check_room(size, shown)
    logging.info("fetching %d files, %.1f MB, of %s", len(missing), size / 1e6, shown)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [pool.submit(_fetch_one, *each) for each in dict.fromkeys(missing)]
        try:
            for future in concurrent.futures.as_completed(waiting):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def check_writable() -> None:
    """Refuses a cache in which nothing can be written; makes its folder.

    Raises:
        InputError: it cannot be made, or a file in it.
    """
    try:
        root().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root()) as file:
            file.write(b"\n")
    except OSError as error:
        raise InputError(
            "no-room" if files.full_disk(error) else "cannot-write",
            f"could not write in the cache {root()}: {error.strerror}; wanted a folder with room "
            "for what comes from a store or goes there: name another one in ROOTS_CACHE",
        ) from error


def check_room(size: int, shown: str) -> None:
    """Refuses to fetch more than the disk of the cache has room for.

    Args:
        size: bytes.
        shown: of what, for the message.

    Raises:
        InputError: there is less room.
    """
    free = shutil.disk_usage(root()).free
    if free < size:
        raise InputError(
            "no-room",
            f"found {free / 1e6:.0f} MB free in {root()}, where {shown} is fetched to; wanted "
            f"{size / 1e6:.0f} MB: make room there, or name another folder in ROOTS_CACHE",
        )


def _fetch_one(found: objects.Object, path: Path) -> None:
    temporary = leftovers.temporary_path(path)
    try:
        with files.writing(path):
            objects.fetch(found, temporary)
            temporary.chmod(0o444)  # its links are of one file with it
            temporary.replace(path)
    finally:
        leftovers.remove(temporary)


def _link(stored: Path, path: Path) -> None:
    """Puts a stored file under a name, all at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = leftovers.temporary_path(path)
    try:
        with contextlib.suppress(OSError):  # a file system without links
            os.link(stored, temporary)
        if not temporary.exists():
            shutil.copyfile(stored, temporary)
        temporary.replace(path)
        # `rename` of one link over another of the same file does nothing, and leaves the first.
    finally:
        leftovers.remove(temporary)

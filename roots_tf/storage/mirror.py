"""A folder of this machine that a store has too, at every moment as after a kill of its writer.

A program writes a local folder, as always. Before it begins, what the store holds is brought down,
so that a run goes on that another machine began; while it works a thread uploads what has appeared
or grown; when it ends, all is up and compared before it says so. An object appears whole or not at
all, and the order is kept in which one file completes others: a reader of the store finds no
`manifest.json` before its shards, no `ckpt-20.index` before its data, and the metrics up to there.
"""

import concurrent.futures
import contextlib
import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

from absl import logging

from roots_tf.storage import downloads, files, leftovers, objects, url_locks, urls
from roots_tf.storage.files import InputError

POLL_SECONDS = 2.0  # between two looks at the folder
GROWING_BYTES = 256 << 10  # a second, at most, of a file that grows and is uploaded whole each time
AT_ONCE = 8  # objects that are brought down at a time
PARTS = ".parts"  # ends the name of a folder with parts of a file that is not finished: they stay
REFUSED_SECONDS = 60.0  # until a store that refuses is asked again
# Files that say that others are whole; and those that say it of a whole run, which come last.
_OF_FOLDER = ("manifest.json", "model.json", "adapter.json", "saved_model.pb")
_OF_RUN = ("report.json",)
# Beside them, and completed by none.
_APART = ("config.json", "plan.json", "metrics.jsonl", "report.html", *_OF_RUN)


class Seen(NamedTuple):
    """A local file as it was once: another inode, size or time is another content."""

    inode: int
    size: int
    mtime: int


def order(name: str) -> int:
    """When a file goes up: 0 first, 1 what completes files, 2 what completes a run.

    >>> [order(name) for name in ("ckpt-2.json", "ckpt-2.index", "model/model.json", "report.json")]
    [0, 1, 1, 2]

    Args:
        name: of the file, with its folders.
    """
    last = name.rpartition("/")[2]
    return 2 if last in _OF_RUN else int(last in _OF_FOLDER or last.endswith(".index"))


def completes(marker: str, name: str) -> bool:
    """Whether a file is one of those that a marker completes.

    >>> completes("c/ckpt-2.index", "c/ckpt-2.json"), completes("model/model.json", "config.json")
    (True, False)

    Args:
        marker: name of a file of order 1.
        name: of another file.
    """
    folder, _, last = marker.rpartition("/")
    if order(marker) != 1 or order(name) or not name.startswith(f"{folder}/" if folder else ""):
        return False
    if last.endswith(".index"):
        return name.startswith(f"{marker.removesuffix('index')}")
    return name.rpartition("/")[2] not in _APART


class Mirror:
    """A local folder and the URL that is to hold the same.

    Args:
        folder: of this machine.
        url: of a folder of a store.
        lease: of the lock of the URL; None: nothing is removed there, and nobody else kept away.

    Attributes:
        uploads: how often a file was uploaded.
        is_done: whether all is up and compared, of a program that has ended.
    """

    def __init__(self, folder: Path, url: str, lease: url_locks.Lease | None = None):
        self._folder, self._url, self._lease = folder, url, lease
        self._there: dict[str, objects.Object | None] = {}
        self._up: dict[str, Seen] = {}
        self._at: dict[str, float] = {}
        self._compared: dict[str, tuple[Seen, str]] = {}
        self.uploads = 0
        self._over, self._thread, self.is_done = threading.Event(), None, False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there, neither here nor in the store."""
        return not self._there and not self._scan()

    def check_free(self) -> None:
        """Refuses a folder of files that no program here wrote, which would all be brought down.

        Raises:
            InputError: as said.
        """
        found = objects.below(self._url)
        shown = [name for name in found if not is_hidden(name)]
        if shown and "config.json" not in found:
            raise InputError(
                "folder-taken",
                f"found files that no program here wrote, such as {shown[0]}, in "
                f"{urls.shown(self._url)}; wanted a new folder: choose another --output",
            )

    def bring_down(self, keeps_local: bool, keeps_hidden: bool) -> None:
        """Makes the local folder what it has to be before the program begins.

        Args:
            keeps_local: whether what is here is newer than what the store holds.
            keeps_hidden: whether hidden files are of the same run as what the store holds.

        Raises:
            InputError: something cannot be fetched or written.
        """
        below = objects.below(self._url)
        self._there = {name: each for name, each in below.items() if not is_hidden(name)}
        here = self._scan()
        same = {
            name
            for name in here.keys() & self._there.keys()
            if objects.fits(self._there[name], self._folder / name)
        }
        if not keeps_local:
            self._replace(same, keeps_hidden)
            here, same = self._scan(), set(self._there)
        self._up = {name: here[name] for name in same if name in here}
        self._compared = {n: (seen, self._there[n].version) for n, seen in self._up.items()}

    def _replace(self, same: set[str], keeps_hidden: bool) -> None:
        """Fetches all but what is the `same` already, and removes what the store does not have."""
        for path in sorted(self._folder.rglob("*"), reverse=True):
            name = str(path.relative_to(self._folder))
            if path.is_dir() and not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.rmdir()
            elif name not in same and not (keeps_hidden and is_hidden(name)):
                leftovers.remove(path)
        missing = sorted(self._there.keys() - same)
        if not missing:
            return
        size, shown = sum(self._there[name].size for name in missing), urls.shown(self._url)
        downloads.check_room(size, shown)
        logging.info("bringing down %d files, %.1f MB, of %s", len(missing), size / 1e6, shown)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self._bring, missing):
                pass

    def _bring(self, name: str) -> None:
        path = self._folder / name
        temporary = leftovers.temporary_path(path)
        try:
            with files.writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                objects.fetch(self._there[name], temporary)
                temporary.replace(path)
        finally:
            leftovers.remove(temporary)

    def _scan(self) -> dict[str, Seen]:
        """The files of the folder that are not hidden, the first to be named first."""
        found, left = {}, [""]
        while left:
            start = left.pop()
            with (
                contextlib.suppress(FileNotFoundError),
                os.scandir(self._folder / start) as entries,
            ):
                for entry in entries:
                    if is_hidden(entry.name):
                        continue
                    name = f"{start}{entry.name}"
                    if entry.is_dir():
                        left.append(f"{name}/")
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        about = entry.stat()
                        found[name] = (about.st_ctime_ns, name, _seen(about))
        return {name: seen for _, name, seen in sorted(found.values())}

    def start(self) -> None:
        """Uploads from now on what appears or grows, in a thread."""
        self._thread = threading.Thread(target=self._watch, daemon=True, name="mirror")
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; what it does not have up stays here."""
        self._over.set()
        if self._thread:
            self._thread.join()
            self._thread = None

    def _watch(self) -> None:
        pause, told = POLL_SECONDS, -1e9
        while not self._over.wait(pause):
            began = time.monotonic()
            try:
                self.upload(is_last=False)
                took = time.monotonic() - began
                pause = max(POLL_SECONDS, took)
            except Exception as error:  # also of a bug: the program goes on, and the end tells
                pause = REFUSED_SECONDS if getattr(error, "id", "") == "store-refused" else 5.0
                if began - told > REFUSED_SECONDS:
                    logging.warning("%s; it is tried again, and nothing is lost here", error)
                    told = began

    def upload(self, is_last: bool = True) -> bool:
        """Brings the store one step nearer to what is here; each step leaves it right.

        What completes others goes up after all that stands here in a second look, once a first look
        has seen it: what it completes was named before it, so the second look sees that.

        Args:
            is_last: whether nothing is written here any more: then nothing waits.

        Returns:
            Whether all that the folder holds is up, and nothing else is there.

        Raises:
            InputError: the store refuses, cannot be reached, or another process has taken it.
        """
        seen = self._scan()
        here = seen if is_last else self._scan()
        pending = [name for name, found in here.items() if self._up.get(name) != found]
        markers = [n for n in pending if order(n) and seen.get(n) == here[n]]
        plain = [n for n in pending if not order(n)]
        self._forget_stale(here, plain)
        for name in plain:
            if is_last or markers or self._may_grow(name, here[name]):
                self._put(name)
        for name in sorted(markers, key=order):
            self._put(name, here[name])
        if any(order(name) and self._up.get(name) != here[name] for name in pending):
            return False
        gone = [name for name in self._there if name not in here]
        if self._lease:
            for name in sorted(gone, key=order, reverse=True):
                self._remove(name)
        return all(self._up.get(name) == found for name, found in here.items())

    def _forget_stale(self, here: dict[str, Seen], changing: list[str]) -> None:
        """Removes markers there that would complete what is about to change under them.

        A marker that is gone here goes first too, as it did here; a checkpoint's only when what
        replaces it is up.
        """
        for marker in [name for name in self._there if order(name)]:
            is_stale = any(completes(marker, name) for name in changing)
            if is_stale or (marker not in here and not marker.endswith(".index")):
                self._remove(marker)

    def _may_grow(self, name: str, seen: Seen) -> bool:
        """Whether a file that is there already is worth its upload by now."""
        return time.monotonic() - self._at.get(name, -1e9) > seen.size / GROWING_BYTES

    def _put(self, name: str, expected: Seen | None = None) -> None:
        """Uploads a file, unless it is gone, or another than was expected."""
        self._check_lease()
        try:
            file = os.open(self._folder / name, os.O_RDONLY)
        except FileNotFoundError:
            return
        try:
            seen = _seen(os.fstat(file))
            if expected in (None, seen):
                objects.upload(file, urls.join(self._url, name))
                self.uploads += 1
                self._there.setdefault(name, None)
                self._up[name], self._at[name] = seen, time.monotonic()
        finally:
            os.close(file)

    def _remove(self, name: str) -> None:
        self._check_lease()
        objects.remove(urls.join(self._url, name))
        self._there.pop(name, None)
        self._up.pop(name, None)

    def _check_lease(self) -> None:
        """Refuses to write where another process may write by now."""
        if self._lease is None or self._lease.is_fresh():
            return
        if self._lease.is_lost or not self._lease.beat():
            raise InputError(
                "folder-in-use",
                f"found that another process has taken {urls.shown(self._url)}, because this one "
                "was not heard of for a while; wanted one alone: nothing more was written there",
            )

    def finish(self) -> int:
        """Uploads what is missing and compares all of it with what the store says.

        Returns:
            Bytes that are there.

        Raises:
            InputError: as `upload`; or something is otherwise there than it was sent.
        """
        self.stop()
        for _ in range(3):
            for _ in range(100):  # once and again, unless somebody still writes here
                if self.upload():
                    break
            found = objects.below(self._url) if self._lease else {}
            wrong = [n for n, seen in self._scan().items() if not self._compare(n, seen, found)]
            if not wrong:
                self.is_done = True
                return sum(seen.size for seen in self._up.values())
            for name in wrong:
                self._up.pop(name, None)
        raise InputError(
            "file-damaged",
            f"found {wrong[0]} otherwise in {urls.shown(self._url)} than it was sent, three times; "
            "wanted the same bytes: look after who else writes there",
        )

    def _compare(self, name: str, seen: Seen, found: dict[str, objects.Object]) -> bool:
        """Whether a file is there as it is here; a list of the store may lag behind."""
        for there in (found.get(name), objects.at(urls.join(self._url, name))):
            if there is not None:
                if self._compared.get(name) == (seen, there.version):
                    return True
                path = self._folder / name
                if objects.fits(there, path) or objects.is_opaque(there, path):
                    self._compared[name] = (seen, there.version)
                    return True
        return False


def _seen(about: os.stat_result) -> Seen:
    return Seen(about.st_ino, about.st_size, about.st_mtime_ns)


def is_hidden(name: str) -> bool:
    """Whether a file of this `name`, or a folder that it is in, is hidden, or of parts."""
    return any(part.startswith(".") or part.endswith(PARTS) for part in name.split("/"))

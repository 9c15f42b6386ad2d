"""One process writes in a folder: a lock that ends with its process, also with a killed one.

The lock is `flock` on the file `.lock` in the folder, which the system gives back when a process
ends, however it ends. The file says who holds it. Not every shared file system hands `flock` on to
other machines, and some have none: therefore the holder also touches the file every few seconds,
and where the file names another machine, whoever comes watches for that before the folder is taken.
"""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from absl import logging

from roots_tf.storage import files

NAME = ".lock"
BEAT_SECONDS = 5.0  # between two touches of the file
WATCH_SECONDS = 3 * BEAT_SECONDS  # without a touch, after which a holder counts as gone
_HELD = (errno.EWOULDBLOCK, errno.EACCES)  # by another process; other errors: there is no flock


@contextlib.contextmanager
def held(folder: str | Path, is_writer: bool = True) -> Iterator[None]:
    """Context in which no other process that asks for the folder gets it.

    Args:
        folder: where files are to be written; made if missing, and removed again if it stays empty.
        is_writer: whether this process writes there. Of several that are one run, such as the
            workers of a cluster, only one does; the others are let in beside it.

    Raises:
        InputError: another process writes there, which is named; or nothing can be written.
    """
    if not is_writer:
        yield
        return
    folder, file = Path(folder), None
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with files.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = _take(folder / NAME, folder)
        with _beating(file, folder):
            yield
    finally:
        if file is not None:
            with contextlib.suppress(OSError):
                (folder / NAME).unlink()  # while it is held: nobody else has it open in earnest
            os.close(file)
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()


def _take(path: Path, folder: Path) -> int:
    """An open file that is locked and says that this process holds it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            flock_works = _flock(file)
            if flock_works is None:
                raise _refusal(folder, _holder(file))
            if not _is_at(file, path):  # its holder has removed it between the two lines above
                os.close(file)
                continue
            holder = _holder(file)
            if _may_live(holder, flock_works) and _touches(path):
                raise _refusal(folder, holder)
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps(_this_process()).encode(), 0)
            return file
        except BaseException:
            os.close(file)
            raise


def _flock(file: int) -> bool | None:
    """Whether the system locks the file for this process; None where another one has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in _HELD else False
    return True


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _this_process() -> dict:
    now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "boot": _boot(), "since": now}


def _boot() -> str:
    """What tells a machine from others of the same name, until it starts again."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _holder(file: int) -> dict:
    """What the file says of its holder; nothing where it is new, or damaged."""
    try:
        holder = json.loads(os.pread(file, 4096, 0))
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _may_live(holder: dict, flock_works: bool) -> bool:
    """Whether the holder that a file names could be alive although the file could be locked."""
    is_here = holder.get("boot") == _boot()
    if not holder or (is_here and flock_works):
        return False
    if not is_here or holder.get("host") != socket.gethostname():
        return True  # on another machine or in a container, of whose locks this one may not know
    try:
        os.kill(int(holder["pid"]), 0)
    except (ProcessLookupError, KeyError, TypeError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _touches(path: Path) -> bool:
    """Whether somebody touches the file while this process watches it."""
    logging.info("%s is of another process; watching whether it is alive", path)
    before, end = _touched(path), time.monotonic() + WATCH_SECONDS
    while time.monotonic() < end:
        time.sleep(BEAT_SECONDS / 10)
        if _touched(path) != before:
            return True
    return False


def _touched(path: Path) -> int:
    # Opened anew each time, upon which a network file system asks its server.
    with contextlib.suppress(OSError), path.open("rb") as file:
        return os.fstat(file.fileno()).st_mtime_ns
    return 0


def shown(holder: dict) -> str:
    """Who the `holder` of a lock is, in words."""
    pid, host, since = (holder.get(name, "?") for name in ("pid", "host", "since"))
    return f"pid {pid} on {host}, since {since}"


def _refusal(folder: Path, holder: dict) -> files.InputError:
    return files.InputError(
        "folder-in-use",
        f"found another process at work in {folder} ({shown(holder)}); wanted one alone: wait "
        "until it has ended, stop it, or choose another --output",
    )


@contextlib.contextmanager
def _beating(file: int, folder: Path) -> Iterator[None]:
    """Context in which a thread touches the file."""
    over, ours = threading.Event(), _holder(file)

    def beat():
        while not over.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full disk, a server that is away
                os.utime(file)
                if _holder(file) != ours:  # two machines without a common lock began together
                    logging.error("another process has taken %s; this one stops", folder)
                    os.kill(os.getpid(), signal.SIGTERM)
                    return

    thread = threading.Thread(target=beat, daemon=True, name="lock")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

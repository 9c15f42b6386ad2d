"""Temporary paths that name their writer, so that those of killed processes can be removed.

A process that is killed leaves what it was writing. The name of such a path tells the host and the
process; the first write into a folder by another process removes the paths whose writer is dead.
"""

import contextlib
import functools
import hashlib
import os
import re
import shutil
import socket
import time
import uuid
from pathlib import Path

# Of a writer that cannot be looked up: it runs on another host, or its version named no writer.
SECONDS_UNTIL_DEAD = 3600.0
_NAME = re.compile(r"\..+\.((?P<host>[0-9a-f]{8})-(?P<pid>\d+)-)?[0-9a-f]{12}\.tmp")
_LONGEST = 255 - len("..-.tmp") - 8 - 10 - 12 - 2  # bytes of a name that still fit
_swept: set[tuple[int, str]] = set()  # processes and folders: a fork has seen what its parent saw


def temporary_path(path: str | Path) -> Path:
    """A new path beside `path`, hidden, that names this process: `.x.json.0a1b2c3d-17-….tmp`."""
    path = Path(path)
    name = path.name.encode()[:_LONGEST].decode(errors="ignore")
    return path.with_name(f".{name}.{host()}-{os.getpid()}-{uuid.uuid4().hex[:12]}.tmp")


def sweep(folder: str | Path) -> list[str]:
    """Removes what dead processes left in a folder, not in folders below it.

    What a living process of this host writes stays. Of a process elsewhere nobody knows: its paths
    go once nothing was written to them for an hour.

    Args:
        folder: where programs write; it may be missing.

    Returns:
        Names of what was removed.
    """
    removed = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match and _is_dead(entry, match):
                remove(entry.path)
                removed.append(entry.name)
    return removed


def sweep_once(folder: str | Path) -> None:
    """As `sweep`, of a `folder` that this process has not swept yet."""
    key = (os.getpid(), os.path.abspath(folder))
    if key not in _swept:
        _swept.add(key)
        sweep(folder)


def remove(path: str | Path) -> None:
    """Removes a file or a folder; what cannot be removed, or is gone already, is left."""
    with contextlib.suppress(OSError):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def _is_dead(entry: os.DirEntry, match: re.Match) -> bool:
    if match["host"] == host():
        return not lives(int(match["pid"]))
    with contextlib.suppress(OSError):
        newest = entry.stat(follow_symlinks=False).st_mtime
        if entry.is_dir(follow_symlinks=False):
            newest = max([newest, *(path.stat().st_mtime for path in Path(entry).rglob("*"))])
        return time.time() - newest > SECONDS_UNTIL_DEAD
    return False


def lives(pid: int) -> bool:
    """Whether a process of this host runs; `pid` is its number."""
    try:
        os.kill(pid, 0)
        # A killed process whose parent never asks for it stays in the table: state Z.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, OverflowError):
        return False
    except (OSError, IndexError):  # it is another user's; or the system has no /proc
        return True


@functools.cache
def host() -> str:
    """Eight digits for where process numbers mean the same: the host, its start, the container."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]

"""How much memory is left to this process."""

import contextlib
import os
import resource
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available() -> int:
    """Bytes that this process may still take: of the machine, its container and its own limit."""
    left = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError, ValueError, KeyError):
        about = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        left.append(int(about["MemAvailable"].split()[0]) * 1024)
    with contextlib.suppress(OSError, ValueError, KeyError):
        used = int((_CGROUP / "memory.current").read_text())
        counts = (line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        used -= int(dict(counts)["inactive_file"])  # a cache, which makes way
        left.append(int((_CGROUP / "memory.max").read_text()) - used)  # "max" is no number
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError):
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            left.append(limit - pages * os.sysconf("SC_PAGE_SIZE"))
    return max(0, min(left))

"""A Dask scheduler and its workers on this machine, which end with their launcher.

python -m roots_tf.launching.dask_processes scheduler --scheduler-file FILE ...
"""

import runpy
import subprocess
import sys
from pathlib import Path

from roots_tf import heartbeat
from roots_tf.launching import places

# The scheduler asks nobody who they are, so nobody outside of this machine reaches it.
_SCHEDULER = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
_WORKER = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard")


def start(kind: str, scheduler_file: Path) -> subprocess.Popen:
    """Starts a scheduler, or a worker of the one that writes the file.

    Args:
        kind: "scheduler" or "worker".
        scheduler_file: by which they find one another.
    """
    flags = _SCHEDULER if kind == "scheduler" else _WORKER
    words = ["-m", __name__, kind, "--scheduler-file", str(scheduler_file), *flags]
    return subprocess.Popen(
        [sys.executable, *words],
        env=places.environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def main() -> None:
    """What these processes do."""
    heartbeat.begin()
    kind = sys.argv.pop(1)
    runpy.run_module(f"distributed.cli.dask_{kind}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

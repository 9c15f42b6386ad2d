"""A small process between a launcher and a program: here, or on another machine behind `ssh`.

    python -m roots_tf.launching.guard COMMAND...

Its stdin tells signals for the program, a number a line; the end of stdin is that of the launcher,
however it ended, and then that of the program and of all that it has started. To stderr it writes a
beat every five seconds, also while TensorFlow waits for other workers and lets no thread of the
program run. Its exit status is the program's, 128 and the number of a signal that killed it.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from roots_tf import heartbeat

_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """Has Linux kill this process when the guard dies before it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _listen(child: subprocess.Popen) -> None:
    with os.fdopen(0, "rb", buffering=0) as stdin:
        while line := stdin.readline():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, int(line))
    _kill_all(child)


def _kill_all(child: subprocess.Popen) -> None:
    """Ends the program, and what of its processes is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _beat(child: subprocess.Popen) -> None:
    pulse = heartbeat.Pulse()
    while True:
        with contextlib.suppress(OSError):
            state = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]
            pulse.tell({"is_stopped": int(state == "T")})
        time.sleep(heartbeat.EVERY)


def main() -> None:
    """Starts the program and waits for it."""
    try:
        child = subprocess.Popen(
            sys.argv[1:],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # there is no other thread yet
        )
    except OSError as error:
        sys.exit(f"found no command {sys.argv[1]} that can be run: {error.strerror}")
    for work in (_listen, _beat):
        threading.Thread(target=work, args=(child,), daemon=True).start()
    status = child.wait()
    _kill_all(child)
    os._exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()

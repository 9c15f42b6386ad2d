"""Processes that do what a test says, under the guard, and a launcher of them.

    python -m tests.launching.scripted FOLDER MAX_RESTARTS CODE CODE...

runs each CODE as a worker, which knows its `index`, its `folder`, and the `start`, counted from 0.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from roots_tf.launching import places, starts, watch
from roots_tf.launching.worker import Worker, show

HEAD = """
import os, signal, sys, time
from pathlib import Path
from roots_tf import heartbeat
heartbeat.begin()
folder, index, start = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
(folder / f"{start}-{index}.pid").write_text(str(os.getpid()))
"""
WAIT = "time.sleep(600)\n"
DIE = "os.kill(os.getpid(), signal.SIGKILL)\n"


def group(folder: Path, codes: list[str], host: str = "", ssh: str = "") -> watch.Group:
    """Workers of the codes, of the next start."""
    start = len({path.name.split("-")[0] for path in folder.glob("*.pid")})
    workers = []
    for index, code in enumerate(codes):
        words = places.command(["-m", "unused"])[:-2]
        words += ["-c", HEAD + code, str(folder), str(index), str(start)]
        if host:
            words = places.over_ssh(ssh, host, words, {"INDEX": str(index)}, os.getcwd())
        process = starts.spawn(words, places.environment({}))
        workers.append(Worker(f"worker {index}", host, process, show))
    return watch.Group(workers)


def pids(folder: Path) -> list[int]:
    """Of all processes that were started."""
    return [int(path.read_text() or 0) for path in sorted(folder.glob("*.pid"))]


def lives(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def launcher(folder: Path, codes: list[str], max_restarts: int = 3) -> subprocess.Popen:
    """A process that launches and watches the codes."""
    words = [sys.executable, "-m", __name__, str(folder), str(max_restarts), *codes]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # Tests that run in the background of a shell ignore SIGINT, and so would their children.
    return subprocess.Popen(
        words, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **pipes
    )


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    where, limit, *given = sys.argv[1:]
    watch._LONGEST_WAIT = 0.01
    try:
        watch.run(lambda: group(Path(where), given), watch.Limits(int(limit), 300.0))
    except watch.EndedError as error:
        print(f"[{error.id}] {error}")
        sys.exit(error.exit_status)

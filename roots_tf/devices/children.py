"""Processes that make checks one after another; one that dies or hangs is replaced by another."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import roots_tf
from roots_tf import notices
from roots_tf.devices.checks import Asked

_HIDE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
LAST_LINES = 20  # of what a process wrote, that a report keeps


class Answer(NamedTuple):
    """What came of a question.

    Attributes:
        status: as for `results.Result`.
        said: one line.
        found: numbers, facts, by name; empty where the process gave none.
        log: the last lines that the process wrote, where something went wrong.
    """

    status: str
    said: str
    found: dict
    log: tuple[str, ...] = ()


class Child:
    """A process that answers questions; it is started when there is one, and again after its end.

    Args:
        asked: of the program.
        folder: what processes leave for one another.
        hidden: whether it sees no accelerator.
    """

    def __init__(self, asked: Asked, folder: Path, hidden: bool = False):
        self._asked, self._folder, self._hidden = asked, folder, hidden
        self._process: subprocess.Popen | None = None
        self._log = None

    def ask(self, question: dict, seconds: float) -> Answer:
        """Has it make one check.

        Args:
            question: check, settings and the like, as `child` takes it.
            seconds: after which it is ended.
        """
        self._start()
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it died while it started
            return self._died()
        line = self._line(time.monotonic() + seconds)
        if line is None:
            self.end()
            return Answer("out-of-time", f"it took more than {seconds:.0f} s", {}, self._tail())
        if not line:
            return self._died()
        found = json.loads(line)
        if found.pop("ends"):
            self.end()
        log = self._tail() if found["status"] not in ("passed", "left-out") else ()
        return Answer(found.pop("status"), found.pop("said"), found, (*found.pop("log"), *log))

    def end(self) -> None:
        """Ends the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process = None

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.end()
        if self._log is None:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115  (it outlives processes)
        root = str(Path(roots_tf.__file__).parents[1])
        # Warnings say which library of CUDA did not load; they go to the log alone.
        level = "0" if os.environ.get(notices.LEVEL) == "0" else "1"
        paths = filter(None, [root, os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {notices.LEVEL: level, "PYTHONPATH": os.pathsep.join(paths)}
        environment |= dict.fromkeys(_HIDE, "-1") if self._hidden else {}
        given = (self._asked.strategy, self._asked.tpu) if not self._hidden else ("one_device", "")
        about = {"strategy": given[0], "tpu": given[1], "folder": str(self._folder)}
        about |= {"seed": self._asked.seed, "debug": self._asked.debug}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "roots_tf.devices.child", json.dumps(about)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
        )

    def _line(self, end: float) -> bytes | None:
        """The next line of the answers; b"" where the process ended, None where time did."""
        read, descriptor = b"", self._process.stdout.fileno()
        while not read.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                return None
            if not (part := os.read(descriptor, 1 << 16)):
                return b""
            read += part
        return read

    def _died(self) -> Answer:
        self._process.wait()
        code = self._process.returncode
        self.end()
        log = self._tail()
        if code == -signal.SIGKILL:
            said = "the system ended the process (SIGKILL), as it does where memory runs out"
            return Answer("out-of-memory", said, {}, log)
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        last = next((line for line in reversed(log) if line.strip()), "it wrote nothing")
        return Answer(
            "crashed", f"found the process ended by {how}; wanted an answer: {last}", {}, log
        )

    def _tail(self) -> tuple[str, ...]:
        """The last lines that it wrote."""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - (1 << 14)))
        lines = self._log.read().decode("utf-8", "replace").splitlines()
        return tuple(line[:500] for line in lines[-LAST_LINES:])

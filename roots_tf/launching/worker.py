"""A process that was started, what it says and how it ended."""

import collections
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from absl import logging

from roots_tf import heartbeat, messages

_LINES = 3  # the last of stderr, which tell of what it died
_LONGEST = 1 << 16  # bytes of a line
_KILLED_WITHIN = 15.0  # seconds that a guard has
_writing = threading.Lock()

Show = Callable[[str, str, bool], None]


class Worker:
    """A process of a run, and threads that read what it writes.

    Args:
        name: such as "worker 1".
        host: where it runs; "" is this machine.
        process: as `subprocess.Popen` gives it, with pipes for stdin, stdout and stderr.
        show: takes the name, a line, and whether it came from stderr.
    """

    def __init__(self, name: str, host: str, process: subprocess.Popen, show: Show):
        self.name, self.host, self._process, self._show = name, host, process, show
        self.facts: dict[str, float] = {}
        self.heard = time.monotonic()
        self._lines: collections.deque[str] = collections.deque(maxlen=_LINES)
        streams = ((process.stdout, False), (process.stderr, True))
        self._readers = [
            threading.Thread(target=self._read, args=given, daemon=True) for given in streams
        ]
        for reader in self._readers:
            reader.start()

    def __str__(self) -> str:
        return f"{self.name} ({self.host})" if self.host else self.name

    @property
    def status(self) -> int | None:
        """Its exit status, or less a signal that killed it; None while it runs."""
        return self._process.poll()

    @property
    def last_lines(self) -> str:
        """The end of what it wrote to stderr, on one line."""
        for reader in self._readers:  # what a process has left running may hold the pipe open
            reader.join(1.0)
        return " | ".join(line[:200] for line in self._lines)

    def tell(self, number: int) -> None:
        """Has it raise a signal; by its stdin, which reaches other machines too."""
        with contextlib.suppress(OSError):
            self._process.stdin.write(b"%d\n" % number)
            self._process.stdin.flush()

    def kill(self) -> None:
        """Ends it and what it has started at once, if it runs; then there is no such process.

        Its guard does so, on other machines too, when its stdin ends.
        """
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_KILLED_WITHIN)
        except subprocess.TimeoutExpired:
            logging.warning("%s does not answer; its processes may still run there", self)
            self._process.kill()
            self._process.wait()

    def _read(self, stream, is_error: bool) -> None:
        rest = b""
        while content := os.read(stream.fileno(), _LONGEST):
            content, beats = heartbeat.split(rest + content)
            for beat in beats:
                self.facts = self.facts | beat
            if content != rest or not self.facts.get("is_stopped"):
                self.heard = time.monotonic()
            *lines, rest = content.split(b"\n")
            if len(rest) > _LONGEST:
                lines, rest = [*lines, rest], b""
            self._take(lines, is_error)
        self._take([rest] if rest else [], is_error)
        stream.close()

    def _take(self, lines: list[bytes], is_error: bool) -> None:
        for line in lines:
            text = line.decode("utf-8", "replace")
            if is_error and text.strip():
                self._lines.append(text.strip())
            self._show(self.name, text, is_error)


def show(name: str, line: str, is_error: bool) -> None:
    """Writes a line of a worker with its name before it, or, of JSON, in it.

    Args:
        name: of the worker.
        line: without its end.
        is_error: whether it came from stderr, and goes there.
    """
    stream = sys.stderr if is_error else sys.stdout
    text = f"[{name}] {line}"
    if is_error and messages.current().json:
        text = json.dumps(_object(line) | {"worker": name})
    with _writing, contextlib.suppress(OSError, ValueError):  # nobody reads any more
        stream.write(f"{text}\n")
        stream.flush()


def _object(line: str) -> dict:
    with contextlib.suppress(ValueError):
        if isinstance(found := json.loads(line), dict):
            return found
    return {"level": "info", "message": line}

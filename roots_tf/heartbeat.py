"""What ties a program to the launcher that has started it, here or over `ssh`.

The two ends are stdin and stderr, which every way to start a program on another machine hands on.
stdin tells signals, a number a line; its end is the end of the launcher, and the program's at once.
Among the lines of stderr stand beats, JSON between two bytes that no text has, every five seconds:

    \\x1e{"step": 120, "saves": 3}\\x1e\\n

A beat tells that the process lives, and what it was last told of how far it is.
"""

import contextlib
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterable

VARIABLE = "ROOTS_LAUNCHED"  # in the environment of a program that a launcher has started
EVERY = 5.0  # seconds between two beats
_LEAST = 0.2  # seconds between two beats where something was saved
_BEAT = re.compile(rb"\x1e([^\x1e\n]*)\x1e\n")


class _Link:
    """The end of a program that was launched."""

    def __init__(self):
        # TensorFlow's import puts a filter in place of stderr for a while.
        self._stderr = os.dup(2)
        self._facts: dict[str, float] = {}
        self._sent, self._lock = 0.0, threading.Lock()
        for work in (self._listen, self._beat):
            threading.Thread(target=work, daemon=True).start()

    def _listen(self) -> None:
        """Raises the signals that the launcher tells; dies with it."""
        with os.fdopen(os.dup(0), "rb", buffering=0) as stdin:
            while line := stdin.readline():
                os.kill(os.getpid(), int(line))
        os._exit(128 + signal.SIGKILL)

    def _beat(self) -> None:
        while True:
            self.send()
            time.sleep(EVERY)

    def send(self) -> None:
        """Writes a beat."""
        self._sent = time.monotonic()
        try:
            os.write(self._stderr, b"\x1e" + json.dumps(self._facts).encode() + b"\x1e\n")
        except OSError:
            os._exit(128 + signal.SIGKILL)  # nobody reads any more

    def tell(self, facts: dict[str, float], more: dict[str, float]) -> None:
        """Takes facts, and numbers that are added to those before; several threads tell some."""
        with self._lock:
            sums = {name: self._facts.get(name, 0) + value for name, value in more.items()}
            self._facts = self._facts | facts | sums
        if "saves" in more and time.monotonic() - self._sent > _LEAST:
            self.send()


_link: _Link | None = None


def begin() -> None:
    """Ties this process to its launcher, if one has started it; programs call it first."""
    global _link
    # Not in the environment of processes that this one starts: they have other pipes.
    if os.environ.pop(VARIABLE, None) and _link is None:
        _link = _Link()


def is_tied() -> bool:
    """Whether a launcher watches this process."""
    return _link is not None


def tell(**facts: float) -> None:
    """Has the next beats say `facts`, such as the step, in place of what they said of the same."""
    if _link is not None:
        _link.tell(facts, {})


def add(**facts: float) -> None:
    """As `tell`, of numbers that are added to what was told before."""
    if _link is not None:
        _link.tell({}, facts)


def saved() -> None:
    """Tells that something is saved from which the same command goes on: a checkpoint, a task."""
    add(saves=1)


def split(content: bytes) -> tuple[bytes, list[dict]]:
    """What a program wrote to stderr without its beats, and the beats.

    >>> split(b'step 1\\x1e{"step": 1}\\x1e\\n0\\n')
    (b'step 10\\n', [{'step': 1}])

    Args:
        content: bytes of a stream; a beat that is cut at their end is left in the text.
    """
    beats = []
    for found in _BEAT.findall(content):
        with contextlib.suppress(ValueError):
            beats.append(json.loads(found))
    numbers = [beat for beat in beats if isinstance(beat, dict) and _are_numbers(beat.values())]
    return _BEAT.sub(b"", content), numbers


def _are_numbers(values: Iterable) -> bool:
    return all(type(value) in (int, float) for value in values)

"""What a program tells the launcher that has started it, among the lines of its stderr.

A beat is JSON between two bytes that no text has. It passes through every way to start a program on
another machine:

    \\x1e{"step": 120, "saves": 3}\\x1e\\n
"""

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Iterable

VARIABLE = "ROOTS_LAUNCHED"  # in the environment of a program that a launcher has started
EVERY = 5.0  # seconds between two beats
_LEAST = 0.2  # seconds between two beats where something was saved
_BEAT = re.compile(rb"\x1e([^\x1e\n]*)\x1e\n")


class Pulse:
    """Writes beats to stderr, as it is now: TensorFlow's import puts a filter there for a while."""

    def __init__(self):
        self._stderr = os.dup(2)
        self._facts: dict[str, float] = {}
        self._sent, self._lock = 0.0, threading.Lock()

    def tell(self, facts: dict[str, float], more: dict[str, float] = {}) -> None:  # noqa: B006
        """Takes what there is to tell, from any thread, and writes it if it is time.

        Args:
            facts: numbers by name, in place of what was told of the same.
            more: numbers that are added to those before.
        """
        with self._lock:
            sums = {name: self._facts.get(name, 0) + value for name, value in more.items()}
            self._facts |= facts | sums
            if time.monotonic() - self._sent >= (_LEAST if "saves" in more else EVERY):
                self._send()

    def _send(self) -> None:
        self._sent = time.monotonic()
        with contextlib.suppress(OSError):  # nobody reads any more
            os.write(self._stderr, b"\x1e" + json.dumps(self._facts).encode() + b"\x1e\n")


_pulse: Pulse | None = None


def begin() -> None:
    """Has this process tell its launcher, if one has started it; programs call it first."""
    global _pulse
    # Not in the environment of processes that this one starts, whose stderr is another.
    if os.environ.pop(VARIABLE, None) and _pulse is None:
        _pulse = Pulse()


def is_watched() -> bool:
    """Whether a launcher has started this process."""
    return _pulse is not None


def tell(**facts: float) -> None:
    """Has the next beats say `facts`, such as the step, in place of what they said of the same."""
    if _pulse is not None:
        _pulse.tell(facts)


def add(**facts: float) -> None:
    """As `tell`, of numbers that are added to what was told before."""
    if _pulse is not None:
        _pulse.tell({}, facts)


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

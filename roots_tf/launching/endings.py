"""What the end of a worker means, by its exit status."""

import signal
from typing import Literal, NamedTuple

from roots_tf.launching.worker import Worker
from roots_tf.mistakes import Identified

# Finished; refused what its user asked for, or diverged, and would again; was asked to stop, and
# has saved; lost another worker; died.
Kind = Literal["finished", "refused", "stopped", "lost", "died"]
_REFUSED = (2, 3)
_LOST = 4
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_OF_SSH = 255


class EndedError(Identified, Exception):
    """The run has ended before it was finished.

    Args:
        id: of the kind of mistake.
        message: for the user.
        exit_status: of the launcher.
    """

    def __init__(self, id: str, message: str, exit_status: int):
        super().__init__(id, message)
        self.exit_status = exit_status


class Ending(NamedTuple):
    """How a worker has ended.

    Attributes:
        worker: the first to end so.
        status: its exit status, or less a signal; None of one that is silent.
        seconds: for which that one has said nothing.
    """

    worker: Worker
    status: int | None
    seconds: float = 0.0

    @property
    def signal_number(self) -> int:
        """Of the signal that ended it, which a shell tells by 128 and its number; 0 for none."""
        status = self.status or 0
        number = -status if status < 0 else status - 128 if 128 < status < _OF_SSH else 0
        return number if number in signal.valid_signals() else 0

    @property
    def kind(self) -> Kind:
        """What it means."""
        if self.signal_number in _STOPPING:
            return "stopped"
        known = {0: "finished", _LOST: "lost"} | dict.fromkeys(_REFUSED, "refused")
        return known.get(self.status, "died")

    @property
    def exit_status(self) -> int:
        """As a shell has it."""
        return 128 + self.signal_number if self.signal_number else self.status or _LOST

    def __str__(self) -> str:
        """`"worker 1 (host b) was killed by SIGKILL"`."""
        if self.status is None:
            return f"{self.worker} has said nothing for {self.seconds:.0f} s"
        if number := self.signal_number:
            how = "was stopped" if self.kind == "stopped" else "was killed"
            return f"{self.worker} {how} by {signal.Signals(number).name}"
        why = ", as ssh ends without the host, or when a signal kills the program there"
        is_of_ssh = self.status == _OF_SSH and bool(self.worker.host)
        return f"{self.worker} ended with status {self.status}{why * is_of_ssh}"

    @property
    def last_lines(self) -> str:
        """The end of what it said; of one that refused its command that is a line."""
        lines = self.worker.last_lines
        if self.kind == "refused":
            return f"its last line: {lines.rpartition(' | ')[2]}"
        return f"its last lines: {lines}" if lines else "it wrote nothing to stderr"

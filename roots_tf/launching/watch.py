"""Watches the workers of a run, and starts all of them again when one has died.

TensorFlow's workers make each step together, and one that lost another cannot go on: all end, and
all start again from the last checkpoint.
"""

import contextlib
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from absl import logging

from roots_tf import program
from roots_tf.launching.endings import EndedError, Ending
from roots_tf.launching.told import Told
from roots_tf.launching.worker import Worker

_EVERY = 0.1  # seconds between two looks
_LONGEST_WAIT = 60.0  # seconds before a restart
# Seconds that the others have to end by themselves, where one has ended so: after the same step;
# with the same mistake; with what the one that died has died of.
_PATIENCE = {"stopped": 60.0, "refused": 5.0, "lost": 12.0}
_QUIET = 11.0  # seconds in which two beats have not come


class Group(NamedTuple):
    """Processes that were started together.

    Attributes:
        workers: which make the run; it is finished when all of them are.
        helpers: which serve them until then; when one dies, all start again, unless
        renew: takes it and gives another in its place, or None.
    """

    workers: list[Worker]
    helpers: list[Worker] = []  # noqa: RUF012
    renew: Callable[[Worker], Worker | None] = lambda helper: None


class Limits(NamedTuple):
    """When a run is given up.

    Attributes:
        max_restarts: in a row without anything newly saved.
        dead_after: seconds of silence after which a worker counts as dead; 0: never.
    """

    max_restarts: int
    dead_after: float


class _Signals:
    """Remembers the first signal while entered; a second one ends all at once."""

    def __init__(self):
        self.received = 0

    def __enter__(self):
        def remember(number, _):
            if self.received:
                raise program.Stopped(number)
            self.received = number

        self._before = {
            number: signal.signal(number, remember)
            for number in (signal.SIGINT, *program.SIGNALS)
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)


def run(start: Callable[[], Group], limits: Limits) -> None:
    """Runs to the end; call it in the main thread, which receives signals.

    Args:
        start: starts all processes.
        limits: when to give up.

    Raises:
        EndedError: a worker refused its command or was stopped, or too many died in a row.
        Stopped: a second signal came, and all were killed.
    """
    in_a_row = 0
    with _Signals() as signals:
        while not signals.received:
            group = start()
            try:
                ending = _watch(group, signals, limits)
            finally:
                for worker in (*group.workers, *group.helpers):
                    worker.kill()
            if ending is None:
                return
            in_a_row = 0 if _saves(group) else in_a_row
            _refuse(ending, in_a_row, limits, signals.received)
            in_a_row += 1
            _wait(ending, in_a_row, limits, signals)
        number = signals.received
        raise EndedError("stopped", f"stopped by {_name(number)} between two starts", 128 + number)


def _watch(group: Group, signals: _Signals, limits: Limits) -> Ending | None:
    """How the first worker that failed has ended; None where all have finished."""
    told, handed_on = Told(limits.dead_after), 0
    while True:
        if signals.received and not handed_on:
            handed_on = signals.received
            logging.info("%s is handed on to all workers", _name(handed_on))
            for worker in group.workers:
                worker.tell(handed_on)
        endings = [Ending(worker, worker.status) for worker in group.workers]
        if any(ending.status for ending in endings):
            return _first(group)
        if all(ending.status == 0 for ending in endings):
            return None
        for place, helper in enumerate(group.helpers):
            if helper.status is not None:
                renewed = group.renew(helper)
                if renewed is None:
                    return Ending(helper, helper.status or 1)
                logging.warning("%s: another takes its place", Ending(helper, helper.status))
                group.helpers[place] = renewed
        if dead := told.look([*group.workers, *group.helpers], time.monotonic()):
            return Ending(dead, None, time.monotonic() - dead.heard)
        time.sleep(_EVERY)


def _first(group: Group) -> Ending:
    """The ending that the others follow from, once they had time to end too."""
    began = time.monotonic()
    while True:
        failed = [Ending(worker, worker.status) for worker in group.workers if worker.status]
        order = ["died", "refused", "stopped", "lost"]
        ending = min(failed, key=lambda ending: order.index(ending.kind))
        patience = _PATIENCE.get(ending.kind, 0.0)
        are_over = all(worker.status is not None for worker in group.workers)
        if are_over or time.monotonic() - began >= patience:
            break
        time.sleep(_EVERY)
    for worker in group.workers if ending.kind == "lost" else ():
        seconds = time.monotonic() - worker.heard
        if worker.status is None and seconds >= _QUIET:
            return Ending(worker, None, seconds)  # the one that was lost
    return ending


def _saves(group: Group) -> int:
    return sum(int(worker.facts.get("saves", 0)) for worker in group.workers)


def _refuse(ending: Ending, in_a_row: int, limits: Limits, received: int) -> None:
    """Ends the run where another start is of no use, or is not wanted."""
    if ending.kind == "stopped":
        status = 128 + received if received else ending.exit_status
        raise EndedError("stopped", f"{ending}; run the same command again to go on", status)
    if ending.kind == "refused":
        raise EndedError(
            "step-failed",
            f"{ending}, as it would again; {ending.last_lines}",
            ending.exit_status,
        )
    if received:
        text = f"{ending} while {_name(received)} was to stop it; {ending.last_lines}"
        raise EndedError("worker-lost", text, 4)
    if in_a_row >= limits.max_restarts:
        since = f", after {in_a_row} restarts in which nothing was saved" if in_a_row else ""
        raise EndedError("worker-lost", f"{ending}{since}; {ending.last_lines}", 4)


def _wait(ending: Ending, in_a_row: int, limits: Limits, signals: _Signals) -> None:
    seconds = min(2.0 ** (in_a_row - 1), _LONGEST_WAIT)
    logging.warning(
        "%s: all start again in %.0f s from what is saved (restart %d of %d without progress); %s",
        *(ending, seconds, in_a_row, limits.max_restarts, ending.last_lines),
    )
    began = time.monotonic()
    with contextlib.suppress(InterruptedError):
        while time.monotonic() - began < seconds and not signals.received:
            time.sleep(_EVERY)


def _name(number: int) -> str:
    return signal.Signals(number).name

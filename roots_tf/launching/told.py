"""Who is silent and who is slow, from what workers tell."""

import collections
import statistics
from collections.abc import Sequence

from absl import logging

from roots_tf.launching.worker import Worker

SILENT = 30.0  # seconds without a line or a beat, of which one comes every five
SLOW = 1.5  # times what the others take
_SHARE = 0.1  # of a step that the others wait for a slow one at least
_SECONDS = 20.0  # of steps that are compared


class Told:
    """What was said of workers under way, so that it is said once.

    Args:
        dead_after: seconds of silence after which a worker counts as dead; 0: never.
    """

    def __init__(self, dead_after: float):
        self._dead_after = dead_after
        self._silent: set[Worker] = set()
        self._slow: set[Worker] = set()
        # Of each worker: when, and how many steps and seconds of its own it had told by then.
        self._beats: dict[Worker, collections.deque] = collections.defaultdict(collections.deque)

    def look(self, workers: Sequence[Worker], now: float) -> Worker | None:
        """Says what is new; gives a worker that counts as dead.

        Args:
            workers: under way.
            now: in seconds, as `time.monotonic` has them.
        """
        dead = None
        for worker in workers:
            seconds = now - worker.heard
            if worker.status is not None:
                continue
            if seconds >= SILENT and worker not in self._silent:
                self._silent.add(worker)
                at = f"; it was at step {worker.facts['step']:,}" if "step" in worker.facts else ""
                logging.warning("%s has said nothing for %.0f s%s", worker, seconds, at)
            elif seconds < SILENT and worker in self._silent:
                self._silent.discard(worker)
                logging.warning("%s speaks again", worker)
            if 0 < self._dead_after <= seconds:
                dead = worker
        own = {worker: self._own_seconds(worker, now) for worker in workers}
        self._tell_slow({worker: seconds for worker, seconds in own.items() if seconds})
        return dead

    def _tell_slow(self, own: dict[Worker, tuple[float, float]]) -> None:
        for worker, (seconds, step) in own.items() if len(own) > 1 else ():
            others = statistics.median(own[other][0] for other in own if other is not worker)
            is_slow = seconds > SLOW * others and seconds - others > _SHARE * step
            if is_slow and worker not in self._slow:
                logging.warning(
                    "%s is slow: its part of a step takes %.3g s, where the others take %.3g s and "
                    "wait for it",
                    *(worker, seconds, others),
                )
            (self._slow.add if is_slow else self._slow.discard)(worker)

    def _own_seconds(self, worker: Worker, now: float) -> tuple[float, float] | None:
        """Seconds of a step that a worker itself took lately, and seconds of a step in all.

        None until enough is known.
        """
        beats, facts = self._beats[worker], worker.facts
        if "own" not in facts:
            return None
        if not beats or beats[-1][1] != facts["steps"]:
            beats.append((now, facts["steps"], facts["own"]))
        while len(beats) > 2 and now - beats[1][0] >= _SECONDS:
            beats.popleft()
        (before, steps, own), (after, more_steps, more_own) = beats[0], beats[-1]
        if after - before < _SECONDS / 2 or more_steps <= steps:
            return None
        done = more_steps - steps
        return (more_own - own) / done, (after - before) / done

"""What is logged is limited by rate: clients must not be able to fill a disk."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

RECORDS, SECONDS = 20, 10.0


class RateLimit(logging.Filter):
    """Lets so many records pass in a stretch of time; the next then says how many did not.

    Args:
        records: that pass.
        seconds: of the stretch.
        clock: gives seconds.
    """

    def __init__(self, records: int, seconds: float, clock: Callable[[], float] = time.monotonic):
        super().__init__()
        self._records, self._seconds, self._clock = records, seconds, clock
        self._began, self._passed, self._left_out = clock(), 0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record passes."""
        now = self._clock()
        if now - self._began >= self._seconds:
            self._began, self._passed = now, 0
        if self._passed >= self._records:
            self._left_out += 1
            return False
        if self._left_out:
            record.msg = f"({self._left_out} lines were left out) {record.getMessage()}"
            record.args, self._left_out = (), 0
        self._passed += 1
        return True


@contextlib.contextmanager
def limited(records: int = RECORDS, seconds: float = SECONDS) -> Iterator[None]:
    """Limits what all loggers write, whichever package they are of.

    Args:
        records: that pass in so many seconds.
        seconds: of each stretch.
    """
    limit, handlers = RateLimit(records, seconds), list(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(limit)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(limit)

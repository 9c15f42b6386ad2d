"""What requests and answers may take, all together: memory, and places."""

import contextlib
from collections.abc import Iterator

from roots_tf.serving.rest import ApiError


class Share:
    """What one request has of the budget, in bytes.

    Args:
        budget: that it is of.
    """

    def __init__(self, budget: "Budget"):
        self._budget, self.size = budget, 0

    def resize(self, size: int) -> None:
        """Takes more, or gives back.

        Args:
            size: bytes from now on.

        Raises:
            ApiError: 503, others have what is missing; 413, all of it would not do.
        """
        budget, more = self._budget, size - self.size
        if size > budget.limit:
            raise ApiError(
                "request-too-large",
                f"found a request that takes {size} bytes of memory; wanted at most "
                f"{budget.limit}: send fewer rows",
            )
        if more > budget.limit - budget.used:
            raise ApiError(
                "server-busy",
                f"found {budget.used} of {budget.limit} bytes in use by requests; wanted room for "
                f"{more}: try again later",
            )
        budget.used += more
        self.size = size


class Budget:
    """A number of bytes that requests share; used by one thread.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int):
        self.limit, self.used = limit, 0

    @contextlib.contextmanager
    def share(self) -> Iterator[Share]:
        """A share of no bytes, which is given back in the end whatever its size is then."""
        share = Share(self)
        try:
            yield share
        finally:
            self.used -= share.size


class Places:
    """A number of places, each for one request; used by one thread.

    Args:
        limit: places.
    """

    def __init__(self, limit: int):
        self.limit, self.used = limit, 0

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """A place, which is given back in the end.

        Raises:
            ApiError: 503, there is none.
        """
        if self.used >= self.limit:
            raise ApiError(
                "server-busy",
                f"found {self.used} texts in the making; wanted fewer: try again later",
            )
        self.used += 1
        try:
            yield
        finally:
            self.used -= 1

"""Requests that wait at the same time are computed together, in one thread."""

import asyncio
import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Hashable

import numpy as np
from absl import logging

from roots_tf.serving.rest import ApiError, Call

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(eq=False)
class _Part:
    """A call that waits; those of equal keys may be computed together."""

    key: Hashable
    signature: str
    inputs: Arrays
    rows: int
    arrived: float
    answer: asyncio.Future


class RequestBatcher:
    """Computes calls in batches, the oldest first.

    A call is computed as soon as the thread is free, together with those that have come meanwhile.
    Where the last batch held several calls, as many are likely on their way, and the next waits
    for them for `batch_timeout`; a client that is alone is never kept waiting.

    Args:
        compute: gives the outputs of a signature's name and its inputs; runs in the thread.
        max_batch_size: rows of several calls computed at once; a call with more is computed alone.
        batch_timeout: seconds that a call waits for others at most, from its arrival.
        max_queue: rows that may wait.
        on_batch: called with the number of rows of every batch.
    """

    def __init__(
        self,
        compute: Callable[[str, Arrays], Arrays],
        max_batch_size: int,
        batch_timeout: float,
        max_queue: int,
        on_batch: Callable[[int], None] = lambda rows: None,
    ):
        self._compute, self._on_batch = compute, on_batch
        self._max_batch_size, self._batch_timeout = max_batch_size, batch_timeout
        self._max_queue = max_queue
        self._queue: collections.deque[_Part] = collections.deque()
        self._arrival = asyncio.Event()
        self.waiting = 0  # rows
        self.thread = concurrent.futures.ThreadPoolExecutor(1, "compute")

    async def submit(self, call: Call) -> Arrays:
        """The outputs of a call.

        Where an output's other axes depend on the rows computed together, as those of token outputs
        do, they are as long as the longest.

        Raises:
            ApiError: 503, too many rows wait; 400, more than may ever wait; what `compute` raises.
        """
        part = self._part(call)
        if part.rows > self._max_queue:
            raise ApiError(
                400, f"found {part.rows} rows; wanted at most {self._max_queue} in a request"
            )
        if part.rows + self.waiting > self._max_queue:
            raise ApiError(
                503,
                f"found {self.waiting} rows waiting; wanted room for {part.rows}: try again later",
            )
        self._queue.append(part)
        self.waiting += part.rows
        self._arrival.set()
        return await part.answer

    async def run(self) -> None:
        """Computes what is submitted, until it is cancelled."""
        loop = asyncio.get_running_loop()
        company = 1  # parts of the last batch
        while True:
            self._arrival.clear()
            if not self._queue:
                await self._arrival.wait()
            await self._wait_for(company)
            batch = self._take()
            company = len(batch)
            self._on_batch(sum(part.rows for part in batch))
            outcomes = await loop.run_in_executor(self.thread, self._outcomes, batch)
            for part, outcome in zip(batch, outcomes, strict=True):
                if part.answer.cancelled():
                    continue
                if isinstance(outcome, ApiError):
                    part.answer.set_exception(outcome)
                else:
                    part.answer.set_result(outcome)

    def _part(self, call: Call) -> _Part:
        """What waits for a call."""
        loop = asyncio.get_running_loop()
        # A call that is not known to have rows is like no other, and computed alone.
        key = object()
        if call.rows is not None:
            key = call.signature, tuple(array.shape[1:] for array in call.inputs.values())
        future = loop.create_future()
        return _Part(key, call.signature, call.inputs, call.rows or 1, loop.time(), future)

    async def _wait_for(self, company: int) -> None:
        """Returns when the first part has as much company as the last batch, or has waited."""
        while company > 1:
            left = self._queue[0].arrived + self._batch_timeout - asyncio.get_running_loop().time()
            found = [part for part in self._queue if part.key == self._queue[0].key]
            rows = sum(part.rows for part in found)
            if left <= 0 or len(found) >= company or rows >= self._max_batch_size:
                return
            self._arrival.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._arrival.wait()

    def _take(self) -> list[_Part]:
        """Removes the oldest part from the queue, and those that can be computed with it."""
        batch, rest, rows = [], [], 0
        for part in self._queue:
            fits = not batch or rows + part.rows <= self._max_batch_size
            if fits and part.key == self._queue[0].key:
                batch.append(part)
                rows += part.rows
            else:
                rest.append(part)
        self._queue = collections.deque(rest)
        self.waiting -= rows
        return batch

    def _outcomes(self, batch: list[_Part]) -> list[Arrays | ApiError]:
        """Outputs or error of each part, in the thread."""
        if len(batch) > 1:
            together = self._together(batch)
            # A part that is refused, or a model whose outputs are no rows, must not touch the rest.
            return together or [self._alone(part) for part in batch]
        return [self._alone(batch[0])]

    def _together(self, batch: list[_Part]) -> list[Arrays] | None:
        """Outputs of each part; None if they are not to be had together."""
        inputs = {
            name: np.concatenate([part.inputs[name] for part in batch]) for name in batch[0].inputs
        }
        try:
            outputs = self._compute(batch[0].signature, inputs)
        except Exception:  # what it is will be seen, and told, when each is computed alone
            return None
        ends = list(itertools.accumulate(part.rows for part in batch))
        if any(array.shape[:1] != (ends[-1],) for array in outputs.values()):
            return None
        starts = [0, *ends[:-1]]
        return [
            {name: array[start:end] for name, array in outputs.items()}
            for start, end in zip(starts, ends, strict=True)
        ]

    def _alone(self, part: _Part) -> Arrays | ApiError:
        """Outputs or error of one part."""
        try:
            return self._compute(part.signature, part.inputs)
        except ApiError as error:
            return error
        except Exception:
            logging.exception("the signature %s failed", part.signature)
            return ApiError(500, "the model failed; the server's log tells more")

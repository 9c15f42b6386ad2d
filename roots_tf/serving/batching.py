"""Requests that wait at the same time are computed together, in one thread."""

import asyncio
import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import sys
from collections.abc import Callable, Hashable

import numpy as np
from absl import logging

from roots_tf.serving import answers
from roots_tf.serving.rest import ApiError, Call

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(eq=False)
class _Part:
    """A call that waits; those of equal keys may be computed together."""

    key: Hashable
    signature: str
    inputs: Arrays
    rows: int
    row_bytes: int  # of the answer, at most
    is_tried: bool  # whether one row is computed first, to see how large the others will be
    arrived: float
    answer: asyncio.Future


class RequestBatcher:
    """Computes calls in batches, the oldest first.

    A call is computed as soon as the thread is free, together with those that arrived meanwhile. If
    the last batch held several calls, the next batch waits up to `batch_timeout` until it holds as
    many; a single client therefore never waits.

    Args:
        compute: gives the outputs of a signature's name and its inputs; runs in the thread.
        max_batch_size: rows of several calls computed at once; a call with more is computed alone.
        batch_timeout: seconds that a call waits for others at most, from its arrival.
        max_queue: rows that may wait.
        on_batch: called with the number of rows of every batch.
        max_answer_bytes: of JSON that the answer to a call may have, and those to a batch together
            as far as it is known before.
    """

    def __init__(
        self,
        compute: Callable[[str, Arrays], Arrays],
        max_batch_size: int,
        batch_timeout: float,
        max_queue: int,
        on_batch: Callable[[int], None] = lambda rows: None,
        max_answer_bytes: int = sys.maxsize,
    ):
        self._compute, self._on_batch = compute, on_batch
        self._max_batch_size, self._batch_timeout = max_batch_size, batch_timeout
        self._max_queue, self._max_answer_bytes = max_queue, max_answer_bytes
        self._queue: collections.deque[_Part] = collections.deque()
        self._arrival = asyncio.Event()
        self.waiting = 0  # rows
        self.thread = concurrent.futures.ThreadPoolExecutor(1, "compute")

    async def submit(self, call: Call) -> Arrays:
        """The outputs of a call.

        Axes that depend on the rows computed together, such as the tokens of a text, are as long as
        in the longest row.

        Raises:
            ApiError: 503, too many rows wait; 400, more than may ever wait; 413, the answer is too
                large; what `compute` raises.
        """
        part = self._part(call)
        if part.rows > self._max_queue:
            raise ApiError(
                "wrong-request",
                f"found {part.rows} rows; wanted at most {self._max_queue} in a request",
            )
        if part.rows + self.waiting > self._max_queue:
            raise ApiError(
                "server-busy",
                f"found {self.waiting} rows waiting; wanted room for {part.rows}: try again later",
            )
        self._queue.append(part)
        self.waiting += part.rows
        self._arrival.set()
        return await part.answer

    async def run(self) -> None:
        """Computes submitted calls until it is cancelled."""
        loop = asyncio.get_running_loop()
        last_parts = 1  # of the last batch
        while True:
            self._arrival.clear()
            if not self._queue:
                await self._arrival.wait()
            await self._wait_for(last_parts)
            batch = self._take()
            last_parts = len(batch)
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
        rows, fits = call.rows or 1, call.answer_bytes <= self._max_answer_bytes
        # A call whose inputs are not rows of a batch has a key of its own and is computed alone; so
        # has one whose answer may be too large.
        key = object()
        if call.rows is not None and fits:
            key = call.signature, tuple(array.shape[1:] for array in call.inputs.values())
        return _Part(
            *(key, call.signature, call.inputs, rows, call.answer_bytes // rows),
            is_tried=rows > 1 and not fits,
            arrived=loop.time(),
            answer=loop.create_future(),
        )

    async def _wait_for(self, parts: int) -> None:
        """Returns when that many parts can be computed together, or the first has waited enough."""
        while parts > 1:
            left = self._queue[0].arrived + self._batch_timeout - asyncio.get_running_loop().time()
            together = [part for part in self._queue if part.key == self._queue[0].key]
            rows = sum(part.rows for part in together)
            if left <= 0 or len(together) >= parts or rows >= self._max_batch_size:
                return
            self._arrival.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._arrival.wait()

    def _take(self) -> list[_Part]:
        """Removes the oldest part from the queue, and those that can be computed with it."""
        batch, rest, rows, row_bytes = [], [], 0, 0
        for part in self._queue:
            together, widest = rows + part.rows, max(row_bytes, part.row_bytes)
            fits = together <= self._max_batch_size and together * widest <= self._max_answer_bytes
            if not batch or (fits and part.key == self._queue[0].key):
                batch.append(part)
                rows, row_bytes = together, widest
            else:
                rest.append(part)
        self._queue = collections.deque(rest)
        self.waiting -= rows
        return batch

    def _outcomes(self, batch: list[_Part]) -> list[Arrays | ApiError]:
        """Outputs or error of each part, in the thread."""
        if len(batch) > 1:
            together = self._together(batch) or [None] * len(batch)
            # A part that fails, or outputs that are not rows, must not affect the other parts; nor
            # must a long row, to which the rows of others are padded.
            return [
                self._alone(part) if outputs is None else outputs
                for part, outputs in zip(batch, together, strict=True)
            ]
        return [self._alone(batch[0])]

    def _together(self, batch: list[_Part]) -> list[Arrays | None] | None:
        """Outputs of each part, None of one whose are too large; None if they are no rows."""
        inputs = {
            name: np.concatenate([part.inputs[name] for part in batch]) for name in batch[0].inputs
        }
        try:
            outputs = self._compute(batch[0].signature, inputs)
        except Exception:  # reported when each part is computed alone
            return None
        ends = list(itertools.accumulate(part.rows for part in batch))
        if any(array.shape[:1] != (ends[-1],) for array in outputs.values()):
            return None
        starts = [0, *ends[:-1]]
        parts = [
            {name: array[start:end] for name, array in outputs.items()}
            for start, end in zip(starts, ends, strict=True)
        ]
        return [part if self._fits(part) else None for part in parts]

    def _fits(self, outputs: Arrays) -> bool:
        """Whether outputs are not too large for an answer."""
        try:
            answers.check(outputs, self._max_answer_bytes)
        except ApiError:
            return False
        return True

    def _alone(self, part: _Part) -> Arrays | ApiError:
        """Outputs or error of one part."""
        try:
            if part.is_tried:
                one = self._compute(part.signature, _largest_row(part.inputs))
                answers.check(one, self._max_answer_bytes, part.rows)
            outputs = self._compute(part.signature, part.inputs)
            answers.check(outputs, self._max_answer_bytes)
            return outputs
        except ApiError as error:
            return error
        except Exception:
            logging.exception("the signature %s failed", part.signature)
            return ApiError("server-failed", "the model failed; the server's log says more")


def _largest_row(inputs: Arrays) -> Arrays:
    """The row with the longest strings."""
    sizes = np.zeros(len(next(iter(inputs.values()))), np.int64)
    for array in inputs.values():
        if array.dtype == object:
            sizes += [sum(map(len, row.flat)) for row in array.reshape(len(array), -1)]
    row = sizes.argmax()
    return {name: array[row : row + 1] for name, array in inputs.items()}

"""Calls that wait together are computed together, and no answer depends on its neighbours."""

import asyncio
import threading

import numpy as np
import pytest

from roots_tf.serving.batching import RequestBatcher
from roots_tf.serving.rest import ApiError, Call


class Double:
    """Doubles numbers; can be held, so that calls gather. Refuses negative ones."""

    def __init__(self):
        self.batches, self.begun, self.free = [], threading.Event(), threading.Event()
        self.free.set()

    def __call__(self, signature, inputs):
        self.begun.set()
        self.free.wait(60)
        x = inputs["x"]
        self.batches.append(len(x))
        if signature == "bug":
            raise RuntimeError("a bug")
        if (x < 0).any():
            raise ApiError("wrong-request", "negative")
        if signature == "wide":  # as wide as the largest number of the batch
            return {"y": np.repeat(x[:, None], int(x.max()), 1)}
        return {"y": x.repeat(2) if signature == "flat" else 2 * x}


def call(*numbers, signature="double", rows=True) -> Call:
    x = np.array(numbers)
    return Call(signature, {"x": x}, len(x) if rows else None, True)


async def answer_all(batcher, compute, calls) -> list:
    """Outcomes of calls, where all but the first are submitted while that is being computed."""
    compute.begun.clear()
    compute.free.clear()
    first = asyncio.create_task(batcher.submit(calls[0]))
    await asyncio.to_thread(compute.begun.wait, 60)
    rest = [asyncio.create_task(batcher.submit(c)) for c in calls[1:]]
    await asyncio.sleep(0)  # each is submitted
    compute.free.set()
    return await asyncio.gather(first, *rest, return_exceptions=True)


def answers(calls, compute=None, **options) -> list:
    """Numbers or error of each call."""
    compute = compute or Double()
    options = {"max_batch_size": 4, "batch_timeout": 0.0, "max_queue": 100} | options

    async def run():
        batcher = RequestBatcher(compute, **options)
        worker = asyncio.create_task(batcher.run())
        outcomes = await answer_all(batcher, compute, calls)
        worker.cancel()
        assert batcher.waiting == 0
        return [o if isinstance(o, Exception) else o["y"].tolist() for o in outcomes]

    return asyncio.run(run())


def test_calls_that_gather_are_computed_together():
    compute = Double()
    found = answers([call(0), call(1), call(2), call(3), call(4), call(5)], compute)
    assert found == [[0], [2], [4], [6], [8], [10]]
    assert compute.batches == [1, 4, 1]


def test_a_batch_holds_whole_calls_in_their_order():
    compute = Double()
    found = answers([call(0), call(1, 1, 1), call(2, 2), call(3), call(4)], compute)
    assert found == [[0], [2, 2, 2], [4, 4], [6], [8]]
    assert compute.batches == [1, 4, 3]  # 1 1 1 and 3; then 2 2 and 4


def test_a_large_call_is_computed_alone():
    compute = Double()
    found = answers([call(0), call(1), call(*range(10)), call(2)], compute)
    assert found == [[0], [2], list(range(0, 20, 2)), [4]]
    assert compute.batches == [1, 2, 10]  # 1 and 2; then the ten


def test_only_like_calls_are_computed_together():
    compute = Double()
    calls = [call(0), call(1), call(2, signature="other"), call(3, rows=False), call(4)]
    assert answers(calls, compute) == [[0], [2], [4], [6], [8]]
    assert compute.batches == [1, 2, 1, 1]


def test_a_refused_call_does_not_touch_its_neighbours():
    compute = Double()
    first, bad, good = answers([call(0), call(-1), call(2)], compute)
    assert (first, good) == ([0], [4])
    assert isinstance(bad, ApiError) and bad.status == 400
    assert compute.batches == [1, 2, 1, 1]


def test_outputs_that_are_no_rows_are_not_mixed():
    calls = [call(0), call(1, signature="flat"), call(2, signature="flat")]
    assert answers(calls) == [[0], [1, 1], [2, 2]]


def test_a_bug_is_an_error_of_the_server_and_not_its_end():
    first, bug, after = answers([call(0), call(1, signature="bug"), call(2)])
    assert (first, after) == ([0], [4])
    assert isinstance(bug, ApiError) and bug.status == 500 and "a bug" not in bug.message


def test_beyond_the_queue_calls_are_refused():
    found = answers([call(i) for i in range(8)], max_queue=5)
    assert found[:6] == [[0], [2], [4], [6], [8], [10]]
    assert [error.status for error in found[6:]] == [503, 503]
    assert "5 rows waiting; wanted room for 1: try again later" in found[6].message
    _, refused = answers([call(0), call(*range(6))], max_queue=5)
    assert isinstance(refused, ApiError) and refused.status == 400


@pytest.mark.parametrize("timeout", [0.0, 600.0])
def test_a_call_waits_for_company_only_where_the_last_batch_had_some(timeout):
    """With ten minutes of patience, this ends only if no call waits in vain."""
    compute = Double()

    async def run():
        batcher = RequestBatcher(compute, 4, timeout, 100)
        worker = asyncio.create_task(batcher.run())
        for i in range(3):  # alone, one after another
            assert (await batcher.submit(call(i)))["y"].tolist() == [2 * i]
        await answer_all(batcher, compute, [call(0), call(1), call(2)])
        one = asyncio.create_task(batcher.submit(call(3)))
        if not timeout:
            await one
        await asyncio.sleep(0.05)
        assert one.done() == (not timeout)  # the last batch was of two: it waits for a second
        await asyncio.gather(one, batcher.submit(call(4)))
        worker.cancel()

    asyncio.run(asyncio.wait_for(run(), 120))
    assert compute.batches == [1, 1, 1, 1, 2] + ([2] if timeout else [1, 1])

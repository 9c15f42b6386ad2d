"""Answers have a bound, and all that is in progress has one, by real sockets."""

import asyncio
import json

from tests.serving.fake import Client, ask, post, run, serving, until


def test_a_large_answer_is_the_same_as_a_small_one():
    async def test():
        async with serving() as served:
            status, headers, body = await ask(served, ["a" * 500] * 20, "tokens")
            assert (status, headers["content-type"]) == (200, "application/json")
            assert json.loads(body) == {"predictions": [[[1.0] * 10] * 500] * 20}
            assert len(body) > 2**16

    run(test())


def test_an_answer_too_large_is_refused_before_it_is_computed():
    async def test():
        async with serving(max_answer_bytes=100_000) as served:
            assert (await ask(served, ["a"] * 5, "known"))[0] == 200
            status, _, body = await ask(served, ["a"] * 6, "known")
            assert status == 413
            message = json.loads(body)["error"]
            assert "wanted at most 100000: send fewer rows" in message
            assert "--max_answer_bytes" in message
            assert served.model.rows == [5]

    run(test())


def test_of_a_shape_that_is_not_known_one_row_is_computed_first():
    async def test():
        async with serving(max_answer_bytes=100_000) as served:
            texts = ["a", "a" * 100, *["b"] * 10]
            assert (await ask(served, texts, "tokens"))[0] == 413
            assert served.model.rows == [1]
            assert (await ask(served, texts[:5], "tokens"))[0] == 200
            assert (await ask(served, ["a" * 700], "tokens"))[0] == 413
            assert served.model.rows[1:] == [5, 1]

    run(test())


def test_a_neighbour_does_not_make_an_answer_too_large():
    """Computed together, forty rows of one byte would be padded to five hundred."""

    async def test():
        async with serving(max_answer_bytes=150_000, batch_timeout=0.0) as served:
            served.model.free.clear()
            first = await Client.open(served, post(["a"], "slow"))
            await until(lambda: served.count("WORK"))
            asked = [
                asyncio.create_task(ask(served, texts, "tokens"))
                for texts in (["a"] * 40, ["b" * 500])
            ]
            await until(lambda: served.server._batcher.waiting == 41)
            served.model.free.set()
            assert [(await answer)[0] for answer in asked] == [200, 200]
            assert (await first.answer())[0] == 200

    run(test())


def test_what_memory_does_not_hold_is_sent_away_for_a_second():
    async def test():
        async with serving(max_answer_bytes=10**6, max_memory_bytes=2 * 10**6) as served:
            served.model.free.clear()
            first = await Client.open(served, post(["a"], "slow"))
            await until(lambda: served.count("WORK"))
            asked = [asyncio.create_task(ask(served, ["a"] * 50, "known")) for _ in range(6)]
            refused = await asyncio.wait_for(asyncio.gather(*asked[2:]), 10)
            assert served.server._budget.used <= 2 * 10**6
            served.model.free.set()
            assert (await first.answer())[0] == 200
            taken = await asyncio.gather(*asked[:2])
            found = sorted(status for status, _, _ in [*taken, *refused])
            assert found == [200, 503, 503, 503, 503, 503]
            _, headers, body = refused[0]
            assert headers["retry-after"] == "1"
            assert "of 2000000 bytes in use by requests; wanted room for" in body.decode()
            assert (await ask(served, ["a"] * 50, "known"))[0] == 200
            await until(lambda: served.server._budget.used == 0)

    run(test())


def test_other_requests_are_answered_while_a_large_answer_is_written():
    async def test():
        async with serving(max_body_bytes=10**6) as served:
            large = asyncio.create_task(ask(served, ["a" * 1000] * 200, "tokens"))  # 10 MB
            await until(lambda: served.model.rows)
            small = 0
            while not large.done():
                assert (await ask(served, ["a"]))[0] == 200
                small += not large.done()
            assert (await large)[0] == 200
            assert small > 10

    run(test())

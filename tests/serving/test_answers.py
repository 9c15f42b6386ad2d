"""Answers have a bound, and all that is in progress has one, by real sockets."""

import asyncio
import json

import numpy as np
import pytest

from roots_tf.serving import answers
from roots_tf.serving.rest import ApiError, Call, Signature
from tests.serving.fake import Client, ask, post, run, serving, spec, until


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


def outputs(generator, rows: int) -> dict[str, np.ndarray]:
    """Some outputs of different shapes and types."""
    made = {}
    for name in "abc"[: generator.integers(1, 4)]:
        shape = (rows, *generator.integers(0, 9, generator.integers(0, 3)))
        numbers = generator.normal(size=shape) * 10.0 ** generator.integers(-30, 8)
        texts = np.full(shape, 'ü "\n'.encode(), object)
        made[name] = (
            *(numbers.astype(np.float32), numbers, texts, numbers > 0),
            *(generator.integers(-(2**62), 2**62, shape), np.zeros(shape, np.uint8)),
        )[generator.integers(6)]
    return made


def listed(array: np.ndarray):
    if array.dtype == object:
        return (
            np.vectorize(bytes.decode, [object])(array).tolist() if array.size else array.tolist()
        )
    return answers._values(array, "")


@pytest.mark.parametrize("at_once", [1, 10, 2048])
@pytest.mark.parametrize("seed", range(20))
def test_answers_in_pieces_are_those_in_one(at_once, seed, monkeypatch):
    monkeypatch.setattr(answers, "VALUES_AT_ONCE", at_once)
    generator = np.random.default_rng(seed)
    made = outputs(generator, rows := int(generator.integers(1, 6)))
    columns = {name: listed(array) for name, array in made.items()}
    by_row = [{name: column[i] for name, column in columns.items()} for i in range(rows)]
    [*only] = columns.values()
    for key, several in (("predictions", by_row), ("outputs", columns)):
        wanted = json.dumps({key: several if len(only) > 1 else only[0]}, ensure_ascii=False)
        found = answers.write(made, key == "predictions")
        assert found.decode() == wanted
        if not any(array.dtype == object for array in made.values()):
            with pytest.raises(ApiError):  # the bound is one of what is written at most
                answers.check(made, len(found) - 1)
        with pytest.raises(ApiError) as caught:
            answers.write(made, key == "predictions", len(found) - 1)
        assert caught.value.status == 413


def test_what_an_answer_takes_is_told_by_the_signature():
    call = Call("", {"text": np.array([b"abc", b"abcdef"], object)}, 2, True)

    def expected(*shape, rows=True):
        signature = Signature({}, True, {"y": spec(np.float32, *shape)})
        return answers.expect(signature, call)

    vectors = expected(None, 1000)
    assert vectors.is_sure and 2 * 1000 * 17 < vectors.json_bytes < 2 * 1000 * 17 + 100
    tokens = expected(None, None, 1000)  # of six bytes, and two special ones
    assert not tokens.is_sure
    assert 2 * 8 * 1000 * 17 < tokens.json_bytes < 2 * 8 * 1000 * 17 + 200

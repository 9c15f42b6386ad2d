"""A causal model on its way out: exported, served by rows, and streamed token by token."""

import asyncio
import json
import re

import numpy as np
import pytest
import tensorflow as tf

from pipelines import export, generate
from roots_tf.generation import Settings
from roots_tf.serving import budget, rest, streaming
from roots_tf.serving.model import Model
from roots_tf.serving.rest import ApiError
from roots_tf.storage import files
from roots_tf.storage.files import InputError
from tests.generation import tiny
from tests.serving.fake import Client, run, serving, until

PROMPTS = ["She opened the", "He said", "Ü"]
PATH = "/v1/models/gpt:"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def exported(folder, tmp_path_factory):
    """The folder of versions; `export` has compared it with Python in a fresh process."""
    output = tmp_path_factory.mktemp("served") / "gpt"
    export.main(export.Config(model=str(folder), output=str(output), max_new_tokens=24))
    return output


@pytest.fixture(scope="module")
def model(exported):
    return Model(str(exported))


def in_python(folder, prompt, **settings):
    config = generate.Config(
        model=str(folder), prompt=prompt, seed=settings.pop("seed", 0), choose=Settings(**settings)
    )
    [answer] = generate.main(config)
    return answer


def asked(model, rows):
    body = json.dumps({"signature_name": "generate", "instances": rows}).encode()
    return rest.read(body, model.signatures, 10_000)


def test_rows_are_asked_each_in_its_own_way(model, folder):
    rows = [
        {"text": PROMPTS[0], "max_new_tokens": 9, "seed": 5},
        {"text": PROMPTS[1], "max_new_tokens": 5, "top_k": 1},
        {"text": PROMPTS[2], "max_new_tokens": 12, "temperature": 0.7, "top_p": 0.6, "seed": 2},
    ]
    outputs = model.compute("generate", asked(model, rows).inputs)
    for place, answer in enumerate([in_python(folder, PROMPTS[0], max_new_tokens=9, seed=5)]):
        assert outputs["text"][place].decode("utf-8", "replace") == answer["text"]
        assert outputs["tokens"][place] == len(answer["tokens"])
        assert outputs["log_probability"][place] == pytest.approx(
            answer["log_probability"], abs=1e-3
        )
    for place, row in enumerate(rows):  # alone as among others
        alone = model.compute("generate", asked(model, [row]).inputs)
        assert {name: array[0] for name, array in alone.items()} == {
            name: pytest.approx(array[place], rel=1e-4)
            if name == "log_probability"
            else array[place]
            for name, array in outputs.items()
        }


def test_what_is_left_out_is_as_usual(model):
    defaults = model.signatures["generate"].defaults
    usual = {"max_new_tokens": 24, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}
    assert defaults == usual  # 64 tokens, but for the most that was exported
    by_rows = asked(model, PROMPTS)
    by_columns = rest.read(
        json.dumps({"signature_name": "generate", "inputs": {"text": PROMPTS}}).encode(),
        model.signatures,
        1000,
    )
    for name, array in asked(model, [{"text": t} | defaults for t in PROMPTS]).inputs.items():
        np.testing.assert_array_equal(by_rows.inputs[name], array)
        np.testing.assert_array_equal(by_columns.inputs[name], array)
    answers = model.compute("serving_default", {"text": by_rows.inputs["text"]})
    assert answers["text"].tolist() == model.compute("generate", by_rows.inputs)["text"].tolist()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": ""}, r"found a prompt of\] \[0\] \[; wanted a text to continue"),
        ({"text": "x " * 60}, r"found a prompt of\] \[1\d\d\] \[; wanted fewer tokens than 48"),
        ({"text": "a", "temperature": 0.0}, r"temperature of\] \[0\] .* top_k of 1 takes"),
        ({"text": "a", "temperature": -1.0}, r"temperature of\] \[-1\]"),
        ({"text": "a", "temperature": float("nan")}, r"temperature of\] \[nan\]"),
        ({"text": "a", "top_p": 2.0}, r"top_p of\] \[2\] \[; wanted above 0, to 1"),
        ({"text": "a", "top_k": -1}, r"top_k of\] \[-1\]"),
        ({"text": "a", "max_new_tokens": 25}, r"max_new_tokens of\] \[25\] \[; wanted 1 to 24"),
    ],
)
def test_what_cannot_be_done_is_refused(model, row, message):
    for compute in (lambda i: model.compute("generate", i), model.begin):
        with pytest.raises(ApiError, match=message) as refused:
            compute(asked(model, [row]).inputs)
        assert refused.value.status == 400


def test_ids_give_the_log_probabilities_of_rows(model, folder):
    ids = np.array([[3, 40, 41, 42], [3, 50, 0, 0]], np.int32)
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], np.int32)
    outputs = model.compute("ids", {"token_ids": ids, "padding_mask": mask})
    one = model.compute("ids", {"token_ids": ids[:1, :3], "padding_mask": mask[:1, :3]})
    chances = tf.nn.log_softmax(one["logits"]).numpy()
    assert outputs["log_probabilities"][0, 3] == pytest.approx(chances[0, 42], abs=1e-5)
    assert outputs["log_probabilities"][1, 2:].tolist() == [0, 0]
    assert outputs["log_probabilities"][:, 0].tolist() == [0, 0]


def test_an_export_says_what_it_is(exported):
    version = exported / "1"
    assert files.read_json(version / "ops.json")["not_core_tensorflow"] == []
    card = (version / "README.md").read_text()
    assert 'pipeline_tag: "text-generation"' in card
    assert "continues texts" in card and "vector" not in card
    request = files.read_json(version / "requests" / "generate.json")
    assert [len(values) for values in request["inputs"].values()] == [2] * 6
    assert (version / "assets.extra" / "tf_serving_warmup_requests").exists()


def sent(body, accept="") -> bytes:
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {PATH}generate HTTP/1.1", "Host: a", f"Content-Length: {len(body)}"]
    lines += [f"Accept: {accept}"] if accept else []
    return "\r\n".join([*lines, "", ""]).encode() + body


async def streamed(served, body, accept="") -> list[dict]:
    """The events of a stream."""
    client = await Client.open(served, sent(body, accept))
    head = (await client.reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert "content-type: text/event-stream" in head, head
    assert "transfer-encoding: chunked" in head
    events = []
    while size := int(await client.reader.readuntil(b"\r\n"), 16):
        chunk = await client.reader.readexactly(size + 2)
        assert chunk.startswith(b"data: ") and chunk.endswith(b"\n\n\r\n")
        events.append(json.loads(chunk[6:]))
    client.writer.close()
    return events


def test_a_stream_is_the_text_that_python_gives(model, folder):
    wanted = in_python(folder, "He said", max_new_tokens=10, seed=4)
    stop = re.search("[a-zA-Z ]{2}", wanted["text"][1:])[0]  # no half of a character
    stopped = in_python(folder, "He said", max_new_tokens=10, seed=4, stop=(stop,))
    body = {"text": "He said", "max_new_tokens": 10, "seed": 4}

    async def test():
        async with serving(model, max_batch_size=2) as served:
            events = await streamed(served, body | {"stream": True})
            assert len(events) == 10
            assert all(set(event) == {"text"} for event in events[:-1])
            last = events[-1]
            assert "".join(event["text"] for event in events) == wanted["text"]
            assert (last["tokens"], last["ended"]) == (10, "max_new_tokens")
            assert last["log_probability"] == pytest.approx(wanted["log_probability"], abs=1e-3)
            events = await streamed(served, body | {"stop": stop}, "text/event-stream")
            assert "".join(event["text"] for event in events) == stopped["text"]
            assert (events[-1]["tokens"], events[-1]["ended"]) == (len(stopped["tokens"]), "stop")
            client = await Client.open(served, sent(body | {"stop": [stop, "zzz"]}))
            status, _, answer = await client.answer()
            assert (status, json.loads(answer)["text"]) == (200, stopped["text"])
            client.writer.close()
            many = await asyncio.gather(*(streamed(served, body | {"stream": True}) for _ in "ab"))
            assert ["".join(e["text"] for e in events) for events in many] == [wanted["text"]] * 2

    run(test())


MISTAKES = [
    (b"{", "found no JSON"),
    ({}, "found no 'text'"),
    ({"text": 3}, "found no 'text'"),
    ({"text": "a", "stop": [""]}, "another 'stop'"),
    ({"text": "a", "stop": 3}, "another 'stop'"),
    ({"text": "a", "stop": ["a"] * 17}, "found 17 stops"),
    ({"text": "a", "stop": "\ud800"}, "no Unicode"),
    ({"text": "a", "stream": 1}, "another 'stream'"),
    ({"text": "a", "heat": 1}, "wanted an object of"),
    ({"text": "a", "top_k": 1.5}, "top_k"),
    ({"text": "a", "temperature": 0.0, "stream": True}, "temperature"),
    ({"text": "", "stream": True}, "a prompt of"),
]


def test_a_mistake_is_answered_before_any_event(model):
    async def test():
        async with serving(model, max_batch_size=2) as served:
            for body, message in MISTAKES:
                client = await Client.open(served, sent(body))
                found, _, answer = await client.answer()
                assert found == 400, body
                assert message in json.loads(answer)["error"]
                assert served.server._budget.used == 0
                client.writer.close()

    run(test())


def test_a_client_that_goes_frees_its_place(model):
    body = {"text": "He said", "max_new_tokens": 24, "stream": True}

    async def test():
        async with serving(model, max_batch_size=2, max_streams=1) as served:
            gone = await Client.open(served, sent(body))
            await gone.reader.readuntil(b"data: ")
            busy = await Client.open(served, sent(body))
            status, headers, answer = await busy.answer()
            assert (status, headers["retry-after"]) == (503, "1")
            assert "texts in the making" in json.loads(answer)["error"]
            gone.writer.transport.abort()
            busy.writer.close()
            await until(lambda: served.server._budget.used == 0)
            assert len(await streamed(served, body)) == 24

    run(test())


def test_a_state_that_memory_has_no_room_for_is_not_made(model):
    share = budget.Share(budget.Budget(3 * model.state_bytes()))
    share.resize(1)
    request = streaming.read(b'{"text": "He said"}', model.signatures, 100)
    with pytest.raises(ApiError, match="takes .* bytes of memory") as refused:
        asyncio.run(anext(streaming.events(model, None, request, share)))
    assert refused.value.status == 413
    state = model.begin(request.inputs)
    assert sum(tensor.numpy().nbytes for tensor in state) <= model.state_bytes()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"pooling": "mean"}, "found --pooling and a causal_lm, which continues texts"),
        ({"format": "litert"}, "found --format=litert and a causal_lm"),
    ],
)
def test_flags_that_say_nothing_to_it_are_refused(folder, tmp_path, flags, message):
    output = tmp_path / "out"
    with pytest.raises(InputError, match=message):
        export.main(export.Config(model=str(folder), output=str(output), **flags))
    assert not output.exists()

"""Texts that are given token by token, as they are made.

    POST /v1/models/NAME:generate   {"text": "She opened the", "max_new_tokens": 20, "seed": 1}
        -> {"text": " door", "tokens": 2, "log_probability": -3.1, "ended": "end_of_text"}
    ... "stream": true, or Accept: text/event-stream
        -> data: {"text": " do"}
           data: {"text": "or"}
           data: {"text": "", "tokens": 2, "log_probability": -3.1, "ended": "end_of_text"}

Events are those of https://html.spec.whatwg.org/multipage/server-sent-events.html; one a token. The
model is a SavedModel with `begin` and `advance`, which `roots export` writes of a causal language
model: the state of a text goes out of the one and into the other, so that nothing of it stays in
the graph, and the texts of several clients are advanced by turns.
"""

import asyncio
import concurrent.futures
import dataclasses
import json
from collections.abc import AsyncIterator

import numpy as np

from roots_tf.serving import rest
from roots_tf.serving.budget import Share
from roots_tf.serving.rest import ApiError
from roots_tf.stops import Stops, Stream

SIGNATURE = "generate"  # whose inputs a request has; one row
MOST_STOPS = 16
# Bytes of memory that a byte of the state takes at most: before and behind a token, and a part
# more, where the caches of a layer are written anew.
STATE_FACTOR = 3


@dataclasses.dataclass(frozen=True)
class Request:
    """A text that is asked for.

    Args:
        inputs: of `begin`, an array of one row by name.
        stops: at which it ends.
        is_streamed: whether it is to be given as it comes.
    """

    inputs: dict[str, np.ndarray]
    stops: Stops
    is_streamed: bool


def read(body: bytes | bytearray, signatures: dict, max_text_bytes: int) -> Request:
    """The request in a body.

    Args:
        body: a JSON object: the inputs of the signature `generate`, those with a default if they
            differ from it, `stop`, a text or a list of them, and `stream`.
        signatures: those of the model.
        max_text_bytes: bytes of a text at most.

    Raises:
        ApiError: 400, whatever is wrong with it.
    """
    asked = rest.parse(body)
    stop, is_streamed = asked.pop("stop", []), asked.pop("stream", False)
    stop = [stop] if isinstance(stop, str) else stop
    if not isinstance(stop, list) or not all(isinstance(text, str) and text for text in stop):
        raise ApiError(
            "wrong-request", "found another 'stop'; wanted a text that is not empty, or a list"
        )
    if len(stop) > MOST_STOPS or sum(map(len, stop)) > max_text_bytes:
        raise ApiError(
            "wrong-request", f"found {len(stop)} stops; wanted at most {MOST_STOPS}, short ones"
        )
    if not isinstance(is_streamed, bool):
        raise ApiError("wrong-request", "found another 'stream'; wanted true or false")
    if not isinstance(asked.get("text"), str):
        raise ApiError("wrong-request", "found no 'text' to continue; wanted a text")
    call = rest.call_of_rows([asked], SIGNATURE, signatures[SIGNATURE], max_text_bytes)
    try:
        return Request(call.inputs, Stops(stop), is_streamed)
    except UnicodeEncodeError:
        raise ApiError(
            "wrong-request", "found a 'stop' that is no Unicode; wanted a text"
        ) from None


async def events(
    model, thread: concurrent.futures.Executor, request: Request, share: Share
) -> AsyncIterator[dict]:
    """Some characters a token, maybe none; and in the end how many there were, and why it ended.

    Args:
        model: a `Model` that `can_stream`.
        thread: in which models are computed.
        request: what is asked for.
        share: of the memory, which the state is taken from before it is made.

    Raises:
        ApiError: 503 or 413, there is no room; what `model.begin` raises.
    """
    loop = asyncio.get_running_loop()
    share.resize(share.size + STATE_FACTOR * model.state_bytes())
    state = await loop.run_in_executor(thread, model.begin, request.inputs)
    stream, ended, size = Stream(request.stops), "", 0
    while not ended:
        state, told = await loop.run_in_executor(thread, model.advance, state)
        text, ended = told["text"][0], told["ended"][0].decode()
        shown, size = stream.add(text[size:]), len(text)
        ended = "stop" if stream.has_ended else ended
        if not ended:
            yield {"text": shown}
    yield {
        "text": shown + stream.finish(),
        "tokens": int(told["tokens"][0]),
        "log_probability": round(float(told["log_probability"][0]), 4),
        "ended": ended,
    }


def event(value: dict) -> bytes:
    """An event as it is sent; JSON has no line feeds in it."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()

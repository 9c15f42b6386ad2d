"""Clients whose texts are made token by token: their requests, places and events over HTTP."""

import asyncio
import concurrent.futures
import contextlib

from absl import logging
from aiohttp import web

from roots_tf.serving import answers, bodies, streaming
from roots_tf.serving.budget import Places, Share
from roots_tf.serving.connections import State
from roots_tf.serving.metrics import Metrics
from roots_tf.serving.rest import ApiError


class Streams:
    """Answers requests for `:generate`.

    Args:
        model: the one that is served.
        thread: in which it is computed; texts are advanced by turns.
        limits: what clients may take, `server.Limits`.
        metrics: that count the answers.
    """

    def __init__(self, model, thread: concurrent.futures.Executor, limits, metrics: Metrics):
        self._model, self._thread, self._limits = model, thread, limits
        self._metrics, self._places = metrics, Places(limits.max_streams)

    async def answer(self, request: web.Request, share: Share) -> web.StreamResponse:
        """The answer: sent already where it is a stream of events.

        A client that goes away frees its place and its memory at the next token.

        Args:
            request: whose headers have come.
            share: of the memory.

        Raises:
            ApiError: whatever is wrong with it before the first token.
            ConnectionError: the client has gone.
            TimeoutError: it takes nothing.
        """
        if not self._model.can_stream:
            raise ApiError(
                "wrong-request",
                f"{self._model.name} gives no texts; wanted an exported causal_lm",
                404,
            )
        with self._places.one():
            asked = await self._asked(request, share)
            events = streaming.events(self._model, self._thread, asked, share)
            async with contextlib.aclosing(events):
                if asked.is_streamed or "text/event-stream" in request.headers.get("Accept", ""):
                    return await self._send(request, events)
                return web.json_response(await _whole(request, events))

    async def _asked(self, request: web.Request, share: Share) -> streaming.Request:
        """What is asked for."""
        request.protocol.enter(State.BODY)
        body = await bodies.read(request, self._limits.max_body_bytes, share)
        request.protocol.enter(State.WORK)
        share.resize(bodies.READING_FACTOR * len(body))
        signatures, most = self._model.signatures, self._limits.max_text_bytes
        asked = await asyncio.to_thread(streaming.read, body, signatures, most)
        share.resize(answers.memory(asked.inputs))
        return asked

    async def _send(self, request: web.Request, events) -> web.StreamResponse:
        """Sends events as they come; what goes wrong before the first is an answer of its own."""
        event = await anext(events)
        response = web.StreamResponse(headers={"Cache-Control": "no-cache"})
        response.content_type = "text/event-stream"
        response.enable_chunked_encoding()
        route = request.match_info.route.name or "other"
        self._metrics.requests.labels(route, response.status).inc()
        await self._taken(request, response.prepare(request))
        while event is not None:
            await self._taken(request, response.write(streaming.event(event)))
            try:
                event = await anext(events, None)
            except ApiError as error:
                event = {"error": error.message}
            except Exception:  # the answer has begun: it cannot be one of status 500 any more
                logging.exception("a stream failed")
                event = {"error": "the model failed; the server's log says more [server-failed]"}
        await self._taken(request, response.write_eof())
        return response

    async def _taken(self, request: web.Request, writing) -> None:
        """Waits until the client has taken what is written; then it is the server's turn."""
        request.protocol.enter(State.ANSWER)
        try:
            async with asyncio.timeout(bodies.ANSWER_SECONDS):
                await writing
        except TimeoutError:
            request.protocol.abort()
            self._metrics.closed.labels("answer not taken").inc()
            raise
        request.protocol.enter(State.WORK)


async def _whole(request: web.Request, events) -> dict:
    """The text of all events, with what the last one tells.

    Raises:
        ConnectionResetError: the client has gone.
    """
    pieces = []
    async for event in events:
        if request.transport is None:
            raise ConnectionResetError
        pieces.append(event["text"])
    return event | {"text": "".join(pieces)}

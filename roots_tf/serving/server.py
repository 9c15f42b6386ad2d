"""The HTTP server: the REST API of TensorFlow Serving, health and metrics.

    POST /v1/models/NAME[/versions/VERSION]:predict
    POST /v1/models/NAME[/versions/VERSION]:generate   see `streaming`
    GET  /v1/models/NAME[/versions/VERSION]            status
    GET  /v1/models/NAME[/versions/VERSION]/metadata   signatures
    GET  /healthz                                      200 once warmed up, 503 before
    GET  /monitoring/prometheus/metrics

An error is answered with `{"error": "... [id]"}`. No path reaches a file: all but the name and the
version of the model is fixed. Source: https://www.tensorflow.org/tfx/serving/api_rest; paths from
tensorflow/serving, model_servers/http_rest_api_util.cc.
"""

import asyncio
import concurrent.futures
import dataclasses
import re
import signal
import socket
import time
import urllib.parse

import prometheus_client
from absl import logging
from aiohttp import log, web

from roots_tf.serving import answers, bodies, rest
from roots_tf.serving.batching import RequestBatcher
from roots_tf.serving.budget import Budget, Share
from roots_tf.serving.connections import Connections, State
from roots_tf.serving.metrics import Metrics
from roots_tf.serving.model import Model
from roots_tf.serving.rest import ApiError
from roots_tf.serving.streams import Streams
from roots_tf.storage.files import InputError

_MODEL = "/v1/models/([^/:]+)(?:/versions/([0-9]{1,18}))?"
PREDICT = re.compile(f"{_MODEL}:predict", re.IGNORECASE)
GENERATE = re.compile(f"{_MODEL}:generate", re.IGNORECASE)
DESCRIBE = re.compile(f"{_MODEL}(/metadata)?", re.IGNORECASE)
PATHS = "/v1/models/NAME[/versions/VERSION][:predict, :generate or /metadata]"
ANSWER_BYTES_A_SECOND = 64_000  # at which a large answer must be taken
GRACE_SECONDS = 300.0  # in which requests are finished once the server is told to stop
RETRY_SECONDS = 1  # what a client is told to wait where there was no room
PIECE = 1 << 16  # bytes of an answer that are written at once
LARGE = 1 << 20  # bytes; such answers are written in a thread of their own, one after another


@dataclasses.dataclass(frozen=True)
class Limits:
    """What clients may take of a server.

    Args:
        max_batch_size: rows computed at once.
        batch_timeout: seconds that a request waits for others to be computed with.
        max_queue: rows that may wait; beyond, requests get 503.
        max_body_bytes: bytes of a request at most; beyond, it gets 413.
        max_text_bytes: bytes of a string in a request at most; beyond, it gets 400.
        max_answer_bytes: bytes of an answer at most; beyond, the request gets 413.
        max_memory_bytes: bytes that requests and answers take together, with their arrays; beyond,
            requests get 503.
        max_streams: texts that are made token by token at a time; beyond, requests get 503.
        max_connections: at a time; beyond, the one that has been idle longest is closed.
        idle_seconds: how long a connection may be idle.
    """

    max_batch_size: int = 32
    batch_timeout: float = 0.002
    max_queue: int = 1024
    max_body_bytes: int = 1 << 20
    max_text_bytes: int = 100_000
    max_answer_bytes: int = 64 << 20
    max_memory_bytes: int = 1 << 30
    max_streams: int = 32
    max_connections: int = 1000
    idle_seconds: float = 75.0


class Server:
    """Serves one model; `run` it.

    Args:
        model: the model to serve.
        limits: what clients may take.
    """

    def __init__(self, model: Model, limits: Limits):
        self._model, self._limits = model, limits
        self._metrics = metrics = Metrics(limits.max_batch_size)
        self._batcher = RequestBatcher(
            model.compute,
            limits.max_batch_size,
            limits.batch_timeout,
            limits.max_queue,
            metrics.batch_rows.observe,
            limits.max_answer_bytes,
        )
        self._budget = Budget(limits.max_memory_bytes)
        self._connections = Connections(
            limits.max_connections,
            limits.idle_seconds,
            lambda reason: metrics.closed.labels(reason).inc(),
        )
        self._streams = Streams(model, self._batcher.thread, limits, metrics)
        self._large = concurrent.futures.ThreadPoolExecutor(1, "large answers")
        metrics.queue_rows.set_function(lambda: self._batcher.waiting)
        metrics.connections.set_function(lambda: len(self._connections))
        metrics.memory.set_function(lambda: self._budget.used)
        self._ready = False

    async def run(self, listener: socket.socket) -> None:
        """Serves until SIGTERM or SIGINT; then answers every request that has come, and returns."""
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        # It would log a trace for each client that speaks no HTTP; what fails here, `_answer` logs.
        log.server_logger.setLevel("CRITICAL")
        runner = web.AppRunner(self._app(), shutdown_timeout=GRACE_SECONDS)
        await runner.setup()
        self._connections.start(
            listener,
            runner.server,
            access_log=None,
            auto_decompress=False,  # `_read` reports damaged bodies
            max_headers=64,  # of 8 kB each
        )
        worker = asyncio.create_task(self._batcher.run())
        thread = self._batcher.thread
        await loop.run_in_executor(thread, self._model.warm_up, self._limits.max_batch_size)
        self._ready = True
        logging.info("%s, version %d, is ready", self._model.name, self._model.version)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, worker], return_when=asyncio.FIRST_COMPLETED)
        if worker.done():  # which is a bug: nothing would be answered any more
            worker.result()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # a second one ends the process
        logging.info("stopping: no new connections, %d rows wait", self._batcher.waiting)
        self._connections.stop()
        await runner.cleanup()
        worker.cancel()
        self._large.shutdown()
        logging.info("every request is answered")

    def _app(self) -> web.Application:
        """Routes by the first part of the path; unknown paths get an error of the same form."""
        app = web.Application(middlewares=[self._answer])
        app.router.add_get("/healthz", self._health, name="health")
        app.router.add_get("/monitoring/prometheus/metrics", self._expose, name="metrics")
        app.router.add_get("/v1/{path:.*}", self._describe, name="describe")
        app.router.add_post("/v1/{path:.*}", self._predict, name="predict")
        return app

    @web.middleware
    async def _answer(self, request: web.Request, handler) -> web.StreamResponse:
        """Counts the request, gives errors their form, and sends the answer."""
        request.protocol.enter(State.WORK)
        with self._metrics.in_progress.track_inprogress():
            try:
                response = await self._respond(request, handler)
                if not response.prepared:
                    await self._send(request, response, response.body)
            except (ConnectionError, TimeoutError):  # the client has gone, or takes nothing
                return web.Response()
        request.protocol.enter(State.IDLE)
        return response

    async def _respond(self, request: web.Request, handler) -> web.StreamResponse:
        """The response to a request, whatever goes wrong."""
        try:
            return await handler(request)
        except ApiError as error:
            return _error(error.status, error.message)
        except web.HTTPException as error:
            wanted = f"wanted {PATHS}, /healthz or /monitoring/prometheus/metrics"
            found = f"found {request.method} {request.rel_url.raw_path[:200]}"
            return _error(error.status, f"{error.reason}: {found}; {wanted} [wrong-request]")
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            logging.exception("a request failed")
            return _error(500, "the request failed; the server's log says more [server-failed]")

    async def _send(
        self, request: web.Request, response: web.StreamResponse, body: bytes | bytearray
    ) -> None:
        """Sends a response, and `body` with it, in pieces and no faster than the client takes it.

        Raises:
            TimeoutError: the client did not take it.
            ConnectionError: the client has gone.
        """
        route = request.match_info.route.name or "other"
        self._metrics.requests.labels(route, response.status).inc()
        request.protocol.enter(State.ANSWER)
        seconds, body = bodies.ANSWER_SECONDS + len(body) / ANSWER_BYTES_A_SECOND, memoryview(body)
        try:
            async with asyncio.timeout(seconds):
                await response.prepare(request)
                if not isinstance(response, web.Response):  # which has its body in it
                    for start in range(0, len(body), PIECE):
                        await response.write(body[start : start + PIECE])
                await response.write_eof()
        except TimeoutError:
            request.protocol.abort()
            self._metrics.closed.labels("answer not taken").inc()
            raise

    async def _predict(self, request: web.Request) -> web.StreamResponse:
        """Answers `:predict`."""
        began = time.perf_counter()
        if GENERATE.fullmatch(request.rel_url.raw_path):
            return await self._generate(request)
        self._match(PREDICT, request)
        with self._budget.share() as share:
            answer = await self._compute(await self._read_call(request, share), share)
            self._metrics.seconds.observe(time.perf_counter() - began)
            if len(answer) <= PIECE:
                response = web.Response(body=bytes(answer), content_type="application/json")
            else:
                response = web.StreamResponse()
                response.content_type, response.content_length = "application/json", len(answer)
            await self._send(request, response, answer)
        return response

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        """Answers `:generate`."""
        began = time.perf_counter()
        self._match(GENERATE, request)
        with self._budget.share() as share:
            response = await self._streams.answer(request, share)
            self._metrics.seconds.observe(time.perf_counter() - began)
        return response

    async def _read_call(self, request: web.Request, share: Share) -> rest.Call:
        """The call that a request makes, with room in the budget for it and for its answer."""
        request.protocol.enter(State.BODY)
        body = await bodies.read(request, self._limits.max_body_bytes, share)
        request.protocol.enter(State.WORK)
        share.resize(bodies.READING_FACTOR * len(body))
        # Threads, so that a long request does not keep the others from being read and answered.
        call, size = await asyncio.to_thread(self._understand, body)
        share.resize(size)
        return call

    def _understand(self, body: bytearray) -> tuple[rest.Call, int]:
        """The call in a body, and the bytes that it and its answer take."""
        call = rest.read(body, self._model.signatures, self._limits.max_text_bytes)
        expected = answers.expect(self._model.signatures[call.signature], call)
        answers.check_expected(expected, self._limits.max_answer_bytes)
        # A number takes four or eight bytes in an array, beside the 17 or more that were counted.
        answer = 3 * min(expected.json_bytes, self._limits.max_answer_bytes) // 2
        return dataclasses.replace(call, answer_bytes=expected.json_bytes), (
            answers.memory(call.inputs) + answer
        )

    async def _compute(self, call: rest.Call, share: Share) -> bytearray:
        """The answer to a call, whose share of the budget is then what the answer takes."""
        outputs = await self._batcher.submit(call)
        size = answers.memory(outputs)
        share.resize(max(share.size, 6 * size))
        answer = await asyncio.get_running_loop().run_in_executor(
            self._large if size > LARGE else None,
            *(answers.write, outputs, call.row_format, self._limits.max_answer_bytes),
        )
        share.resize(len(answer))
        return answer

    async def _describe(self, request: web.Request) -> web.Response:
        """Answers the status of the model, and its metadata."""
        if self._match(DESCRIBE, request)[3]:
            return web.json_response(self._model.metadata())
        version = {
            "version": str(self._model.version),
            "state": "AVAILABLE" if self._ready else "LOADING",
            "status": {"error_code": "OK", "error_message": ""},
        }
        return web.json_response({"model_version_status": [version]})

    def _match(self, pattern: re.Pattern, request: web.Request) -> re.Match:
        """The parts of a path that is for this model.

        Raises:
            ApiError: 400, the path has another form; 404, it is for another model or version.
        """
        path = request.rel_url.raw_path
        match = pattern.fullmatch(path)
        if match is None:
            raise ApiError(
                "wrong-request", f"Malformed request: {request.method} {path[:200]}; wanted {PATHS}"
            )
        name, version = urllib.parse.unquote(match[1], errors="replace"), match[2]
        if name != self._model.name or (version and int(version) != self._model.version):
            wanted = f"Specific({name}, {version})" if version else f"Latest({name})"
            served = f"{self._model.name}, version {self._model.version}, is served"
            raise ApiError(
                "wrong-request", f"Servable not found for request: {wanted}; {served}", 404
            )
        return match

    async def _health(self, request: web.Request) -> web.Response:
        """Whether the model is warmed up."""
        if not self._ready:
            raise ApiError("server-busy", "the model is not warmed up yet; try again later")
        return web.json_response({"status": "ready"})

    async def _expose(self, request: web.Request) -> web.Response:
        """The metrics, in the text format of Prometheus."""
        text = prometheus_client.generate_latest(self._metrics.registry)
        return web.Response(
            body=text, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST}
        )


def _error(status: int, message: str) -> web.Response:
    """An error in TensorFlow Serving's form."""
    headers = {"Retry-After": str(RETRY_SECONDS)} if status in (429, 503) else None
    return web.json_response({"error": message}, status=status, headers=headers)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at `host` and `port`; port 0 takes one that is free.

    Raises:
        InputError: the port is taken, or the host is not this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            "cannot-listen",
            f"could not listen at {host}, port {port}: {reason}; wanted a free port of this "
            "machine: choose another --port or --host",
        ) from error

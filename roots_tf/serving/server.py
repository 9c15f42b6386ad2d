"""The HTTP server: the REST API of TensorFlow Serving, health and metrics.

    POST /v1/models/NAME[/versions/VERSION]:predict
    GET  /v1/models/NAME[/versions/VERSION]            status
    GET  /v1/models/NAME[/versions/VERSION]/metadata   signatures
    GET  /healthz                                      200 once warmed up, 503 before
    GET  /monitoring/prometheus/metrics

An error is answered with `{"error": "..."}`. No path reaches a file: all but the name and the
version of the model is fixed. Source: https://www.tensorflow.org/tfx/serving/api_rest; paths from
tensorflow/serving, model_servers/http_rest_api_util.cc.
"""

import asyncio
import re
import signal
import socket
import time
import urllib.parse
import zlib

import aiohttp
import aiohttp.http_exceptions
import prometheus_client
from absl import logging
from aiohttp import log, web

from roots_tf.files import InputError
from roots_tf.serving import rest
from roots_tf.serving.batching import RequestBatcher
from roots_tf.serving.model import Model
from roots_tf.serving.rest import ApiError

_MODEL = "/v1/models/([^/:]+)(?:/versions/([0-9]{1,18}))?"
PREDICT = re.compile(f"{_MODEL}:predict", re.IGNORECASE)
DESCRIBE = re.compile(f"{_MODEL}(/metadata)?", re.IGNORECASE)
PATHS = "/v1/models/NAME[/versions/VERSION][:predict or /metadata]"
BODY_SECONDS = 30.0  # in which a body must have come
GRACE_SECONDS = 300.0  # in which requests are finished once the server is told to stop


class Metrics:
    """The metrics at `/monitoring/prometheus/metrics`.

    Args:
        max_batch_size: rows of the largest batch.
    """

    def __init__(self, max_batch_size: int):
        self.registry = registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)
        self.requests = prometheus_client.Counter(
            "roots_serving_requests", "Answered requests", ["route", "status"], registry=registry
        )
        self.in_progress = prometheus_client.Gauge(
            "roots_serving_requests_in_progress", "Requests not yet answered", registry=registry
        )
        self.seconds = prometheus_client.Histogram(
            "roots_serving_predict_seconds",
            "From the request's headers to its answer",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
            registry=registry,
        )
        self.batch_rows = prometheus_client.Histogram(
            "roots_serving_batch_rows",
            "Rows computed at once",
            buckets=[2**i for i in range((max_batch_size - 1).bit_length() + 1)],
            registry=registry,
        )
        self.queue_rows = prometheus_client.Gauge(
            "roots_serving_queue_rows", "Rows that wait to be computed", registry=registry
        )


class Server:
    """Serves one model; `run` it.

    Args:
        model: the model to serve.
        max_batch_size: rows computed at once.
        batch_timeout: seconds that a request waits for others to be computed with.
        max_queue: rows that may wait; beyond, requests get 503.
        max_body_bytes: bytes of a request at most; beyond, it gets 413.
        max_text_bytes: bytes of a string in a request at most; beyond, it gets 400.
    """

    def __init__(
        self,
        model: Model,
        max_batch_size: int,
        batch_timeout: float,
        max_queue: int,
        max_body_bytes: int,
        max_text_bytes: int,
    ):
        self._model, self._max_batch_size = model, max_batch_size
        self._max_body_bytes, self._max_text_bytes = max_body_bytes, max_text_bytes
        self._metrics = Metrics(max_batch_size)
        self._batcher = RequestBatcher(
            model.compute,
            max_batch_size,
            batch_timeout,
            max_queue,
            self._metrics.batch_rows.observe,
        )
        self._metrics.queue_rows.set_function(lambda: self._batcher.waiting)
        self._ready = False

    async def run(self, listener: socket.socket) -> None:
        """Serves until SIGTERM or SIGINT; then answers every request that has come, and returns."""
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        # It would log a trace for each client that speaks no HTTP; what fails here, `_answer` logs.
        log.server_logger.setLevel("CRITICAL")
        runner = web.AppRunner(
            self._app(),
            access_log=None,
            auto_decompress=False,  # `_read` reports damaged bodies
            shutdown_timeout=GRACE_SECONDS,
        )
        await runner.setup()
        await web.SockSite(runner, listener).start()
        worker = asyncio.create_task(self._batcher.run())
        thread = self._batcher.thread
        await loop.run_in_executor(thread, self._model.warm_up, self._max_batch_size)
        self._ready = True
        logging.info("%s, version %d, is ready", self._model.name, self._model.version)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, worker], return_when=asyncio.FIRST_COMPLETED)
        if worker.done():  # which is a bug: nothing would be answered any more
            worker.result()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # a second one ends the process
        logging.info("stopping: no new connections, %d rows wait", self._batcher.waiting)
        await runner.cleanup()
        worker.cancel()
        logging.info("every request is answered")

    def _app(self) -> web.Application:
        """Routes by the first part of the path; unknown paths get an error of the same form."""
        app = web.Application(middlewares=[self._answer], client_max_size=self._max_body_bytes)
        app.router.add_get("/healthz", self._health, name="health")
        app.router.add_get("/monitoring/prometheus/metrics", self._expose, name="metrics")
        app.router.add_get("/v1/{path:.*}", self._describe, name="describe")
        app.router.add_post("/v1/{path:.*}", self._predict, name="predict")
        return app

    @web.middleware
    async def _answer(self, request: web.Request, handler) -> web.StreamResponse:
        """Counts the request, and gives errors their form."""
        with self._metrics.in_progress.track_inprogress():
            try:
                response = await handler(request)
            except ApiError as error:
                response = _error(error.status, error.message)
            except web.HTTPException as error:
                wanted = f"wanted {PATHS}, /healthz or /monitoring/prometheus/metrics"
                found = f"found {request.method} {request.rel_url.raw_path[:200]}"
                response = _error(error.status, f"{error.reason}: {found}; {wanted}")
            except Exception:
                logging.exception("a request failed")
                response = _error(500, "the request failed; the server's log tells more")
        route = request.match_info.route.name or "other"
        self._metrics.requests.labels(route, response.status).inc()
        return response

    async def _predict(self, request: web.Request) -> web.Response:
        """Answers `:predict`."""
        began = time.perf_counter()
        self._match(PREDICT, request)
        body = await _read(request, self._max_body_bytes)
        # Threads, so that a long request does not keep the others from being read and answered.
        call = await asyncio.to_thread(
            rest.read, body, self._model.signatures, self._max_text_bytes
        )
        outputs = await self._batcher.submit(call)
        answer = await asyncio.to_thread(rest.write, outputs, call.row_format)
        self._metrics.seconds.observe(time.perf_counter() - began)
        return web.Response(body=answer, content_type="application/json")

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
            raise ApiError(400, f"Malformed request: {request.method} {path[:200]}; wanted {PATHS}")
        name, version = urllib.parse.unquote(match[1], errors="replace"), match[2]
        if name != self._model.name or (version and int(version) != self._model.version):
            wanted = f"Specific({name}, {version})" if version else f"Latest({name})"
            served = f"{self._model.name}, version {self._model.version}, is served"
            raise ApiError(404, f"Servable not found for request: {wanted}; {served}")
        return match

    async def _health(self, request: web.Request) -> web.Response:
        """Whether the model is warmed up."""
        if not self._ready:
            raise ApiError(503, "the model is not warmed up yet; try again later")
        return web.json_response({"status": "ready"})

    async def _expose(self, request: web.Request) -> web.Response:
        """The metrics, in the text format of Prometheus."""
        text = prometheus_client.generate_latest(self._metrics.registry)
        return web.Response(
            body=text, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST}
        )


async def _read(request: web.Request, limit: int) -> bytes:
    """The body of a request, which may be compressed by gzip, of at most `limit` bytes.

    Raises:
        ApiError: 408, it does not come; 400, it breaks off; 413, it is larger; 415, it is encoded
            in another way.
    """
    too_large = ApiError(413, f"found a larger body; wanted at most {limit} bytes: send fewer rows")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large from None
    except TimeoutError:
        raise ApiError(408, f"found no end of the body in {BODY_SECONDS:.0f} s") from None
    except (
        web.RequestPayloadError,
        aiohttp.ClientError,
        aiohttp.http_exceptions.HttpProcessingError,
        ConnectionError,
    ) as error:
        raise ApiError(400, f"found a body that cannot be read: {error}") from None
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding == "identity":
        return body
    if encoding != "gzip":
        raise ApiError(415, f"found a body in {encoding[:20]}; wanted it plain, or in gzip")
    gzip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        body = gzip.decompress(body, limit + 1)
    except zlib.error as error:
        raise ApiError(400, f"found a body that is no gzip: {error}") from None
    if len(body) > limit:
        raise too_large
    if not gzip.eof:
        raise ApiError(400, "found gzip that breaks off; wanted all of it")
    return body


def _error(status: int, message: str) -> web.Response:
    """An error in TensorFlow Serving's form."""
    return web.json_response({"error": message}, status=status)


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
            f"could not listen at {host}, port {port}: {reason}; wanted a free port of this "
            "machine: choose another --port or --host"
        ) from error

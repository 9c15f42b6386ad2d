"""A model without TensorFlow behind a server in this event loop, and clients of its sockets."""

import asyncio
import contextlib
import json
import os
import signal
import threading
from types import SimpleNamespace

import numpy as np

from roots_tf.serving import connections, server
from roots_tf.serving.rest import Signature


def spec(dtype, *shape: int | None) -> SimpleNamespace:
    """What a `tf.TensorSpec` tells."""
    return SimpleNamespace(
        shape=SimpleNamespace(rank=len(shape), as_list=lambda: list(shape)),
        dtype=SimpleNamespace(as_numpy_dtype=dtype, name=np.dtype(dtype).name),
    )


TEXT = {"text": spec(object, None)}
PATH = "/v1/models/fake:predict"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n".encode()


class Fake:
    """A model without TensorFlow: a number a text, or a vector a byte; counts rows computed."""

    name, version, can_stream = "fake", 1, False

    def __init__(self):
        def outputs(*shape):
            return {"y": spec(np.float32, None, *shape)}

        self.signatures = {
            "serving_default": Signature(TEXT, True, outputs()),
            "known": Signature(TEXT, True, outputs(1000)),
            "tokens": Signature(TEXT, True, outputs(None, 10)),
            "slow": Signature(TEXT, True, outputs()),
        }
        self.rows, self.free = [], threading.Event()
        self.free.set()

    def compute(self, signature, inputs):
        texts = inputs["text"]
        if signature == "slow":
            self.free.wait(60)
        self.rows.append(len(texts))
        shape = {"known": (1000,), "tokens": (max(map(len, texts)), 10)}.get(signature, ())
        return {"y": np.ones((len(texts), *shape), np.float32)}

    def warm_up(self, batch_size):
        pass


@contextlib.asynccontextmanager
async def serving(model=None, **limits):
    """A server in this event loop; its port, and the server itself."""
    listener = server.listen("127.0.0.1", 0)
    made = server.Server(model or Fake(), server.Limits(**limits))
    task = asyncio.create_task(made.run(listener))
    while not made._ready:
        await asyncio.sleep(0.01)
    try:
        yield SimpleNamespace(
            port=listener.getsockname()[1],
            server=made,
            model=made._model,
            count=lambda state: len(made._connections._by_state[connections.State[state]]),
        )
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await task


class Client:
    """A connection that sends what it is told."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, served, sent=b"", limit=2**16):
        client = cls(*await asyncio.open_connection("127.0.0.1", served.port, limit=limit))
        client.writer.write(sent)
        return client

    async def answer(self):
        """Status, headers and body of the next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, body

    async def is_closed(self) -> bool:
        """Whether the server has closed it; waits for a second."""
        try:
            return await asyncio.wait_for(self.reader.read(1), 1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


def post(texts, signature="", key="instances") -> bytes:
    body = json.dumps({"signature_name": signature, key: texts}).encode()
    return f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def ask(served, texts, signature="", key="instances"):
    client = await Client.open(served, post(texts, signature, key))
    try:
        return await client.answer()
    finally:
        client.writer.close()


def run(test):
    asyncio.run(asyncio.wait_for(test, 60))


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)

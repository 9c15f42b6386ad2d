"""A server under pressure, by real sockets: slow clients, idle ones, too many of them."""

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import subprocess
import sys
import time

import pytest

from roots_tf.serving import bodies, connections, logs, server
from roots_tf.storage.files import InputError
from tests.serving.fake import HEAD, Client, ask, post, run, serving, until


@pytest.mark.parametrize("state", ["IDLE", "HEAD", "BODY"])
def test_clients_that_wait_do_not_keep_others_out(state, monkeypatch):
    monkeypatch.setattr(bodies, "BODY_SECONDS", 3.0)  # which a stop waits for
    sent = {"IDLE": b"", "HEAD": b"POST ", "BODY": HEAD + b'{"inst'}[state]

    async def test():
        async with serving(max_connections=5) as served:
            slow = [await Client.open(served, sent) for _ in range(5)]
            await until(lambda: served.count(state) == 5)
            for _ in range(7):
                assert (await ask(served, ["a"]))[0] == 200
            assert await slow[0].is_closed()
            assert not await slow[4].is_closed()

    run(test())


def test_the_oldest_idle_one_is_closed_first():
    async def test():
        async with serving(max_connections=3) as served:
            busy = await Client.open(served, HEAD)
            old = await Client.open(served)
            used = await Client.open(served, post(["a"]))
            assert (await used.answer())[0] == 200
            await until(lambda: len(served.server._connections) == 3)
            # Each that comes takes the place of the one that has been idle longest.
            first, second = await Client.open(served), await Client.open(served)
            closed = [await c.is_closed() for c in (old, used, busy, second)]
            assert closed == [True, True, False, False]
            busy.writer.write(b" " * 980 + b'{"instances":["a"]}' + b" ")
            assert (await busy.answer())[0] == 200
            first.writer.close()

    run(test())


def test_those_that_are_computed_are_never_closed():
    async def test():
        async with serving(max_connections=2) as served:
            served.model.free.clear()
            waiting = [await Client.open(served, post(["a"], "slow")) for _ in range(2)]
            await until(lambda: served.count("WORK") == 2)
            third = await Client.open(served, post(["a"]))
            await asyncio.sleep(0.2)  # it is not taken yet
            assert len(served.server._connections) == 2
            served.model.free.set()
            for client in (*waiting, third):
                assert (await client.answer())[0] == 200

    run(test())


def test_what_is_late_is_closed(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)

    async def test():
        async with serving(idle_seconds=0.3) as served:
            idle, head, body = [await Client.open(served, sent) for sent in (b"", b"GET", HEAD)]
            drip = await Client.open(served)
            began = time.monotonic()
            with contextlib.suppress(ConnectionError):
                for byte in HEAD:  # one now and then does not buy time
                    drip.writer.write(bytes([byte]))
                    await drip.writer.drain()
                    await asyncio.sleep(0.02)
                    if drip.reader.at_eof():
                        break
            assert time.monotonic() - began < 1
            assert await idle.is_closed()
            assert (await head.answer())[0] == 408
            assert (await body.answer())[0] == 408
            kept = await Client.open(served, post(["a"]))
            assert (await kept.answer())[0] == 200
            assert await kept.is_closed()

    run(test())


def test_who_does_not_take_the_answer_is_left(monkeypatch):
    monkeypatch.setattr(bodies, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(server, "ANSWER_BYTES_A_SECOND", 1e9)

    async def test():
        async with serving(max_body_bytes=10**6) as served:
            client = socket.create_connection(("127.0.0.1", served.port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, post(["a" * 1000] * 300, "tokens"))  # 15 MB
            await until(lambda: served.count("ANSWER"))
            assert served.server._budget.used > 10**7
            await until(lambda: not len(served.server._connections))
            assert served.server._budget.used == 0
            client.close()

    run(test())


@pytest.mark.parametrize(
    ("soft", "hard", "room", "raised"),
    [
        (128, 128, 128 - 20 - 48, None),  # twenty are open, and 48 spare
        (128, 200, 200 - 20 - 48, 200),
        (128, 10_000, 200, 268),  # raised as far as that takes
        (128, resource.RLIM_INFINITY, 200, 268),
        (300, 300, 200, None),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 200, None),
        (68, 68, None, None),
    ],
)
def test_room_is_what_the_limit_of_descriptors_leaves(soft, hard, room, raised, monkeypatch):
    limits = [soft, hard]
    monkeypatch.setattr(connections.os, "listdir", lambda path: ["0"] * 20)
    monkeypatch.setattr(connections.resource, "getrlimit", lambda kind: tuple(limits))
    monkeypatch.setattr(
        connections.resource, "setrlimit", lambda kind, pair: limits.__setitem__(0, pair[0])
    )
    if room is None:
        with pytest.raises(InputError, match="found a limit of 68 open files, 20 of them open; "):
            connections.room_for(200)
    else:
        assert connections.room_for(200) == room
        assert limits[0] == (raised or soft)


SERVE = """
import asyncio, logging, resource, sys, types
sys.modules["roots_tf.serving.model"] = types.SimpleNamespace(Model=None)  # and no TensorFlow
from roots_tf.serving import bodies, connections, logs, server
from tests.serving.fake import Fake

resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
logging.basicConfig()
listener = server.listen("127.0.0.1", 0)
limits = server.Limits(max_connections=connections.room_for(1000))
print(listener.getsockname()[1], flush=True)
with logs.limited():
    asyncio.run(server.Server(Fake(), limits).run(listener))
"""


def test_more_idle_clients_than_descriptors():
    command = [sys.executable, "-c", SERVE]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    port = int(process.stdout.readline())
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(post(["a"]))
            assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
    process.send_signal(signal.SIGTERM)
    _, logged = process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(logged) < 10_000
    for connection in idle:
        connection.close()


def test_without_descriptors_an_idle_connection_makes_room(monkeypatch):
    class Exhausted(socket.socket):
        full = False

        def accept(self):
            if Exhausted.full:
                Exhausted.full = False
                raise OSError(24, "Too many open files")
            return super().accept()

    monkeypatch.setattr(server.socket, "socket", Exhausted)

    async def test():
        async with serving() as served:
            idle = await Client.open(served)
            await until(lambda: len(served.server._connections) == 1)
            Exhausted.full = True
            assert (await ask(served, ["a"]))[0] == 200
            assert await idle.is_closed()

    run(test())


def test_logging_is_limited_by_rate():
    now, lines = [0.0], []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    handler.addFilter(logs.RateLimit(3, 10.0, clock=lambda: now[0]))
    logger = logging.Logger("a")
    logger.addHandler(handler)
    for i in range(100):
        logger.warning("line %d", i)
    now[0] = 11.0
    logger.warning("line %s", "%s")
    assert lines == ["line 0", "line 1", "line 2", "(97 lines were left out) line %s"]


def test_a_process_limits_what_its_loggers_write():
    handler = logging.Handler()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with logs.limited():
            assert [type(f) for f in handler.filters] == [logs.RateLimit]
        assert not handler.filters
    finally:
        root.removeHandler(handler)

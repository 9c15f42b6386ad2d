"""Connections of clients: how many there may be, and how long one may keep the server waiting.

A client that sends nothing, or a byte now and then, costs a descriptor and a little memory. There
are at most so many connections as descriptors allow; where a further one comes, the one that has
been idle longest is closed. What waits for a client has a deadline whether or not there is room.
"""

import asyncio
import contextlib
import enum
import os
import resource
import socket
import time
from collections.abc import Callable

from absl import logging
from aiohttp import web

from roots_tf.storage.files import InputError

HEAD_SECONDS = 10.0  # from the first byte of a request to the last of its headers
ACCEPTED_AT_ONCE = 16  # before requests get their turn again
# Descriptors left for what is no connection: files that the model opens, and those connections that
# are closed to make room, which are open until the event loop has gone round once more.
SPARE_DESCRIPTORS = 32 + ACCEPTED_AT_ONCE
PAUSE_SECONDS = 0.1  # after which taking a connection is tried again
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class State(enum.IntEnum):
    """What a connection is at. To make room, the first of these is closed before the next."""

    IDLE = 0  # before the first request, or between two
    HEAD = 1  # some of a request's headers have come
    BODY = 2  # its body has not come whole
    ANSWER = 3  # the answer has not been taken whole
    WORK = 4  # the server's turn; never closed


class Connection(web.RequestHandler):
    """One client's connection, which knows what it waits for.

    Args:
        server: aiohttp's, which answers its requests.
        connections: those that it belongs to.
        **options: as for `web.RequestHandler`.
    """

    def __init__(self, server: web.Server, connections: "Connections", **options):
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._connections = connections
        self.state, self.since, self.is_closed = State.IDLE, 0.0, False
        self.enter(State.IDLE)

    def enter(self, state: State) -> None:
        """Notes what the connection is at from now on."""
        self._connections.enter(self, state)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As aiohttp calls it."""
        super().connection_made(transport)
        if self.is_closed:  # before it was connected
            self.abort()

    def data_received(self, data: bytes) -> None:
        """As aiohttp calls it; notes when a request begins."""
        if data and self.state is State.IDLE:
            self.enter(State.HEAD)
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """As aiohttp calls it."""
        super().connection_lost(exc)
        self._connections.forget(self)

    def abort(self) -> None:
        """Closes at once, also where the client does not take what was written."""
        if self.transport is not None:
            self.transport.abort()


class Connections:
    """All connections; takes new ones while there is room.

    Args:
        limit: how many there may be.
        idle_seconds: how long one may be idle.
        on_close: called with the reason when one is closed that the client would have kept.
    """

    def __init__(
        self, limit: int, idle_seconds: float, on_close: Callable[[str], None] = lambda reason: None
    ):
        self.limit, self._on_close = limit, on_close
        self._deadlines = {State.IDLE: idle_seconds, State.HEAD: HEAD_SECONDS}
        self._by_state: dict[State, dict[Connection, None]] = {state: {} for state in State}
        self._connecting: set[asyncio.Task] = set()
        self._listener: socket.socket | None = None
        self._is_paused = False

    def __len__(self) -> int:
        return sum(map(len, self._by_state.values()))

    def start(self, listener: socket.socket, server: web.Server, **options) -> None:
        """Takes connections from now on.

        Args:
            listener: a socket that listens.
            server: answers their requests.
            **options: of each connection, as for `web.RequestHandler`.
        """
        listener.setblocking(False)
        self._listener, self._make = listener, lambda: Connection(server, self, **options)
        asyncio.get_running_loop().add_reader(listener, self._accept)
        self._sweeper = asyncio.create_task(self._sweep())

    def stop(self) -> None:
        """Takes no more; deadlines of those that are idle end too, for the server closes them."""
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        self._listener = None
        self._sweeper.cancel()

    def enter(self, connection: Connection, state: State) -> None:
        """Notes what a connection is at from now on.

        Args:
            connection: one of these.
            state: the new one.
        """
        if connection.is_closed:  # a request may go on without its client
            return
        self._by_state[connection.state].pop(connection, None)
        connection.state, connection.since = state, time.monotonic()
        self._by_state[state][connection] = None  # the one that has waited longest stays first

    def forget(self, connection: Connection) -> None:
        """Notes that a connection is closed."""
        self._by_state[connection.state].pop(connection, None)
        connection.is_closed = True
        self._resume()

    def _accept(self) -> None:
        """Takes the connections that wait in the system's queue."""
        for _ in range(ACCEPTED_AT_ONCE):
            # Where every client waits for the server, new ones stay in that queue.
            if len(self) >= self.limit and not self._oldest():
                self._pause()
                break
            try:
                client, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:  # no descriptor is left, or no memory
                logging.warning("could not take a connection: %s", error.strerror)
                self._close_oldest("no descriptor")
                self._pause()
                break
            if len(self) >= self.limit:
                self._close_oldest("no room")
            client.setblocking(False)
            task = asyncio.create_task(self._connect(self._make(), client))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: Connection, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: connection, client)
        except OSError:
            client.close()
            self.forget(connection)

    def _oldest(self) -> Connection | None:
        """The one to close where room is needed."""
        for state in State:
            if state is not State.WORK and self._by_state[state]:
                return next(iter(self._by_state[state]))
        return None

    def _close_oldest(self, reason: str) -> None:
        if connection := self._oldest():
            self._close(connection, reason)

    def _close(self, connection: Connection, reason: str) -> None:
        self.forget(connection)  # at once: the next that is closed must be another
        connection.abort()
        self._on_close(reason)

    def _pause(self) -> None:
        """Takes none for a moment; the listener would else wake the event loop without end."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        self._is_paused = True
        loop.call_later(PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        if self._is_paused and self._listener is not None:
            self._is_paused = False
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    async def _sweep(self) -> None:
        """Closes what is beyond its deadline, until it is cancelled."""
        while True:
            await asyncio.sleep(min(1.0, *(seconds / 4 for seconds in self._deadlines.values())))
            for state, seconds in self._deadlines.items():
                late = time.monotonic() - seconds
                while (oldest := next(iter(self._by_state[state]), None)) and oldest.since < late:
                    if state is State.HEAD and oldest.transport is not None:
                        oldest.transport.write(_TOO_SLOW)
                    self._close(oldest, "too slow" if state is State.HEAD else "idle")


def room_for(wanted: int) -> int:
    """How many connections there may be: so many, or what the limit of descriptors leaves.

    The limit is raised as far as that takes and the system lets it.

    Args:
        wanted: connections.

    Raises:
        InputError: there is no descriptor for a single one.
    """
    used = len(os.listdir("/dev/fd"))
    needed = wanted + used + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = min(needed, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        wanted = min(wanted, soft - used - SPARE_DESCRIPTORS)
    if wanted < 1:
        raise InputError(
            "cannot-listen",
            f"found a limit of {soft} open files, {used} of them open; wanted "
            f"{used + SPARE_DESCRIPTORS + 1} or more: raise it with ulimit -n",
        )
    return wanted

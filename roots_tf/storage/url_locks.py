"""One process writes under a URL: a lock in the store that outlives no writer for long.

The lock is an object, `.writer`, that says who writes. It is made on the condition that there is
none, and changed on the condition that it is as it was, which the store looks after: of two that
come at once one gets it. The holder writes it anew every few seconds; one that does not for a while
is dead, and whoever comes next takes the lock over. When a writer ends, the object stays and says
who wrote last: by that a writer knows whether its local copy is still what the store was made from.
"""

import contextlib
import functools
import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator

from absl import logging

from roots_tf.storage import leftovers, locks, objects, urls
from roots_tf.storage.files import InputError

NAME = ".writer"
BEAT_SECONDS = 10.0  # between two writes of the lock
WATCH_SECONDS = 4.5 * BEAT_SECONDS  # without one, after which a holder counts as dead
FRESH_SECONDS = 3 * BEAT_SECONDS  # after the last, for which the holder may upload: less


class Lease:
    """A lock that this process has.

    Args:
        url: of the lock.
        about: what it says.
        version: of it in the store.

    Attributes:
        token: of the local copy that the store is written from.
        is_first: whether nobody has written there before.
        is_lost: whether another process has taken it.
        leaves_nothing: whether nothing was written, so that the lock is to go too.
    """

    def __init__(self, url: str, about: dict, version: str):
        self.token, self._url, self._about, self._version = about["token"], url, about, version
        self.is_first = self.leaves_nothing = False
        self._beaten, self.is_lost = _now(), False

    def is_fresh(self) -> bool:
        """Whether nobody else can have taken the lock over."""
        return not self.is_lost and _now() - self._beaten < FRESH_SECONDS

    def is_exclusive(self) -> bool:
        """Whether the store keeps conditions: here it is to refuse two that do not hold."""
        content, kept = _encoded(self._about), True
        for version in (None, objects.no_version(self._url)):
            call = functools.partial(objects.write_if, self._url, content, version)
            if written := urls.attempts(call, self._url):
                self._version, kept = written, False
        return kept

    def beat(self, **changed) -> bool:
        """Writes the lock anew; False where another process has taken it.

        Args:
            **changed: of what it says.

        Raises:
            Exception: as `objects.write_if`; the lock may still be this process's.
        """
        began = _now()
        about = self._about | {"beat": self._about["beat"] + 1} | changed
        version = objects.write_if(self._url, _encoded(about), self._version)
        if version is None:  # also where an answer got lost: then it says what was written
            there, version = _holder(self._url)
            if there.get("id") != about["id"]:
                self.is_lost = True
                return False
        self._about, self._version, self._beaten = about, version, began
        return True


def _now() -> float:
    """Seconds on a clock that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@contextlib.contextmanager
def held(url: str, token: Callable[[str], str]) -> Iterator[Lease]:
    """Context in which no other process that asks for a URL gets it.

    Args:
        url: of a folder that is written.
        token: gives that of the local copy that the store is written from, and gets that of who
            wrote last, "" where nobody did.

    Raises:
        InputError: another process writes there, which is named; or nothing can be written.
    """
    lock = urls.join(url, NAME)
    lease = _take(lock, url, token)
    over = threading.Event()
    thread = threading.Thread(target=_beat, args=(lease, url, over), daemon=True, name="url lock")
    thread.start()
    try:
        yield lease
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(Exception):  # it then counts as dead after a while
            if lease.beat(held=False) and lease.leaves_nothing:
                objects.remove(lock)


def _take(lock: str, url: str, token: Callable[[str], str]) -> Lease:
    about = {
        "id": uuid.uuid4().hex,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "where": leftovers.host(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "held": True,
        "beat": 0,
    }
    for _ in range(10):
        there, version = _holder(lock)
        if there.get("held") and _lives(there, lock, version):
            raise _refusal(url, there)
        about["token"] = token(there.get("token", ""))
        try:
            written = urls.attempts(
                functools.partial(objects.write_if, lock, _encoded(about), version), lock
            )
        except InputError as error:
            raise InputError(
                error.id, f"{error} (so nothing can be written to {urls.shown(url)})"
            ) from error
        if written is None:  # somebody was faster; or an answer got lost, and a try came after it
            mine, written = _holder(lock)
            if mine.get("id") != about["id"]:
                continue
        lease = Lease(lock, about, written)
        lease.is_first = version is None
        if not lease.is_exclusive():
            logging.warning(
                "the store of %s writes whatever the condition: two processes that write there at "
                "once are not told of one another; start one alone",
                urls.shown(url),
            )
        return lease
    raise _refusal(url, there)


def _encoded(about: dict) -> bytes:
    return json.dumps(about).encode()


def _holder(lock: str) -> tuple[dict, str | None]:
    """What the lock says, {} where it is damaged, and its version; None where there is no lock."""
    found = objects.read(lock)
    if found is None:
        return {}, None
    try:
        about = json.loads(found[0])
    except ValueError:
        about = {}
    return about if isinstance(about, dict) else {}, found[1]


def _lives(holder: dict, lock: str, version: str | None) -> bool:
    """Whether a holder is alive: it writes the lock; one of this machine may be seen to be dead."""
    if holder.get("where") == leftovers.host():
        with contextlib.suppress(KeyError, TypeError, ValueError):
            if not leftovers.lives(int(holder["pid"])):
                return False
    logging.info("%s is of another process; watching whether it is alive", urls.shown(lock))
    end = time.monotonic() + WATCH_SECONDS
    while time.monotonic() < end:
        time.sleep(BEAT_SECONDS / 5)
        found = objects.at(lock)
        if found is None or found.version != version:
            return _holder(lock)[0].get("held", False)
    return False


def _refusal(url: str, holder: dict) -> InputError:
    who = locks.shown(holder)
    return InputError(
        "folder-in-use",
        f"found another process at work in {urls.shown(url)} ({who}); wanted one alone: wait until "
        "it has ended, stop it, or choose another --output",
    )


def _beat(lease: Lease, url: str, over: threading.Event) -> None:
    """Writes the lock anew until it is over; stops the process if another has taken it."""
    pause = BEAT_SECONDS
    while not over.wait(pause):
        try:
            if not lease.beat():
                logging.error("another process has taken %s; this one stops", urls.shown(url))
                os.kill(os.getpid(), signal.SIGTERM)
                return
            pause = BEAT_SECONDS
        except Exception as error:
            logging.debug("could not write the lock of %s: %s", urls.shown(url), error)
            pause = BEAT_SECONDS / 10

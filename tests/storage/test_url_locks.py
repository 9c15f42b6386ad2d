"""Locks in a store, against a real S3 server."""

import json
import os
import subprocess
import sys
import threading

import pytest

from roots_tf.storage import leftovers, objects, url_locks, urls
from roots_tf.storage.files import InputError
from tests import stores


@pytest.fixture(autouse=True)
def _short_beats(monkeypatch):
    monkeypatch.setattr(url_locks, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(url_locks, "WATCH_SECONDS", 1.0)
    monkeypatch.setattr(url_locks, "FRESH_SECONDS", 0.6)


@pytest.fixture
def url(store, request) -> str:
    return store.url(f"locks/{request.node.name}")


def held(url: str, token: str = "mine"):
    return url_locks.held(url, lambda before: token)


def said(url: str) -> dict:
    return json.loads(objects.read(urls.join(url, url_locks.NAME))[0])


def put(url: str, **about) -> None:
    """A lock as another process has written it."""
    about = {"id": "theirs", "held": True, "beat": 1, "token": "before", "host": "far"} | about
    urls.filesystem(url).pipe_file(urls.join(url, url_locks.NAME), json.dumps(about).encode())


def test_of_two_the_second_is_told_who_has_it(url):
    with held(url), pytest.raises(InputError) as error, held(url):
        pass
    assert error.value.id == "folder-in-use"
    assert f"found another process at work in {url} (pid {os.getpid()} on " in str(error.value)
    assert said(url)["held"] is False
    with held(url):
        assert said(url)["held"] is True


def test_of_many_at_once_one_gets_it(url):
    got, refused, all_asked = [], [], threading.Barrier(6, timeout=60)

    def ask(number: int) -> None:
        try:
            with held(url):
                got.append(number)
                all_asked.wait()
        except InputError:
            refused.append(number)
            all_asked.wait()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 5)


def test_the_token_of_who_wrote_last_is_told(url):
    with url_locks.held(url, lambda before: before or "first") as lease:
        assert lease.token == "first"
    with url_locks.held(url, lambda before: f"after {before}") as lease:
        assert lease.token == said(url)["token"] == "after first"
        lease.leaves_nothing = True
    assert objects.below(url) == {}


def test_a_dead_process_of_this_machine_loses_it_at_once(url, monkeypatch):
    monkeypatch.setattr(url_locks, "WATCH_SECONDS", 1e6)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    put(url, pid=gone.pid, where=leftovers.host())
    with held(url):
        assert said(url)["id"] != "theirs"


def test_one_elsewhere_loses_it_when_it_is_not_heard_of(url):
    put(url, pid=1, where="elsewhere")
    with held(url):
        assert said(url)["id"] != "theirs"


def test_one_elsewhere_that_is_heard_of_keeps_it(url):
    put(url, pid=17, where="elsewhere", since="noon")
    over = threading.Event()

    def beat() -> None:
        number = 1
        while not over.wait(0.1):
            put(url, pid=17, where="elsewhere", since="noon", beat=(number := number + 1))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(InputError, match="pid 17 on far, since noon"), held(url):
            pass
    finally:
        over.set()
        thread.join()


def test_who_has_lost_it_is_stopped_and_may_write_no_more(url, monkeypatch):
    stopped = threading.Event()
    monkeypatch.setattr(url_locks.os, "kill", lambda *_: stopped.set())
    with held(url) as lease:
        assert lease.is_fresh()
        put(url, pid=17)
        assert stopped.wait(60)
        assert lease.is_lost and not lease.is_fresh()
    assert said(url)["id"] == "theirs"  # it is not given back either


def test_a_lock_whose_answer_got_lost_is_still_ones_own(url, store):
    store.fail("PUT /corpus/locks", "cut")  # it is written, and nobody hears of it
    with held(url) as lease:
        before = said(url)["beat"]
        store.fail("PUT /corpus/locks", "cut")
        while said(url)["beat"] < before + 3:
            assert not lease.is_lost


@pytest.mark.parametrize("content", [b"", b"no JSON", b"[1]", b"\xff\xfe"])
def test_a_damaged_lock_is_nobodys(url, content):
    urls.filesystem(url).pipe_file(urls.join(url, url_locks.NAME), content)
    with held(url):
        assert said(url)["held"] is True


def test_a_store_that_keeps_no_conditions_is_told(url, store, monkeypatch, caplog):
    forward = store.forward

    def careless(method, path, headers, body):
        kept = {name: value for name, value in headers.items() if not name.startswith("If-")}
        return forward(method, path, kept, body)

    monkeypatch.setattr(store, "forward", careless)
    with held(url) as lease:
        assert "writes whatever the condition" in caplog.text
        assert lease.beat()
    caplog.clear()
    monkeypatch.undo()
    for name, value in stores.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.endpoint)
    with held(url):
        assert "condition" not in caplog.text

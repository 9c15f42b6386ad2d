"""One process writes in a folder, and a killed one leaves it to the next."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from roots_tf.storage import files, locks

HOLD = """
import sys, time
from roots_tf.storage import locks
with locks.held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder `run`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "run"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def write_lock(folder, **of_another):
    folder.mkdir(exist_ok=True)
    holder = locks._this_process() | {"since": "2020-02-02 20:20:02+00:00"} | of_another
    (folder / locks.NAME).write_text(json.dumps(holder))


def test_another_process_is_named_and_a_killed_one_is_followed(holder, tmp_path):
    refused = rf"another process at work in .*run \(pid {holder.pid} on .+, since 20.+\); wanted"
    for _ in range(2):
        with pytest.raises(files.InputError, match=refused) as raised, locks.held(tmp_path / "run"):
            pass
    assert "\n" not in str(raised.value)
    with locks.held(tmp_path / "run", is_writer=False):
        pass
    holder.kill()
    holder.wait()
    assert (tmp_path / "run" / locks.NAME).exists()  # its system has given the lock back
    with locks.held(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / locks.NAME).read_text())["pid"] == os.getpid()


def test_nothing_is_left_behind(tmp_path):
    with locks.held(tmp_path / "a" / "b"):
        pass
    assert os.listdir(tmp_path) == []
    with pytest.raises(KeyError), locks.held(tmp_path / "a"):
        (tmp_path / "a" / "kept").touch()
        raise KeyError
    assert os.listdir(tmp_path / "a") == ["kept"]
    assert not [thread for thread in threading.enumerate() if thread.name == "lock"]


def test_of_many_that_come_at_once_one_has_the_folder(tmp_path):
    inside, most, errors = [], [], []

    def work():
        try:
            with locks.held(tmp_path / "run"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()
        except files.InputError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) + len(errors) == 40


@pytest.mark.parametrize("flock_works", [True, False])
@pytest.mark.parametrize("alive", [True, False])
def test_another_machine_is_watched(tmp_path, monkeypatch, flock_works, alive):
    """Its lock may not be seen here, or there is none on this file system."""
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(locks, "WATCH_SECONDS", 0.4)
    if not flock_works:

        def none(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", none)
    write_lock(tmp_path / "run", host="elsewhere", boot="another", pid=7)
    over = threading.Event()

    def beat():
        while not over.wait(0.02):
            os.utime(tmp_path / "run" / locks.NAME)

    thread = threading.Thread(target=beat)
    if alive:
        thread.start()
        named = "pid 7 on elsewhere, since 2020-02-02"
        with pytest.raises(files.InputError, match=named), locks.held(tmp_path / "run"):
            pass
        over.set()
        thread.join()
    else:
        with locks.held(tmp_path / "run"):
            assert json.loads((tmp_path / "run" / locks.NAME).read_text())["pid"] == os.getpid()


def test_the_holder_touches_its_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.01)
    with locks.held(tmp_path):
        path = tmp_path / locks.NAME
        before, end = path.stat().st_mtime_ns, time.monotonic() + 10
        while path.stat().st_mtime_ns == before:
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"pid": "x"}', b'{"boot": 3}'])
def test_a_damaged_lock_of_nobody_is_taken(tmp_path, monkeypatch, content):
    monkeypatch.setattr(locks, "WATCH_SECONDS", 0.01)
    (tmp_path / locks.NAME).write_bytes(content)
    with locks.held(tmp_path):
        assert json.loads((tmp_path / locks.NAME).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/roots_tf/run"])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, place):
    (tmp_path / "file").touch()
    wanted = "could not write .*choose another folder"
    with pytest.raises(files.InputError, match=wanted), locks.held(tmp_path / place):
        pass

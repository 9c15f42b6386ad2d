"""A process that dies or hangs is told as such, and the next question has another."""

import os
import signal
import threading
import time

import pytest

from roots_tf.devices.checks import Asked
from roots_tf.devices.children import Child

LISTING = {"check": "listing", "settings": {}, "reference": False}


@pytest.fixture
def child(tmp_path):
    child = Child(Asked(debug=True), tmp_path, hidden=True)
    yield child
    child.end()


def ended_by(child: Child, number: int):
    """What is said when the process is ended by a signal while it works on a question."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(child.ask(LISTING, 600.0)))
    thread.start()
    while child._process is None:
        time.sleep(0.01)
    os.kill(child._process.pid, number)
    thread.join()
    return answers[0]


def test_a_process_that_dies(child):
    found = ended_by(child, signal.SIGABRT)
    assert (found.status, found.found) == ("crashed", {})
    assert found.said.startswith("found the process ended by SIGABRT; wanted an answer")
    assert ended_by(child, signal.SIGKILL).status == "out-of-memory"  # as the system ends it


def test_a_process_that_takes_too_long(child):
    assert child.ask(LISTING, 0.05).status == "out-of-time"
    assert child._process is None

"""How far a stage is: bars in a pseudo-terminal, lines elsewhere."""

import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import tty
import unicodedata

import pytest
from absl import logging

from roots_tf import progress


class Terminal:
    """A pseudo-terminal of a width, what is written to it, and what then stands on its screen."""

    def __init__(self, columns: int):
        self._reading, writing = pty.openpty()
        tty.setraw(writing)
        fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.stream = os.fdopen(writing, "w", encoding="utf-8")
        self.columns = columns

    def written(self) -> str:
        self.stream.flush()
        os.set_blocking(self._reading, False)
        chunks = []
        try:
            while chunk := os.read(self._reading, 65536):
                chunks.append(chunk)
        except BlockingIOError:
            pass
        return b"".join(chunks).decode()


def screen(written: str) -> list[str]:
    """Lines as they stand in the end: what comes behind a carriage return replaces what stood."""
    lines = []
    for line in written.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets."""
    seconds = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds[0])
    return seconds


@pytest.fixture(params=[80, 40])
def screened(request, monkeypatch):
    """Has stderr be a terminal from its call on, since pytest takes stderr before each test."""

    def begin():
        terminal = terminals.append(Terminal(request.param)) or terminals[0]
        monkeypatch.setattr(sys, "stderr", terminal.stream)
        monkeypatch.setattr(logging.get_absl_handler().python_handler, "stream", terminal.stream)
        return terminal

    terminals = []
    monkeypatch.setattr(progress, "DELAY", 0)
    monkeypatch.setattr(progress, "MIN_SECONDS", 0)
    monkeypatch.setenv("TERM", "xterm")
    yield begin
    progress.close_all()
    monkeypatch.undo()
    terminals[0].stream.close()


def test_a_bar_keeps_within_its_line_and_says_what_is_left(screened):
    terminal = screened()
    with progress.Progress("encode", 4, "tasks") as shown:
        for _ in range(4):
            shown.add()
        during = terminal.written()
    frames = re.split(r"[\r\n]+", during)
    assert all(width(frame) <= terminal.columns for frame in frames)
    assert any(frame.startswith("encode: 2/4 tasks |") and "left" in frame for frame in frames)
    last = screen(during + terminal.written())
    assert last[0].startswith("encode: 4/4 tasks |") and last[1:] == [""]


def test_a_line_is_not_torn(screened):
    terminal = screened()
    logging.set_verbosity(logging.INFO)
    with progress.Progress("train", 10, "steps") as shown:
        shown.reach(3, "loss 4.313")
        print("a first line", file=sys.stderr)
        logging.get_absl_handler().python_handler.stream.write("a second line\n")
        shown.reach(10)
    lines = screen(terminal.written())
    assert lines[:2] == ["a first line", "a second line"]
    assert lines[2].startswith("train: 10/10 steps |") and lines[3:] == [""]
    assert sys.stderr is terminal.stream  # and nothing is in between any more


def test_a_stage_within_another_takes_its_line_and_gives_it_back(screened):
    terminal = screened()
    with progress.Progress("train", 10, "steps") as outer:
        outer.reach(5)
        assert list(progress.track(["a", "b"], "held out", 2, "batches")) == ["a", "b"]
        assert screen(terminal.written())[0].startswith("train: 5/10 steps |")
        outer.reach(10)
    assert screen(terminal.written())[-2].startswith("train: 10/10 steps |")


def test_a_stage_that_an_error_ends_leaves_the_next_line_free(screened):
    terminal = screened()
    report = progress.of_tasks("gather")
    report(0, 3)
    report(1, 3)
    progress.close_all()
    print("an error", file=terminal.stream)
    lines = screen(terminal.written())
    assert lines[0].startswith("gather: 1/3 tasks |")
    assert lines[1:] == ["an error", ""]


def test_what_is_short_has_no_bar(screened, monkeypatch):
    terminal = screened()
    monkeypatch.setattr(progress, "DELAY", 60)
    with progress.Progress("encode", 2, "tasks") as shown:
        shown.add(2)
        print("a line", file=sys.stderr)
    assert screen(terminal.written()) == ["a line", ""]


def test_a_terminal_that_replaces_no_lines_has_no_bar(screened, monkeypatch):
    terminal = screened()
    monkeypatch.setenv("TERM", "dumb")
    with progress.Progress("encode", 2, "tasks") as shown:
        shown.add(2)
    assert terminal.written() == ""


def test_without_bars_a_terminal_shows_none(screened):
    terminal = screened()
    progress.use_bars(False)
    try:
        with progress.Progress("encode", 2, "tasks") as shown:
            shown.add(2)
        assert not shown.has_bar
    finally:
        progress.use_bars(True)
    assert terminal.written() == ""


def test_elsewhere_a_line_comes_every_ten_seconds(clock, caplog):
    logging.set_verbosity(logging.INFO)
    report = progress.of_tasks("count")
    for second in range(25):
        clock[0] = 100.0 + second
        report(2 * second, 1000)
    assert [record.getMessage() for record in caplog.records] == [
        "count: 20/1,000 tasks, 8m10s left, 2 a second",
        "count: 40/1,000 tasks, 8m00s left, 2 a second",
    ]
    assert caplog.records[1].fields == {
        "stage": "count",
        "done": 40,
        "total": 1000,
        "unit": "tasks",
    }


def test_what_was_done_before_says_nothing_of_the_rate(clock):
    shown = progress.Progress("encode", 100, "tasks", done=90)
    assert shown.how_fast() == ""
    clock[0] += 10
    shown.reach(95)
    assert shown.how_fast() == "0m10s left, 0.5 a second"
    shown.reach(100)
    assert shown.how_fast() == "took 0m10s, 1 a second"


def test_without_a_total(clock):
    shown = progress.Progress("embed", None, "texts")
    clock[0] += 2
    shown.add(5000)
    assert (shown.how_far(), shown.how_fast()) == ("embed: 5,000 texts", "2,500 a second")


def test_a_stream_that_is_closed(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with progress.Progress("encode", 2, "tasks") as shown:
        shown.add()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not progress.Progress("encode", 2, "tasks").has_bar


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0m00s"), (190, "3m10s"), (3725, "1h02m"), (1e6, "277h46m")]
)
def test_duration(seconds, text):
    assert progress.duration(seconds) == text

"""How far a long stage is: one bar on a terminal, elsewhere a log line every ten seconds at most.

    with progress.Progress("predict", total=len(texts), unit="texts") as shown:
        for batch in batches:
            ...
            shown.add(len(batch))

`track` does so around a loop, and `of_tasks` for who is told of all that is done. What is logged
or printed meanwhile stands above the bar. A stage within another takes its line until it ends.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator

from absl import logging

LOG_EVERY = 10.0  # seconds between two lines of a stage
DELAY = 0.5  # seconds after which a stage is long enough for a bar
MIN_SECONDS = 0.1  # between two states of a bar
_open: list["Progress"] = []  # stages under way, outermost first
_bars = True


def use_bars(wanted: bool) -> None:
    """Whether there are bars where stderr is a terminal."""
    global _bars
    _bars = wanted


def close_all() -> None:
    """Ends the bars of stages that an error broke off, so that what is printed has its own line."""
    while _open:
        _open[-1].close()


class Progress:
    """A stage under way; a context that ends it.

    Args:
        stage: what is done, such as "encode".
        total: how much there is to do; None is not known.
        unit: of what, in the plural.
        done: how much was done before, which says nothing of the rate.
        logs: whether there are lines where there is no bar.
        prints: whether the result is printed meanwhile, which on a terminal shows how far it is.
    """

    def __init__(
        self,
        stage: str,
        total: int | None,
        unit: str,
        done: int = 0,
        *,
        logs: bool = True,
        prints: bool = False,
    ):
        self._stage, self._total, self._unit = stage, total, unit
        self._before, self.done, self._notes = done, done, ""
        self._start = time.monotonic()
        self._last_log = self._start if logs else float("inf")
        self._bar = None
        is_free = not (prints and _is_terminal(sys.stdout))
        if _bars and is_free and _is_terminal(sys.stderr):
            self._show_bar()

    @property
    def has_bar(self) -> bool:
        """Whether it is shown by a bar."""
        return self._bar is not None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def add(self, count: int = 1) -> None:
        """Some more is done."""
        self.reach(self.done + count)

    def reach(self, done: int, notes: str = "") -> None:
        """So much is done.

        Args:
            done: of all.
            notes: that end the line, such as "loss 4.313".
        """
        count, self.done, self._notes = done - self.done, done, notes or self._notes
        if self._bar is not None:
            if _open[-1] is self:
                self._bar.update(count)
            else:
                self._bar.n = done
        elif time.monotonic() - self._last_log >= LOG_EVERY:
            self._last_log = time.monotonic()
            fields = {"stage": self._stage, "done": done, "total": self._total, "unit": self._unit}
            line = f"{self.how_far()}, {self.how_fast()}".removesuffix(", ")
            logging.info("%s", line, extra={"fields": fields})

    def how_far(self) -> str:
        """`"encode: 12/40 tasks"`."""
        of_all = "" if self._total is None else f"/{self._total:,}"
        return f"{self._stage}: {self.done:,}{of_all} {self._unit}"

    def how_fast(self) -> str:
        """`"9s left, 3.1 a second"`; "" of a stage that has only begun."""
        elapsed, done = time.monotonic() - self._start, self.done - self._before
        if elapsed <= 0 or done <= 0:
            return self._notes
        rate, parts = done / elapsed, []
        if self._total is not None and self.done < self._total:
            parts = [f"{duration((self._total - self.done) / rate)} left"]
        elif self._total is not None:
            parts = [f"took {duration(elapsed)}"]
        if not self._notes:
            parts += [f"{rate:,.0f} a second" if rate >= 10 else f"{rate:.2g} a second"]
        return ", ".join([*parts, self._notes] if self._notes else parts)

    def close(self) -> None:
        """Ends the stage; where it was long, its last state stays on the terminal."""
        if self._bar is None:
            return
        self._bar.close()
        self._bar = None
        _open.remove(self)
        if _open:
            _open[-1].redraw()
        else:
            _above.close()

    def clear(self) -> None:
        """Takes the bar off the screen, until it is drawn again."""
        if self._is_drawn():
            self._bar.clear()

    def redraw(self) -> None:
        """Draws the bar where it was taken off."""
        if self._is_drawn():
            self._bar.refresh()

    def _is_drawn(self) -> bool:
        return self._bar is not None and time.monotonic() - self._start >= DELAY

    def _show_bar(self) -> None:
        if _open:
            _open[-1].clear()
        else:
            _above.enter_context(_lines_above())
        # The real stream: what is written to the other goes above the bar.
        stream = getattr(sys.stderr, "stream", sys.stderr)
        self._bar = _bar_class()(self, self._total, self._before, stream, leave=not _open)
        _open.append(self)


def _is_terminal(stream) -> bool:
    """Whether a stream is there and shows one line in the place of another."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


_above = contextlib.ExitStack()


def _bar_class():
    """The bar; its library is imported where there is one to show."""
    import tqdm

    class Bar(tqdm.tqdm):
        monitor_interval = 0  # no thread of its own

        def __init__(self, progress: Progress, total, before: int, stream, leave: bool):
            self._progress = progress
            super().__init__(
                **{"total": total, "initial": before, "file": stream, "leave": leave},
                **{"position": 0, "dynamic_ncols": True, "delay": DELAY},
                **{"mininterval": MIN_SECONDS, "miniters": 0},
                bar_format="{far} |{bar}| {fast}",
            )

        @property
        def format_dict(self):
            words = {"far": self._progress.how_far(), "fast": self._progress.how_fast()}
            return super().format_dict | words

    return Bar


class _Above:
    """A stream whose lines go above the bar.

    Args:
        stream: where they go.
    """

    def __init__(self, stream):
        self.stream = stream

    def write(self, text: str) -> int:
        """Writes; the bar is off the screen until the line ends."""
        if _open:
            _open[-1].clear()
        count = self.stream.write(text)
        if text.endswith("\n"):
            self.stream.flush()
            if _open:
                _open[-1].redraw()
        return count

    def __getattr__(self, name: str):
        return getattr(self.stream, name)


@contextlib.contextmanager
def _lines_above() -> Iterator[None]:
    """Has what is logged, and printed to a terminal, go above the bar."""
    log, stdout, stderr = logging.get_absl_handler().python_handler, sys.stdout, sys.stderr
    log_stream = log.stream
    sys.stderr = _Above(stderr)
    if log_stream is stderr:
        log.stream = sys.stderr
    if _is_terminal(stdout):
        sys.stdout = _Above(stdout)
    try:
        yield
    finally:
        log.stream, sys.stdout, sys.stderr = log_stream, stdout, stderr


def track(
    items: Iterable, stage: str, total: int | None, unit: str, size: Callable = lambda item: 1
) -> Iterator:
    """The items one by one; each counts as done when the next is asked for.

    Args:
        items: any.
        stage: as for `Progress`.
        total: as for `Progress`.
        unit: as for `Progress`.
        size: how much an item is.
    """
    with Progress(stage, total, unit) as shown:
        for item in items:
            yield item
            shown.add(size(item))


def of_tasks(stage: str) -> Callable[[int, int], None]:
    """A function to be called with the number of finished tasks of a stage, and of all."""
    shown: Progress | None = None

    def report(done: int, total: int) -> None:
        nonlocal shown
        if shown is None:
            shown = Progress(stage, total, "tasks", done)
        shown.reach(done)
        if done >= total:
            shown.close()

    return report


def duration(seconds: float) -> str:
    """`"3m10s"`, `"1h02m"`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s"

"""All checks in their order: the processor's answers first, then the device's beside them."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

from absl import logging

from roots_tf import versions
from roots_tf.devices import private, system
from roots_tf.devices.checks import CHECKS, Asked, Check, Known
from roots_tf.devices.children import Answer, Child
from roots_tf.devices.results import Report, Result
from roots_tf.storage import files, schema

LONGEST = 1 / 3  # of the time left that one case may take: a hang leaves the others theirs
LEAST = 30.0  # seconds that it may take in any case


class Checking:
    """The checks under way; `report` is true at any time.

    Args:
        asked: of the program.
        folder: an empty one, for what processes leave for one another.
        flags: of the program, for the report.
    """

    def __init__(self, asked: Asked, folder: Path, flags: dict):
        self._asked, self._flags = asked, flags
        self._end = time.monotonic() + 60 * asked.minutes
        self._device, self._processor = Child(asked, folder), Child(asked, folder, hidden=True)
        self._facts: dict[str, str] = {}
        self._system = system.shown()
        self._results: list[Result] = []
        self._finished = False

    def run(self) -> None:
        """Makes all of them."""
        children = (self._device, self._processor)
        with contextlib.ExitStack() as stack:
            for child in children:
                stack.callback(child.end)
            listed = self._ask(self._device, "devices", "", _question("listing"))
            self._facts = listed.found.get("facts", {})
            if not self._facts:  # it has not come as far as to see that there is nothing
                said = "TensorFlow did not start: see the first line"
                left = [Result(name, "", "left-out", said) for name, _ in self._wanted()]
                self._results += left
                return
            if not self._accelerator:
                self._processor = self._device  # one process for both
            for name, check in self._wanted():
                self._check(name, check)
            self._finished = True

    @property
    def _accelerator(self) -> str:
        return self._facts.get("accelerator", "")

    def _wanted(self) -> Iterator[tuple[str, Check]]:
        for name, check in CHECKS.items():
            if not self._asked.only or name in self._asked.only:
                yield name, check

    def _check(self, name: str, check: Check) -> None:
        if check.compares and not self._left_by_processor(name):
            return
        known = Known(
            self._asked, self._accelerator, self._facts.get("known as", ""), self._results
        )
        child = self._processor if check.on_processor else self._device
        for case, settings in check.cases(known):
            self._ask(child, name, case, _question(name, settings))

    def _left_by_processor(self, name: str) -> bool:
        """Whether the processor has made what a check compares with; a result says why not."""
        count = len(self._results)
        made = self._ask(self._processor, name, "on the processor", _question(name, reference=True))
        if made.status == "passed":
            del self._results[count:]
        return made.status == "passed"

    def _ask(self, child: Child, name: str, case: str, question: dict) -> Answer:
        """Asks a process, and adds the result."""
        left = self._end - time.monotonic()
        began = time.monotonic()
        if left <= 0:
            said = f"not begun: --minutes={self._asked.minutes:g} were over"
            answer = Answer("out-of-time", said, {})
        else:
            answer = child.ask(question, min(left, max(LONGEST * left, LEAST)))
        seconds = time.monotonic() - began
        result = Result(
            *(name, case, answer.status, answer.said, answer.found.get("numbers", {})),
            seconds=round(seconds, 2),
            log=answer.log,
        )
        self._results.append(result)
        logging.info("%s: %s, %s (%.0f s)", result.name, result.status, result.said, seconds)
        return answer

    @property
    def report(self) -> Report:
        """What was found up to now, without names of people, machines and folders."""
        results = tuple(self._results)
        whole = {
            "format": 1,
            "finished": self._finished,
            "passed": self._finished and not any(result.is_bad for result in results),
            "accelerator": self._accelerator,
            "flags": self._flags,
        }
        known = private.names().items()  # not of words of ours, which someone may be called too
        for name, value in (
            ("machine", versions.facts()),
            ("system", self._system),
            ("tensorflow", {n: v for n, v in self._facts.items() if n != "accelerator"}),
        ):
            whole[name] = private.all_without(value, known)
        whole["results"] = [
            dataclasses.asdict(result)
            | {"said": private.without(result.said, known)}
            | {"log": private.all_without(result.log, known)}
            for result in results
        ]
        return schema.check(files.as_read_back(whole), Report, "the report")


def _question(check: str, settings: dict | None = None, reference: bool = False) -> dict:
    return {"check": check, "settings": settings or {}, "reference": reference}

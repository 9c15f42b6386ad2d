"""What checks find: results, the machine they were made on, and the report of all."""

import dataclasses
from typing import Literal

from roots_tf.storage import schema

Status = Literal["passed", "failed", "crashed", "out-of-memory", "out-of-time", "left-out"]
# Checks that only measure: one that does not fit tells nothing wrong about the device.
MEASURE_ALONE = ("speed", "input")
_BAD = ("failed", "crashed", "out-of-memory", "out-of-time")


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check says of itself.

    Attributes:
        passed: whether what was found is what was wanted.
        said: one line; of one that has not passed, what was found and what was wanted.
        numbers: that were measured, by name.
        facts: texts by name, such as the version of a driver.
    """

    passed: bool
    said: str
    numbers: dict[str, float] = dataclasses.field(default_factory=dict)
    facts: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Result:
    """How one case of a check ended.

    Attributes:
        check: its name, a row of `checks.CHECKS`.
        case: what was asked, such as "mini, mixed_bfloat16, XLA"; "" of a check with one case.
        status: "left-out" where it does not apply here, or what it needs is not there.
        said: see `Finding`.
        numbers: likewise; None stands for one that is not finite.
        seconds: that it took.
        log: the last lines that the process wrote, of one that has crashed or raised an error.
    """

    check: str
    case: str
    status: Status
    said: str
    numbers: dict[str, float | None] = dataclasses.field(default_factory=dict)
    seconds: float = schema.number(0.0, minimum=0)
    log: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Check and case."""
        return f"{self.check}, {self.case}" if self.case else self.check

    @property
    def is_bad(self) -> bool:
        """Whether the device is not shown to be right for it."""
        if self.check in MEASURE_ALONE and self.status in ("out-of-memory", "out-of-time"):
            return False
        return self.status in _BAD


@dataclasses.dataclass(frozen=True)
class Report:
    """All that a bug report needs, and nothing that names a person, a machine or a folder.

    Attributes:
        format: of this file, 1.
        finished: whether every check had its turn; not so of a run that was interrupted.
        passed: whether none was bad.
        accelerator: what was checked: "GPU", "TPU", or "" where it was the processor alone.
        machine: of processor, memory, packages and variables, as `roots version` says it.
        system: accelerators as the system shows them.
        tensorflow: what TensorFlow sees, and how it was built.
        flags: of the program, without paths.
        results: in the order in which they were made.
    """

    format: Literal[1]
    finished: bool
    passed: bool
    accelerator: Literal["", "GPU", "TPU"]
    machine: dict[str, str]
    system: dict[str, str]
    tensorflow: dict[str, str]
    flags: dict[str, object]
    results: tuple[Result, ...]

    @property
    def bad(self) -> list[Result]:
        """Those for which the program ends with status 1."""
        return [result for result in self.results if result.is_bad]

    def table(self) -> str:
        """The report for a terminal."""
        lines = [f"  {name:<14} {value}" for name, value in self._head().items()]
        lines.append("")
        lines += _speeds([result for result in self.results if result.check == "speed"])
        for result in self.results:
            if result.check != "speed" or result.status != "passed":
                lines.append(f"  {result.status:<14} {result.name}: {result.said}")
        if not self.finished:
            lines.append("  interrupted: other checks had no turn")
        return "\n".join(lines)

    def _head(self) -> dict[str, str]:
        seen = self.tensorflow.get("devices", "none")
        where = f"the {self.accelerator}" if self.accelerator else "the processor alone"
        return {
            "checked": where,
            "devices": seen,
            **{name: self.system[name] for name in ("nvidia-smi", "CUDA") if name in self.system},
            "tensorflow": f"{self.machine.get('tensorflow', '?')}, "
            f"{self.tensorflow.get('build', 'how it was built is not known')}",
        }


def _speeds(results: list[Result]) -> list[str]:
    """The rows of a table of speed, of those that were measured."""
    rows = [result for result in results if result.status == "passed"]
    if not rows:
        return []
    lines = [
        f"  {'step':<34} {'rows':>5} {'tokens/s':>12} {'GiB':>7} {'of peak':>8} {'first, s':>9}"
    ]
    for row in rows:
        found = row.numbers
        share = found.get("share_of_peak")
        lines.append(
            f"  {row.case:<34} {found['rows']:>5.0f} {found['tokens_per_second']:>12,.0f} "
            f"{found['peak_bytes'] / 2**30:>7.2f} "
            f"{f'{100 * share:.1f} %' if share is not None else '-':>8} "
            f"{found['first_seconds']:>9.1f}"
        )
    return [*lines, ""]

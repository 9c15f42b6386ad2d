"""Check that a device trains, saves, generates and serves as the processor does, and how fast.

    roots check-device                       # a machine with GPUs, or none
    roots check-device --strategy=tpu --tpu=local

Takes ten minutes at most (`--minutes`). It lists devices and versions; compares the update of a
small model with the processor's by precision, with XLA and without; restores a checkpoint; compares
a continuation and the answers of a SavedModel; trains twice from one seed; and measures tokens/s
and memory of a step by size, precision and compilation, and how fast input is read. It prints a
table and writes all of it as JSON to `--output`, for a bug report: no names of machines, people or
folders stand there. Each check runs in a process of its own kind, so that one that dies, hangs or
takes too much memory is reported as such and the others go on.

Without an accelerator the same is made on the processor, and the table says so. The exit status is
0 if all passed and 1 if a check failed, crashed, or ended for want of memory or time; of what is
only measured, the last two are reported and no more.
"""

import dataclasses
import tempfile
from pathlib import Path
from typing import Literal

from roots_tf import program, spelling
from roots_tf.devices.checking import Checking
from roots_tf.devices.checks import CHECKS, Asked
from roots_tf.mistakes import Identified
from roots_tf.models.config import SIZES
from roots_tf.storage import files


class FailedCheckError(Identified, Exception):
    """A check of the device was not passed; the report is written."""

    exit_status = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of `check-device`."""

    output: str = program.flag("device.json", help="JSON file of the report", role="output_file")
    strategy: Literal["auto", "tpu"] = program.flag(
        "auto", help="auto: the first GPU, or the processor where there is none"
    )
    tpu: str = program.flag("", help="name of the TPU, or local")
    minutes: float = program.flag(10.0, help="in which all has to be done", above=0, maximum=10_000)
    sizes: tuple[str, ...] = program.flag(
        ("mini", "small", "base"), help="of models whose steps are measured"
    )
    only: tuple[str, ...] = program.flag(
        (),
        help=f"checks to make after the list of devices: {', '.join(CHECKS)}; none: all of them; "
        "devices: that list alone",
    )
    seed: int = program.flag(0, help="of weights, batches and dropout", **program.SEED)
    debug: bool = program.flag(False, help="a model of one small layer, measured in no time")


DEBUG = {"sizes": ("tiny",)}


@program.takes_urls
def main(config: Config) -> dict:
    """Makes the checks, prints the table, writes the report and returns it.

    Raises:
        FailedCheckError: a check was not passed.
    """
    config = program.replace(config, **DEBUG) if config.debug else config
    _check_names("sizes", config.sizes, tuple(SIZES))
    _check_names("only", config.only, ("devices", *CHECKS))
    if config.tpu and config.strategy != "tpu":
        raise files.InputError(
            "flags-conflict", f"found --tpu={config.tpu} without --strategy=tpu; wanted both"
        )
    flags = program.flat(config)
    asked = Asked(**{name: value for name, value in flags.items() if name != "output"})
    told = {name: flags[name] for name in flags.keys() - {"output", "tpu"}}
    with tempfile.TemporaryDirectory() as scratch:
        checking = Checking(asked, Path(scratch), told)
        try:
            checking.run()
        finally:  # of a run that is stopped, what there is
            report = checking.report
            as_json = files.as_read_back(dataclasses.asdict(report))
            files.write_json(config.output, as_json)
            print(report.table())
    if report.bad:
        names = ", ".join(result.name for result in report.bad)
        raise FailedCheckError(
            "device-differs",
            f"found {len(report.bad)} of {len(report.results)} checks not passed: {names}; wanted "
            f"none: attach {config.output} to a report of a bug",
        )
    return as_json


def _check_names(flag: str, found: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Refuses names that nobody knows, or none.

    Raises:
        InputError: there is one.
    """
    for name in found:
        if name not in known:
            meant = spelling.suggestion(name, known)
            raise files.InputError(
                "no-such-choice",
                f"found --{flag}={name}; wanted some of {', '.join(known)}{meant}",
            )
    if not found and flag == "sizes":
        raise files.InputError("wrong-value", "found no --sizes; wanted one at least")


if __name__ == "__main__":
    program.run(main, Config)

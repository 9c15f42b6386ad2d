"""Kill workers of a run that `launch` watches: it goes on by itself, and ends in the same bytes.

    python -m benchmarks.launched_kills --kills=10

Takes five minutes on two processors. A tiny pretraining on two workers, once as it is and once with
a worker killed after each new checkpoint, first the one, then the other; nothing is started again
but by the launcher. Prints a line a kill, and what of the two runs is the same.
"""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import kills
from roots_tf import program

SIZES = kills.SIZES | kills.CADENCE | {"checkpoint_every": 10, "log_every": 10}
FLAGS = {"batch_size": 8, "evaluate_every": 0, "evaluate_batches": 1, "intermediate_dim": 64}
FLAGS |= {"precision": "float32", "peak_flops": 1e11, "dropout": 0.1, "duration": 200} | SIZES


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the script."""

    kills: int = program.flag(10, help="how many", minimum=1, maximum=19)


def launched(folder: Path, output: Path) -> subprocess.Popen:
    """A launcher of two workers that pretrain; it writes to a file beside the output."""
    flags = FLAGS | {"examples": folder / "examples", "output": output}
    words = ["pretrain", *(f"--{name}={value}" for name, value in flags.items())]
    command = ["-c", "from roots_tf.commands import roots; roots()", "launch", "--num_processes=2"]
    log = output.with_suffix(".log").open("w")
    return subprocess.Popen([sys.executable, *command, "--", *words], stdout=log, stderr=log)


def workers(launcher: int) -> list[int]:
    """Process ids of the programs below the guards below the launcher, in their order."""
    parents, indices = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            process = int(stat.parent.name)
            parents[process] = int(stat.read_text().rpartition(")")[2].split()[1])
            index = re.search(rb'"index": (\d)', stat.with_name("environ").read_bytes())
        except OSError:  # it has ended
            continue
        if index:
            indices[process] = int(index[1])
    found = {i: p for p, i in indices.items() if parents.get(parents[p]) == launcher}
    return [found[index] for index in sorted(found)]


def restarts(output: Path) -> int:
    """How often a launcher has said that all start again."""
    return output.with_suffix(".log").read_text().count("all start again")


def main(config: Config) -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kills.done(kills.start(lambda: kills.prepare(folder), folder / "prepare.log"))
        whole, killed = folder / "whole", folder / "killed"
        assert launched(folder, whole).wait() == 0, whole.with_suffix(".log").read_text()
        process, before = launched(folder, killed), 0
        for number in range(config.kills):
            while kills.newest(killed)[1] <= before and process.poll() is None:
                time.sleep(0.01)
            assert process.poll() is None, killed.with_suffix(".log").read_text()
            before = kills.newest(killed)[1]
            assert restarts(killed) == number
            os.kill(workers(process.pid)[number % 2], signal.SIGKILL)
            print(f"worker {number % 2} killed after step {before}", flush=True)
            while restarts(killed) == number and process.poll() is None:
                time.sleep(0.01)
            before = kills.newest(killed)[1]  # which the other worker may have written since
        status = process.wait()
        print(f"exit status {status}; {restarts(killed)} restarts by the launcher")
        same = kills.outcome(killed) == kills.outcome(whole)
        print("the same bytes" if same else "OTHER BYTES")
        assert same and status == 0, killed.with_suffix(".log").read_text()


if __name__ == "__main__":
    program.run(main, Config)

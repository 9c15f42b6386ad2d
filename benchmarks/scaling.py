"""What a strategy costs: replicas and workers beside one device, of the same and of more rows.

    python -m benchmarks.scaling --size=mini --rows=32 --output=runs/scaling.json

Masked words in rows of 128 tokens, float32, as `pretrain` makes a step: one device; `mirrored` on
one and on two logical devices, which share two cores; `multi_worker` with two processes, each on a
core of its own. Strong scaling: `--rows` in all; weak: twice as many on two.

    cost          time of a step over that of one device, of the same rows on the same cores: of the
                  clock, and of the processors of all its processes
    efficiency    of what two cores could do beside one of a single core: strong, a step of half the
                  time; weak, one of the same time

Each contender is a fresh process, or two, in each of `--rounds`; figures are medians of steps, the
lesser of the rounds. Prints the machine's load beside them: on a busy one the clock's are worth
little, and the processor's a bit more. Takes a quarter of a minute a contender and round.
"""

import dataclasses
import json
import os
import subprocess
import sys
from typing import NamedTuple

from roots_tf import program
from roots_tf.launching import places
from roots_tf.models.config import SIZES
from roots_tf.storage import files

# Prints milliseconds of the clock and of this process's processors, of the median step.
CHILD = """
import json, os, statistics, sys, time
asked = json.loads(sys.argv[1])
os.sched_setaffinity(0, asked["cores"])
from roots_tf import models, objectives, training
training.keep_freed_memory()
import tensorflow as tf
from roots_tf.planning.measuring import task_of
from roots_tf.planning.random_batches import random_batch
from roots_tf.training import calls, optimizers, parts_of_step, strategies
from roots_tf.training.step import TrainStep
strategy = strategies.make_strategy(asked["strategy"], asked["devices"])
workers = strategies.worker(strategy)[1]
objective, length = objectives.MaskedLM(), 128
with strategy.scope():
    sizes = models.EncoderConfig.of_size(asked["size"], max_sequence_length=length,
                                         vocabulary_size=30522)
    model = objective.make_model(sizes)
    step = TrainStep(task_of(objective, model),
                     optimizers.make("adamw", model.trainable_variables, 0.01),
                     lambda now: tf.constant(0.0), seed=0, max_grad_norm=1.0)
    call = calls.make_call(step, tf.Variable(0, dtype=tf.int64))
    batch = random_batch(objective, asked["rows"] // workers, length, 30522)
    iterator = iter(parts_of_step.repeated(batch))
    call(iterator, 1)
    took = []
    for _ in range(asked["steps"]):  # as many on each worker, or one would wait for the other
        began, used = time.perf_counter(), time.process_time()
        call(iterator, 1)
        took.append((time.perf_counter() - began, time.process_time() - used))
clock, processor = (1000 * statistics.median(each) for each in zip(*took))
print(json.dumps({"clock": clock, "processor": processor}))
sys.stdout.flush()
os._exit(0)  # a worker that ends first would be told of as lost
"""


class Contender(NamedTuple):
    """One way to make a step.

    Attributes:
        strategy: as the flag of `pretrain`.
        devices: of each process.
        processes: how many, each with an equal part of the cores.
        cores: of all processes.
        times: of `--rows`, rows of the step.
    """

    strategy: str
    devices: int
    processes: int
    cores: int
    times: int

    @property
    def name(self) -> str:
        """As the table shows it."""
        several = f" x {self.devices * self.processes}" if self.strategy != "one_device" else ""
        return f"{self.strategy}{several}, {self.cores} core{'s' * (self.cores > 1)}"

    @property
    def baseline(self) -> "Contender":
        """One device with the same rows and cores."""
        return Contender("one_device", 1, 1, self.cores, self.times)


ONE_CORE = Contender("one_device", 1, 1, 1, 1)
CONTENDERS = (
    ONE_CORE,
    *(Contender("one_device", 1, 1, 2, times) for times in (1, 2)),
    Contender("mirrored", 1, 1, 2, 1),
    *(Contender("mirrored", 2, 1, 2, times) for times in (1, 2)),
    *(Contender("multi_worker", 1, 2, 2, times) for times in (1, 2)),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    size: str = program.flag("mini", help=f"of the model: {', '.join(SIZES)}")
    rows: int = program.flag(32, help="of a step, an even number", minimum=2, maximum=1 << 16)
    steps: int = program.flag(10, help="timed in a round", minimum=1, maximum=100_000)
    rounds: int = program.flag(2, help="of all contenders", minimum=1, maximum=100)
    output: str = program.flag("", help="JSON file for the figures; none if empty")


def main(config: Config) -> list[dict]:
    """Runs all, prints a table and returns its rows."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2 or config.rows % 2:
        raise files.InputError(
            "wrong-value",
            f"found {len(cores)} cores and --rows={config.rows}; wanted two and an even number",
        )
    before, found = os.getloadavg()[0], {}
    for _ in range(config.rounds):
        for contender in CONTENDERS:
            took = run(config, contender, cores)
            least = found.setdefault(contender, took)
            found[contender] = {name: min(took[name], least[name]) for name in took}
    rows = figures(found, config.rows)
    print(f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after, of {os.cpu_count()} cores")
    print(f"{'':<28}{'rows':>6}{'ms':>9}{'CPU ms':>9}{'cost':>7}{'CPU':>7}{'efficiency':>18}")
    for row in rows:
        cost = "".join(f"{row[key]:>7.2f}" for key in ("clock_cost", "processor_cost"))
        kind = f"{row['scaling']} {row['efficiency']:.2f}" if row["scaling"] else ""
        print(
            f"{row['name']:<28}{row['rows']:>6}{row['clock']:>9.1f}{row['processor']:>9.1f}{cost}"
            f"{kind:>18}"
        )
    if config.output:
        files.write_json(config.output, {"load": [before, os.getloadavg()[0]], "rows": rows})
    return rows


def figures(found: dict[Contender, dict], rows: int) -> list[dict]:
    """Costs and efficiencies, a row each.

    Args:
        found: milliseconds of `clock` and `processor` of each contender.
        rows: of the flag.
    """
    table = []
    for contender, took in found.items():
        base, single = found[contender.baseline], found[ONE_CORE]["clock"]
        row = {"name": contender.name, "rows": contender.times * rows} | took
        row |= {f"{name}_cost": took[name] / base[name] for name in took}
        row["scaling"] = {1: "strong", 2: "weak"}[contender.times] if contender.cores == 2 else ""
        row["efficiency"] = contender.times * single / (contender.cores * took["clock"])
        table.append(row)
    return table


def run(config: Config, contender: Contender, cores: list[int]) -> dict[str, float]:
    """Milliseconds of a step: of the clock, the mean of the processes; of processors, their sum.

    Raises:
        InputError: a process has failed.
    """
    share = contender.cores // contender.processes
    started = []
    for index, environment in enumerate(_environments(contender.processes)):
        asked = {
            "strategy": contender.strategy,
            "devices": contender.devices,
            "cores": cores[index * share : (index + 1) * share],
            "rows": contender.times * config.rows,
            "size": config.size,
            "steps": config.steps,
        }
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", CHILD, json.dumps(asked)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )  # fmt: skip
        )
    try:
        ended = [process.communicate(timeout=1800) for process in started]
    finally:
        for process in started:
            process.kill()
    found = []
    for process, (printed, said) in zip(started, ended, strict=True):
        if process.returncode:
            last = said.strip().splitlines()[-1:] or ["no message"]
            raise files.InputError(
                "step-failed",
                f"found status {process.returncode} of {contender.name} ({last[0]}); wanted a step",
            )
        found.append(json.loads(printed.splitlines()[-1]))
    clock = sum(each["clock"] for each in found) / len(found)
    return {"clock": clock, "processor": sum(each["processor"] for each in found)}


def _environments(count: int) -> list[dict[str, str]]:
    """Environments of processes; those of several hold the cluster on this machine."""
    if count == 1:
        return [{name: value for name, value in os.environ.items() if name != "TF_CONFIG"}]
    found = places.here(count)
    return [os.environ | {"TF_CONFIG": places.tf_config(found, index)} for index in range(count)]


if __name__ == "__main__":
    program.run(main, Config)

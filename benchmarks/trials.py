"""Trials of pretraining at equal minutes: what a change of flags or parts is worth, over seeds.

    python -m benchmarks.trials --examples=runs/examples --minutes=5 --seeds=3 --processes=2 \
        --work=runs/trials --output=runs/trials/scores.json

A trial of the plan has `flags` of `roots pretrain`, behind those that the plan gives to all, in
which `{0.5}` stands for half of the updates, such as the length of a phase, and
`parts`: fields of `models.EncoderConfig` in place of those of its `--preset`. It may have
`examples` of its own, and so another vocabulary: losses then do not compare, bits a byte do.

Each trial has the updates that take `--minutes` on one processor, its own, by the speed of a short
run before, in time on the processor; how long programs take to start does not count. All are asked
for the same masked tokens of the same held-out rows, packed full of text. The table gives the mean
over the seeds, and how far the seeds lie apart. Each run that has finished is kept in `--work`, and
is not run twice.
"""

import dataclasses
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from benchmarks import time_to_loss
from roots_tf import models, program, tokenizers
from roots_tf.objectives.masked_lm_task import MaskedLMTask
from roots_tf.storage import files
from roots_tf.training import loop, strategies

SHARE = re.compile(r"\{(1|0?\.\d+)\}")  # in a flag, of the updates
STEPS = 60  # of the run that measures the speed; its first half does not count
# The preset's parts are changed in the process that trains, before flags are read. Its clock is the
# time that it had on its processor: its speed is its own, whatever else the machine does meanwhile.
CHILD = """
import json, sys, time, types
from roots_tf.models import config
from roots_tf.training import loop
loop.time = types.SimpleNamespace(monotonic=time.process_time)
preset, parts = json.loads(sys.argv.pop(1))
config.PRESETS[preset] = config.PRESETS[preset] | parts
from pipelines import pretrain
from roots_tf import program
program.run(pretrain.main, pretrain.Config)
"""


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    examples: str = program.flag(help="folder that build-examples wrote")
    plan: str = program.flag("", help="TOML file of the trials; none: trials.toml beside this")
    only: tuple[str, ...] = program.flag((), help="names of trials; none: all")
    minutes: float = program.flag(5.0, help="of a run", minimum=0.01, maximum=1e4)
    seeds: int = program.flag(3, help="runs of a trial, of seeds 0, 1, ...", minimum=1, maximum=99)
    processes: int = program.flag(2, help="runs at a time, one a processor", minimum=1, maximum=99)
    held_out_batches: int = program.flag(16, help="of 32 rows", minimum=1, maximum=10_000)
    work: str = program.flag("runs/trials", help="folder of the runs")
    output: str = program.flag("", help="JSON file for the scores; none if empty")


@dataclasses.dataclass(frozen=True)
class Trial:
    """What a trial changes.

    Attributes:
        name: in the plan.
        flags: of `pretrain`, those of all trials before its own.
        parts: fields of `models.EncoderConfig`.
        examples: folder.
    """

    name: str
    flags: tuple[str, ...]
    parts: dict
    examples: str

    def of(self, steps: int) -> list[str]:
        """The flags of a run of so many updates."""
        return [
            SHARE.sub(lambda share: str(round(float(share[1]) * steps)), flag)
            for flag in self.flags
        ]

    def given(self, name: str) -> str:
        """The value of a flag, the last one given, as it counts.

        Raises:
            InputError: the trial does not have it.
        """
        values = dict(flag.removeprefix("--").partition("=")[::2] for flag in self.flags)
        if name not in values:
            raise files.InputError(
                "missing-flag",
                f"found no --{name}= in the flags of {self.name}; wanted it in the plan",
            )
        return values[name]


def main(config: Config) -> list[dict]:
    """Runs all; prints the table and returns its rows."""
    trials = planned(config)
    processors = SimpleQueue()
    for number in sorted(os.sched_getaffinity(0))[: config.processes]:
        processors.put(number)
    jobs = [(trial, seed) for seed in range(config.seeds) for trial in trials]
    with ThreadPoolExecutor(config.processes) as pool:
        steps = pool.map(lambda trial: steps_of(config, trial, processors), trials)
        steps = {trial.name: count for trial, count in zip(trials, steps, strict=True)}
        folders = pool.map(lambda job: trained(config, *job, steps[job[0].name], processors), jobs)
        folders = dict(zip([(t.name, seed) for t, seed in jobs], folders, strict=True))
    rows = []
    for trial in trials:
        losses, bits = zip(
            *(scores(config, trial, folders[trial.name, seed]) for seed in range(config.seeds)),
            strict=True,
        )
        rows.append({"name": trial.name, "steps": steps[trial.name], "losses": losses})
        rows[-1] |= {"bits_a_byte": bits}
    show(rows)
    if config.output:
        files.write_json(config.output, rows)
    return rows


def planned(config: Config) -> list[Trial]:
    """The trials of the plan."""
    path = Path(config.plan or Path(__file__).with_name("trials.toml"))
    plan = tomllib.loads(path.read_text("utf-8"))
    if unknown := [name for name in config.only if name not in plan["trials"]]:
        raise files.InputError(
            "no-such-choice",
            f"found no trial {unknown[0]!r}; wanted one of {', '.join(plan['trials'])}",
        )
    found = []
    for name, given in plan["trials"].items():
        if config.only and name not in config.only:
            continue
        flags = (*plan["flags"], *given.get("flags", ()))
        parts = given.get("parts", {})
        folder = given.get("examples", config.examples)
        found.append(Trial(name, flags, parts, folder))
    return found


def steps_of(config: Config, trial: Trial, processors: SimpleQueue) -> int:
    """Updates that take the minutes of a trial, by the speed of a short run."""
    folder = trained(config, trial, 0, STEPS, processors)
    lines = Path(folder, "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if "examples_per_second" in row]
    speed = statistics.median(row["examples_per_second"] for row in rows[len(rows) // 2 :])
    return max(1, int(config.minutes * 60 * speed / int(trial.given("batch_size"))))


def trained(config: Config, trial: Trial, seed: int, steps: int, processors: SimpleQueue) -> Path:
    """The folder of a run, which is run on a processor of its own where it has not been."""
    flags = trial.of(steps)
    flags += [f"--duration={steps}", f"--seed={seed}", f"--examples={trial.examples}"]
    flags += ["--evaluate_every=0", "--checkpoint_every=1000000", "--log_every=10"]
    parts = json.dumps([trial.given("preset"), trial.parts])
    name = f"{trial.name}-{files.fingerprint([flags, parts])}"
    folder, log = Path(config.work, name), Path(config.work, f"{name}.log")
    if Path(folder, "report.json").exists():
        return folder
    log.parent.mkdir(parents=True, exist_ok=True)
    processor = processors.get()
    try:
        with log.open("wb") as output:
            status = subprocess.run(
                [sys.executable, "-c", CHILD, parts, f"--output={folder}", *flags],
                stdout=output,
                stderr=output,
                preexec_fn=lambda: os.sched_setaffinity(0, [processor]),
            ).returncode
    finally:
        processors.put(processor)
    if status:
        raise files.InputError("step-failed", f"{trial.name} ended with status {status}; see {log}")
    return folder


def scores(config: Config, trial: Trial, folder: Path) -> tuple[float, float]:
    """Held-out loss in nats a masked token, and in bits a byte of the text behind them."""
    asked = dataclasses.replace(config, examples=trial.examples)
    held_out = time_to_loss.batches(asked, "held_out", config.held_out_batches)
    with strategies.make_strategy("one_device").scope():
        model = models.load(folder / "model")
        evaluate = loop.make_evaluate(MaskedLMTask(model, pairs=False), held_out)
        loss = float(evaluate()["masked_lm_loss"])
    tokenizer = tokenizers.load(folder / "model")
    targets = [b["masked_lm_ids"][b["masked_lm_weights"] > 0] for b in held_out]
    sizes = np.array([len(tokenizer.decode([i]).encode()) for i in range(tokenizer.size)])
    return loss, loss / math.log(2) / sizes[np.concatenate(targets)].mean()


def show(rows: list[dict]) -> None:
    """Prints means and ranges, the lowest mean first."""
    print(f"\n{'':<28}{'updates':>8}{'loss':>9}{'range':>8}{'bits/byte':>11}")
    for row in sorted(rows, key=lambda row: statistics.fmean(row["bits_a_byte"])):
        spread = max(row["losses"]) - min(row["losses"])
        print(
            f"{row['name'][:27]:<28}{row['steps']:>8}{statistics.fmean(row['losses']):>9.3f}"
            f"{spread:>8.3f}{statistics.fmean(row['bits_a_byte']):>11.3f}",
            flush=True,
        )


if __name__ == "__main__":
    program.run(main, Config)

"""Forecasts of `roots plan` beside what runs take: memory and time, on this machine.

    python -m benchmarks.plan --what=memory
    python -m benchmarks.plan --what=time --examples=work/examples

Memory: a fresh process for each row makes the model, the optimizer and ten steps on a random batch
as `pretrain` does, and reads how high its resident memory went (VmHWM) and how much arrays were
(TensorFlow's own count, where its allocator keeps one: on processors with oneDNN's kernels). Other
work on the machine does not disturb it. Allow half a minute a row.

Time: `roots plan --device=here`, then `roots pretrain` on the examples, each in a process of its
own, for each size and precision; the median of the steps that `metrics.jsonl` tells of. Only an
idle machine tells: allow five minutes for tiny, mini and small.
"""

import dataclasses
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from roots_tf import processor, program
from roots_tf.storage import files

BFLOAT16 = {"precision": "mixed_bfloat16"}
CAUSAL = {"objective": "causal_lm"}
# Size, rows, length, vocabulary, and flags besides; 20 predictions a row of the masked models.
ROWS = (
    ("tiny", 32, 128, 30_522, {}),
    ("tiny", 32, 128, 30_522, BFLOAT16),
    ("tiny", 32, 512, 8_192, {}),
    ("tiny", 32, 128, 50_257, CAUSAL),
    ("mini", 32, 128, 30_522, {}),
    ("mini", 32, 128, 30_522, BFLOAT16),
    ("mini", 64, 128, 8_192, {}),
    ("mini", 64, 128, 8_192, {"recompute": True}),
    ("mini", 64, 128, 8_192, {"accumulate_steps": 4}),
    ("mini", 32, 128, 8_192, {"preset": "modern"}),
    ("mini", 16, 128, 8_192, CAUSAL),
    ("mini", 16, 128, 50_257, CAUSAL | BFLOAT16),
    ("small", 32, 128, 30_522, {}),
    ("small", 32, 128, 30_522, BFLOAT16),
)
MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    what: Literal["memory", "time"] = program.flag("memory", help="what is compared")
    examples: str = program.flag("", help="folder that build-examples wrote, for the time")
    sizes: tuple[str, ...] = program.flag(("tiny", "mini", "small"), help="model sizes")
    precisions: tuple[str, ...] = program.flag(
        ("float32", "mixed_bfloat16"), help="types of the products"
    )
    batch_size: int = program.flag(32, help="rows of a step, for the time")
    steps: int = program.flag(60, help="of each run, for the time")
    seconds: float = program.flag(10.0, help="that the plan measures")
    output: str = program.flag("", help="JSON file for the results; none if empty")


def main(config: Config) -> list[dict]:
    """Measures, prints a line a row and returns the rows."""
    rows = (memory if config.what == "memory" else time)(config)
    if config.output:
        files.write_json(config.output, rows)
    return rows


def memory(config: Config) -> list[dict]:
    """Each of `ROWS` of the sizes that are asked for."""
    rows, code = [], "import json, sys\nfrom benchmarks import plan\n"
    code += "print(json.dumps(plan.memory_of(json.loads(sys.argv[1]))))"
    print(f"{'forecast':>9} {'resident':>9} {'off':>7} {'of arrays':>9} {'off':>7}   MiB")
    for size, batch_size, length, vocabulary_size, flags in ROWS:
        if size in config.sizes:
            asked = {"size": size, "batch_size": batch_size, "length": length}
            asked |= {"vocabulary_size": vocabulary_size} | flags
            lines = _run(["-c", code, json.dumps(asked)])
            found = json.loads(lines.splitlines()[-1])
            rows.append(asked | found)
            print(
                f"{found['forecast'] / MIB:>9,.0f} {found['resident'] / MIB:>9,.0f} "
                f"{_off(found['forecast'], found['resident'])} {found['arrays'] / MIB:>9,.0f} "
                f"{_off(found['forecast_of_arrays'], found['arrays'])}   {asked}",
                flush=True,
            )
    return rows


def memory_of(asked: dict) -> dict:
    """Ten steps in this process, which has to be a fresh one; bytes.

    Args:
        asked: sizes and flags by name.
    """
    from roots_tf import models, objectives, training
    from roots_tf.planning.footprint import Step, footprint

    training.keep_freed_memory()
    name = asked.get("objective", "masked_lm")
    objective = objectives.CausalLM()
    if name == "masked_lm":
        objective = objectives.MaskedLM(max_predictions_per_seq=20)
    sizes = models.EncoderConfig.of_size(
        asked["size"],
        asked.get("preset", objective.preset),
        vocabulary_size=asked["vocabulary_size"],
        max_sequence_length=asked["length"],
    )
    parts = asked.get("accumulate_steps", 1)
    step = Step(
        config=sizes,
        objective=name,
        rows=asked["batch_size"] // parts,
        length=asked["length"],
        predictions=20,
        precision=asked.get("precision", "float32"),
        recompute=asked.get("recompute", False),
        micro_batches=parts,
        threads=os.cpu_count(),
        pooled=processor.has_onednn(),
    )
    arrays = ten_steps(objective, step, asked["batch_size"])
    status = Path("/proc/self/status").read_text()
    found = footprint(step)
    return {
        "forecast": found.peak - found.checkpoint,  # which nobody writes here
        "forecast_of_arrays": found.peak - found.checkpoint - found.runtime - found.allocator,
        "resident": int(re.search(r"VmHWM:\s+(\d+)", status)[1]) << 10,
        "arrays": arrays,
    }


def ten_steps(objective, step, batch_size: int) -> int:
    """Trains for ten steps as `pretrain` does; most bytes of arrays, 0 where nobody counts them.

    Args:
        objective: that makes the model.
        step: a `planning.footprint.Step`.
        batch_size: B.
    """
    import tensorflow as tf

    from roots_tf.planning.measuring import task_of
    from roots_tf.planning.random_batches import random_batch
    from roots_tf.training import calls, optimizers, parts_of_step
    from roots_tf.training.step import TrainStep

    how = {"precision": step.precision, "recompute": step.recompute}
    task = task_of(objective, objective.make_model(step.config, **how))
    train_step = TrainStep(
        task,
        optimizers.AdamW([variable.value for variable in task.model.trainable_variables]),
        lambda now: tf.constant(1e-4),
        seed=0,
        max_grad_norm=1.0,
        accumulate_steps=step.micro_batches,
        measure_every=50,
        last_step=10,
    )
    batch = random_batch(objective, batch_size, step.length, step.config.vocabulary_size)
    call = calls.make_call(train_step, tf.Variable(0, dtype=tf.int64))
    call(iter(parts_of_step.repeated(batch)), 10)
    try:
        return tf.config.experimental.get_memory_info("CPU:0")["peak"]
    except (ValueError, KeyError):
        return 0


def time(config: Config) -> list[dict]:
    """Seconds of a step, forecast and taken, by size and precision."""
    rows = []
    print(f"{'forecast':>10} {'taken':>10} {'off':>7}   ms a step")
    for size in config.sizes:
        for precision in config.precisions:
            found = time_of(config, [f"--size={size}", f"--precision={precision}"])
            rows.append({"size": size, "precision": precision} | found)
            print(
                f"{1000 * found['forecast']:>10,.1f} {1000 * found['taken']:>10,.1f} "
                f"{_off(found['forecast'], found['taken'])}   {size} {precision}; {found['how']}",
                flush=True,
            )
    return rows


def time_of(config: Config, flags: list[str]) -> dict:
    """Seconds of a step, forecast and taken.

    Args:
        config: of the benchmark.
        flags: of size and precision.
    """
    flags = [*flags, f"--examples={config.examples}", f"--batch_size={config.batch_size}"]
    plan = ["-m", "pipelines.plan", "--device=here", f"--seconds={config.seconds}", "--json"]
    speed = json.loads(_run([*plan, *flags]))["devices"][0]["speed"]
    with tempfile.TemporaryDirectory() as folder:
        run = ["-m", "pipelines.pretrain", f"--output={folder}/run", f"--duration={config.steps}"]
        _run([*run, "--log_every=10", "--evaluate_every=0", "--evaluate_batches=1", *flags])
        lines = Path(folder, "run", "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["group"] == "train"]
    length = json.loads(Path(config.examples, "manifest.json").read_text())["max_seq_length"]
    tokens = config.batch_size * length
    taken = [tokens / row["tokens_per_second"] for row in rows[1:]]  # the first one compiles
    return {
        "forecast": speed["seconds"],
        "taken": statistics.median(taken),
        "how": speed["how"],
    }


def _off(forecast: float, found: float) -> str:
    return f"{100 * (forecast / found - 1):>+6.1f}%" if found else f"{'-':>7}"


def _run(arguments: list[str]) -> str:
    run = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if run.returncode:
        raise files.InputError(
            "step-failed", f"found an error in {arguments[:4]}: {run.stderr[-500:]}"
        )
    return run.stdout


if __name__ == "__main__":
    program.run(main, Config)

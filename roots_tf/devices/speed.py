"""Tokens a second and memory of a step, by size, precision and compilation."""

import os
import re
import statistics
import time
from pathlib import Path

import tensorflow as tf

from roots_tf import memory, models, objectives, processor
from roots_tf.devices.place import LeftOut, Place
from roots_tf.devices.results import Finding
from roots_tf.planning import measuring
from roots_tf.planning.accelerators import accelerators
from roots_tf.planning.footprint import Step, footprint
from roots_tf.planning.random_batches import random_batch
from roots_tf.training import calls, optimizers, parts_of_step
from roots_tf.training.step import TrainStep

LENGTH, VOCABULARY = 128, 30_522
ROWS = {"": 8, "GPU": 256, "TPU": 256}  # at most, where memory allows
SHARE = 0.8  # of the memory that is there, by the planner's count
STEPS_A_CALL = 10  # as pretrain has it; on a processor one
DEBUG = {"num_layers": 1, "hidden_dim": 32, "num_heads": 2, "intermediate_dim": 64}


def run(
    place: Place, size: str, precision: str, compiled: bool, known_as: str, seconds: float
) -> Finding:
    """Measures the step of masked words, rows of 128 tokens, as `pretrain` makes it.

    Args:
        place: where.
        size: of `models.SIZES`.
        precision: a Keras dtype policy.
        compiled: whether forward and backward are compiled with XLA.
        known_as: name of the device in the planner's table; "" of one that it does not know.
        seconds: to measure for, after the first call.
    """
    objective = objectives.MaskedLM()
    length, vocabulary = (16, 64) if place.debug else (LENGTH, VOCABULARY)
    sizes = models.EncoderConfig.of_size(
        size, "bert", vocabulary_size=vocabulary, max_sequence_length=length
    )
    if place.debug:
        sizes = models.EncoderConfig(**vars(sizes) | DEBUG)
    rows = _rows(place, objective, sizes, precision)
    if place.accelerator == "GPU":
        tf.config.experimental.reset_memory_stats("GPU:0")
    _reset_resident()
    with place.strategy.scope():
        model = objective.make_model(sizes, seed=place.seed, precision=precision)
        variables = model.trainable_variables
        train_step = TrainStep(
            measuring.task_of(objective, model),
            optimizers.make("adamw", variables, 0.01),
            lambda now: tf.constant(0.0),
            seed=place.seed,
            max_grad_norm=1.0,
            jit_compile=compiled,
        )
        call = calls.make_call(train_step, tf.Variable(0, dtype=tf.int64, trainable=False))
        batch = random_batch(objective, rows, length, vocabulary, place.seed)
        iterator = iter(parts_of_step.repeated(batch))
        steps = STEPS_A_CALL if place.accelerator else 1
        first, took = _timed(lambda: call(iterator, steps), seconds)
    step = statistics.median(took) / steps
    reached = objective.step_flops(sizes, rows, length) / step
    numbers = {
        "rows": rows,
        "tokens_per_second": rows * length / step,
        "step_milliseconds": 1000 * step,
        "first_seconds": first,
        "peak_bytes": _peak_bytes(place),
        "flops_per_second": reached,
    }
    if known_as:
        numbers["share_of_peak"] = reached / accelerators()[known_as].peak_of(precision)
    return Finding(True, f"{numbers['tokens_per_second']:,.0f} tokens/s", numbers)


def _timed(call, seconds: float) -> tuple[float, list[float]]:
    """Seconds of the first call, which compiles, and of some more."""
    took = []
    end = None
    while end is None or len(took) < 3 or time.monotonic() < end:
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
        end = end or time.monotonic() + seconds
    return took[0], took[1:]


def _rows(place: Place, objective, sizes, precision: str) -> int:
    """Rows of a batch that the memory holds, by the planner's count.

    Raises:
        LeftOut: it does not hold one.
    """
    available = measuring.accelerator_memory() if place.accelerator == "GPU" else 0
    if not place.accelerator:
        available = memory.available() + measuring.resident()
    length = sizes.max_sequence_length
    rows = 4 if place.debug else ROWS[place.accelerator]
    while available:
        step = Step(
            sizes, "masked_lm", rows, length, objective.predictions(length), precision,
            threads=0 if place.accelerator else os.cpu_count(), pooled=processor.has_onednn(),
        )  # fmt: skip
        found = footprint(step)
        needed = found.peak - found.checkpoint  # which nobody writes here
        if needed <= SHARE * available:
            break
        if rows == 1:
            raise LeftOut(
                f"it takes {needed / 2**30:.1f} GiB by the planner's count; found "
                f"{available / 2**30:.1f}"
            )
        rows //= 2
    return rows


def _reset_resident() -> None:
    """Has the system count the most that this process holds anew, where it can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak_bytes(place: Place) -> float:
    """Most bytes of the GPU, or of this process on a processor; 0 where nobody counts."""
    if place.accelerator == "GPU":
        return float(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    status = Path("/proc/self/status")
    if place.accelerator or not status.exists():
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+)", status.read_text())
    return float(int(found[1]) << 10) if found else 0.0

"""Steps and products, timed on this machine. TensorFlow is loaded with this file.

A step here is `pretrain`'s: its update, its call of many steps, its compilation.
"""

import re
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf
from tensorflow.python.client import device_lib

from roots_tf.planning.footprint import Step
from roots_tf.planning.forecast import Speed
from roots_tf.planning.random_batches import random_batch
from roots_tf.training import automatic, calls, optimizers, parts_of_step
from roots_tf.training.peak import matmul_peak
from roots_tf.training.settings import Hardware, Optimization
from roots_tf.training.step import TrainStep

LEAST_SECONDS = 2.0  # in which whole steps are made, however few seconds are asked for
# Objectives of which there are random batches.
MEASURED = ("masked_lm", "causal_lm", "replaced_tokens", "denoising")


class Machine(NamedTuple):
    """What products reach here.

    Attributes:
        precision: of the products.
        peak: FLOP/s.
        memory: bytes of the accelerator; 0 without one.
    """

    precision: str
    peak: float
    memory: float = 0.0


def machine(hardware: Hardware, seconds: float) -> Machine:
    """What `pretrain` would compute in here, and the best matrix product.

    Args:
        hardware: the flags.
        seconds: to measure for.
    """
    strategy = tf.distribute.get_strategy()
    precision = automatic.choose(hardware, strategy, 1, measure=False).precision
    peak = hardware.peak_flops or matmul_peak(precision.removeprefix("mixed_"), seconds)
    return Machine(precision, peak, accelerator_memory())


def accelerator_memory() -> float:
    """Bytes of the first GPU, as far as TensorFlow tells; 0 without one."""
    gpus = tf.config.list_logical_devices("GPU")
    if not gpus:
        return 0.0
    limit = next((d for d in device_lib.list_local_devices() if d.device_type == "GPU"), None)
    return float(limit.memory_limit) if limit else 0.0


def resident() -> int:
    """Bytes of this process, of the kind that `VmRSS` counts; 0 where nobody counts them."""
    status = Path("/proc/self/status")
    found = re.search(r"VmRSS:\s+(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) << 10 if found else 0


def time_steps(
    objective,
    step: Step,
    optimization: Optimization,
    hardware: Hardware,
    *,
    expected: float,
    seconds: float,
    seed: int = 0,
) -> Speed:
    """Seconds of a step, from steps of one micro-batch, or of fewer rows where that takes long.

    The learning rate is 0: the work is the same, and the model stays where it is.

    Args:
        objective: one of `MEASURED`.
        step: sizes, rows of a micro-batch, precision and the like.
        optimization: flags of the run.
        hardware: likewise.
        expected: about how many seconds a micro-batch takes.
        seconds: about how long to measure, after what is compiled.
        seed: of the weights and the batch.
    """
    rows, longest = step.rows, max(seconds, LEAST_SECONDS) / 4
    if expected > longest:
        rows = max(1, int(rows * longest / expected))
    model = objective.make_model(
        step.config, seed=seed, precision=step.precision, recompute=step.recompute
    )
    compiled = automatic.choose(
        hardware, tf.distribute.get_strategy(), 1, measure=False
    ).jit_compile
    train_step = TrainStep(
        task_of(objective, model),
        optimizers.make(
            optimization.optimizer,
            model.trainable_variables,
            optimization.weight_decay,
            optimization.beta_2,
            precision=step.precision,
        ),
        lambda now: tf.constant(0.0),
        seed=seed,
        max_grad_norm=optimization.max_grad_norm,
        jit_compile=compiled,
    )
    call = calls.make_call(train_step, tf.Variable(0, dtype=tf.int64))
    batch = random_batch(objective, rows, step.length, step.config.vocabulary_size, seed)
    iterator = iter(parts_of_step.repeated(batch))
    call(iterator, 1)  # traces and compiles
    took, end = [], time.monotonic() + seconds
    while len(took) < 3 or time.monotonic() < end:
        began = time.perf_counter()
        call(iterator, 1)
        took.append(time.perf_counter() - began)
    fewer = f"{rows} of {step.rows}" if rows < step.rows else f"{rows}"
    how = f"measured: {len(took)} steps of {fewer} rows"
    return Speed(statistics.median(took) * step.micro_batches * step.rows / rows, how, True)


def task_of(objective, model):
    """What is trained: the `model`, by an `objective`; random batches of masked words are pairs."""
    from roots_tf.objectives.causal_lm_task import CausalLMTask
    from roots_tf.objectives.denoising_task import DenoisingTask
    from roots_tf.objectives.masked_lm_task import MaskedLMTask
    from roots_tf.objectives.replaced_tokens_task import ReplacedTokensTask

    tasks = {"causal_lm": CausalLMTask, "denoising": DenoisingTask, "masked_lm": MaskedLMTask}
    return (tasks | {"replaced_tokens": ReplacedTokensTask})[objective.name](model)

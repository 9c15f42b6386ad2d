"""What `auto` stands for on this machine, by what its devices are, and why."""

import platform
from typing import NamedTuple

import tensorflow as tf
from absl import logging

from roots_tf import processor
from roots_tf.training.peak import matmul_peak
from roots_tf.training.settings import Hardware

# What multiplies bfloat16, as Linux names it in /proc/cpuinfo: Intel's matrix units do 2.6 times
# the products of float32 in a second, and AVX-512's instruction twice (AMD from Zen 4 on), of which
# a step keeps 1.4 to 1.7 times. Without either the casts cost more than they save.
_BFLOAT16_UNITS = ("amx_bf16", "avx512_bf16")


class Computation(NamedTuple):
    """What a step is computed in, once `auto` is resolved.

    Attributes:
        precision: a Keras dtype policy.
        jit_compile: whether forward and backward are compiled whole.
        peak_flops: FLOP/s that the devices of the run can reach together; 0 if not known.
    """

    precision: str
    jit_compile: bool
    peak_flops: float = 0.0


def choose(
    hardware: Hardware, strategy: tf.distribute.Strategy, workers: int, measure: bool = True
) -> Computation:
    """What a run computes with; logs what `auto` stands for and why.

    Args:
        hardware: the flags.
        strategy: where the step runs.
        workers: processes of the run.
        measure: whether to measure the peak where the flags do not give it: half a second.
    """
    precision = hardware.precision
    if precision == "auto":
        precision, why = pick_precision(strategy)
        logging.info("precision: %s; %s", precision, why)
    compiled = hardware.jit_compile == "true"
    if hardware.jit_compile == "auto":
        compiled, why = pick_jit_compile(strategy)
        logging.info("jit_compile: %s; %s", str(compiled).lower(), why)
    peak_flops = hardware.peak_flops
    if measure and not peak_flops:
        peak_flops = measure_peak(strategy, precision, workers)
    return Computation(precision, compiled, peak_flops)


def pick_precision(strategy: tf.distribute.Strategy) -> tuple[str, str]:
    """A Keras dtype policy for the step, and the reason for it in words.

    It follows from what the device is and not from a trial, which would depend on what else the
    machine does: the same command gives the same weights.

    Args:
        strategy: where the step runs.
    """
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return "mixed_bfloat16", "TPUs multiply in bfloat16"
    if gpus := tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpus[0])
        capability = details.get("compute_capability", (0, 0))
        named = f"{details.get('device_name', 'GPU')}, compute capability {capability}"
        if capability >= (8, 0):
            return "mixed_bfloat16", f"{named}: bfloat16 matrix units, from 8.0 on"
        if capability >= (7, 0):
            return "mixed_float16", f"{named}: float16 matrix units, from 7.0 on"
        return "float32", f"{named}: no matrix units of half precision"
    if found := [unit for unit in _BFLOAT16_UNITS if unit in processor.features()]:
        return "mixed_bfloat16", f"the processor multiplies bfloat16 ({found[0]})"
    return "float32", f"the processor ({platform.machine()}) does not multiply bfloat16"


def pick_jit_compile(strategy: tf.distribute.Strategy) -> tuple[bool, str]:
    """Whether to compile forward and backward whole with XLA, and the reason in words."""
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return False, "a TPU step is compiled in any case"
    if tf.config.list_physical_devices("GPU"):
        return True, "XLA fuses the step's elementwise parts on a GPU"
    return False, (
        "on a CPU products are faster outside XLA, and what lies between them is compiled anyway"
    )


def measure_peak(strategy: tf.distribute.Strategy, precision: str, workers: int = 1) -> float:
    """FLOP/s that the devices of a run can reach together in matrix products; 0 if not known.

    Measured on one device; a machine's logical CPU devices share its processors.

    Args:
        strategy: where the step runs.
        precision: a Keras dtype policy.
        workers: processes of the run.
    """
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return 0.0
    devices = strategy.num_replicas_in_sync
    if not tf.config.list_physical_devices("GPU"):
        devices = workers
    return devices * matmul_peak(precision.removeprefix("mixed_"))

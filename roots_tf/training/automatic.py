"""What `auto` stands for on this machine, by rule or by a short trial, and why."""

import tensorflow as tf
from absl import logging

from roots_tf.training.peak import matmul_peak

GAIN = 1.5  # how much faster bfloat16 products must be to pay for the casts around them


def choose(
    strategy: tf.distribute.Strategy,
    workers: int,
    precision: str,
    jit_compile: str,
    peak_flops: float,
) -> dict:
    """What a run computes with; tells what `auto` picked and why.

    Args:
        strategy: where the step runs.
        workers: processes of the run.
        precision: a Keras dtype policy, or "auto".
        jit_compile: "true", "false" or "auto".
        peak_flops: FLOP/s of the devices together; 0 measures them.

    Returns:
        `precision`, `jit_compile` as a bool, and `peak_flops`.
    """
    if precision == "auto":
        precision, why = pick_precision(strategy, workers)
        logging.info("precision: %s; %s", precision, why)
    compiled = jit_compile == "true"
    if jit_compile == "auto":
        compiled, why = pick_jit_compile(strategy)
        logging.info("jit_compile: %s; %s", str(compiled).lower(), why)
    peak_flops = peak_flops or measure_peak(strategy, precision, workers)
    return {"precision": precision, "jit_compile": compiled, "peak_flops": peak_flops}


def pick_precision(strategy: tf.distribute.Strategy, workers: int = 1) -> tuple[str, str]:
    """A Keras dtype policy for the step, and the reason for it in words.

    Args:
        strategy: where the step runs.
        workers: processes of the run; several must decide alike, so they try nothing out.
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
    if workers > 1:
        return "float32", "several workers on CPUs"
    peaks = {"float32": 0.0, "bfloat16": 0.0}
    for dtype in 2 * tuple(peaks):  # in turn: what else the machine does should hit both
        peaks[dtype] = max(peaks[dtype], matmul_peak(dtype, seconds=0.3) / 1e9)
    chosen = "mixed_bfloat16" if peaks["bfloat16"] > GAIN * peaks["float32"] else "float32"
    return chosen, (
        f"a product here runs at {peaks['float32']:,.0f} GFLOP/s in float32 and at "
        f"{peaks['bfloat16']:,.0f} in bfloat16, which must be {GAIN} times as fast to pay"
    )


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
    """
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return 0.0
    devices = strategy.num_replicas_in_sync
    if not tf.config.list_physical_devices("GPU"):
        devices = workers
    return devices * matmul_peak(precision.removeprefix("mixed_"))

"""Where the step runs: one device, several, several machines, or a TPU."""

import contextlib
import json
import os
import signal

import tensorflow as tf
from absl import logging

from roots_tf import notices, program
from roots_tf.mistakes import Identified
from roots_tf.storage.files import InputError


class WorkerLostError(Identified, Exception):
    """Another worker of a multi-worker run is gone; every worker has to be started again."""

    exit_status = 4


def make_strategy(name: str, num_devices: int = 0, tpu: str = "") -> tf.distribute.Strategy:
    """The `tf.distribute` strategy of that name; call it before TensorFlow has made a tensor.

    Args:
        name: "one_device"; "mirrored" (all GPUs of this machine, or logical CPU devices);
            "multi_worker" (the machines that `TF_CONFIG` names, each with all its GPUs); "tpu"; or
            "auto": multi_worker where `TF_CONFIG` names several workers, tpu where one is named,
            mirrored where there are several GPUs, else one device.
        num_devices: devices to use, of each worker; 0 means all. Without GPUs, more than one makes
            logical CPU devices, which shows that a run is right on several devices and makes it no
            faster.
        tpu: name or address of the TPU; "local" on a TPU VM.

    Raises:
        InputError: there are fewer devices than asked for, or more than the strategy has, or no
            such cluster.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if (
        not gpus
        and (seen := notices.gpus())
        and os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1")
    ):
        logging.warning(
            "the system shows a GPU (%s), and TensorFlow finds none: this runs on the CPU. "
            "%s=0 shows why; its libraries come with pip install 'tensorflow[and-cuda]'",
            *(seen[0], notices.LEVEL),
        )
    workers = _workers_named()
    if name == "auto":
        several = max(len(gpus), num_devices) > 1
        name = "mirrored" if several else "one_device"
        name = "multi_worker" if len(workers) > 1 else "tpu" if tpu else name
    if name == "tpu":
        return _tpu_strategy(tpu)
    if name == "one_device":
        if num_devices > 1:
            raise InputError(
                "no-such-device",
                f"found --strategy=one_device and --num_devices={num_devices}; wanted "
                "--strategy=mirrored, or one device",
            )
        return tf.distribute.OneDeviceStrategy("/GPU:0" if gpus else "/CPU:0")
    if not gpus and num_devices > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        # Refused once TensorFlow has started; the devices it started with are counted below.
        with contextlib.suppress(RuntimeError):
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration()] * num_devices
            )
    if name == "multi_worker":
        return _multi_worker_strategy(workers)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    count = num_devices or len(devices)
    if count > len(devices):
        raise InputError(
            "no-such-device",
            f"found {len(devices)} devices; wanted --num_devices={count}: use fewer, or 0 for all",
        )
    # Collectives between logical CPU devices buy nothing, and allow one group size a process.
    reduction = None if gpus else tf.distribute.ReductionToOneDevice()
    names = [device.name for device in devices[:count]]
    return tf.distribute.MirroredStrategy(names, cross_device_ops=reduction)


def _workers_named() -> list[str]:
    """Addresses of the workers in `TF_CONFIG`, which tf.distribute's cluster resolvers read."""
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {})
        return cluster.get("chief", []) + cluster.get("worker", [])
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(
            "wrong-value", f"found a TF_CONFIG that is no JSON of a cluster: {error}"
        ) from error


def _multi_worker_strategy(workers: list[str]) -> tf.distribute.Strategy:
    if not workers:
        raise InputError(
            "cluster-unreachable",
            "found no workers in the environment variable TF_CONFIG; wanted, on each machine, "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}} '
            "with its own index",
        )
    # It waits for the other workers, outside of Python, where no handler of Python's would run.
    handled = [n for n in program.SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in handled}
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        line = str(error).strip().splitlines()[0]
        raise InputError(
            "cluster-unreachable",
            f"could not join the {len(workers)} workers of TF_CONFIG ({', '.join(workers)}): "
            f"{line}; start the same command on every one of them",
        ) from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _tpu_strategy(tpu: str) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        line = str(error).strip().splitlines()[0]
        raise InputError(
            "no-such-device", f"found no TPU {tpu!r}: {line}; wanted --tpu=local or its name"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def worker(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """Index of this process among the workers of a run, and their number; the chief is 0.

    A TPU, of however many hosts, is driven by one process.
    """
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        resolver = strategy.cluster_resolver
        cluster = resolver.cluster_spec().as_dict()
        chiefs = len(cluster.get("chief", []))
        index = resolver.task_id + (chiefs if resolver.task_type == "worker" else 0)
        return index, chiefs + len(cluster.get("worker", []))
    return 0, 1


def waits_for_others() -> bool:
    """Whether this is one of several workers, on CPUs, whose part of a step the clock can tell."""
    several = worker(tf.distribute.get_strategy())[1] > 1
    return several and not tf.config.list_logical_devices("GPU")


def total(strategy: tf.distribute.Strategy, number: int) -> int:
    """Sum of a number over workers; each has to call this at the same point of the run.

    Args:
        strategy: of the run.
        number: of this worker.
    """
    workers = worker(strategy)[1]
    if workers == 1:
        return number
    replicas = strategy.run(lambda: tf.constant(float(number)))
    summed = strategy.reduce(tf.distribute.ReduceOp.SUM, replicas, axis=None)
    return round(float(summed) * workers / strategy.num_replicas_in_sync)


def chiefs(strategy: tf.distribute.Strategy, number: float) -> float:
    """The chief's number, on every worker; each has to call this at the same point of the run.

    Args:
        strategy: of the run.
        number: what this worker has; in float32 where there are several.
    """
    index, workers = worker(strategy)
    if workers == 1:
        return number
    replicas = strategy.run(lambda: tf.constant(number if index == 0 else 0.0, tf.float32))
    summed = strategy.reduce(tf.distribute.ReduceOp.SUM, replicas, axis=None)
    return float(summed) * workers / strategy.num_replicas_in_sync


def make_agree(strategy: tf.distribute.Strategy):
    """A function by which workers learn that one of them was told to stop.

    It takes the number of the signal that this worker has received, 0 for none, and gives that
    number, or SIGTERM's where another worker has received one, so that all stop after one step.
    """

    def agree(number: int) -> int:
        everyone = total(strategy, number)
        return number or (signal.SIGTERM if everyone else 0)

    return agree


@contextlib.contextmanager
def lost_workers_named():
    """Turns the error that TensorFlow raises when a worker has died into `WorkerLostError`."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        raise WorkerLostError(
            "worker-lost",
            "another worker of this run has stopped or cannot be reached; start the same command "
            "on every worker again: the run goes on from its last checkpoint "
            f"({str(error).strip().splitlines()[0][:200]})",
        ) from error

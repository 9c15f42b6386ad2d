"""Where the milliseconds of a training step go, and what each part would take at the least.

    python -m benchmarks.step_profile --sizes=tiny,mini --lengths=128,512 --output=step_profile.json

The step of `benchmarks.train_step`, ours, under TensorFlow's profiler, on one thread: run it on one
idle processor. A part's floor is its FLOPs over the best matrix product of this process, or the
bytes that it cannot but read and write over the speed of adding 1 to a large array:

- products: all matrix products, forward and backward;
- cross entropy: over the vocabulary's logits, which it reads twice and whose gradient it writes and
  reads once more for the bias; timed by itself, in the same process;
- between products: the other compiled kernels: activations, softmaxes, norms, dropout and sums;
- optimizer: AdamW, clipping and the scale: weights and moments read and written, gradients read
  three times and written once;
- the rest: what other operations take, such as lookups, and the executor between them.
"""

import collections
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmarks import train_step
from roots_tf import losses, models, program
from roots_tf.models import flops
from roots_tf.objectives.masked_lm_task import MaskedLMTask
from roots_tf.storage import files
from roots_tf.training import memory, optimizers, step, strategies

PRODUCTS = (
    *("MatMul", "BatchMatMulV2", "_FusedMatMul"),
    *("_MklMatMul", "_MklBatchMatMulV2", "_MklNativeFusedMatMul"),  # oneDNN's
)
UPDATE = ("ResourceApplyAdam", "L2Loss")


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the benchmark."""

    sizes: tuple[str, ...] = program.flag(("tiny", "mini"), help="model sizes")
    lengths: tuple[str, ...] = program.flag(("128", "512"), help="sequence lengths")
    precision: str = program.flag("float32", help="float32 or mixed_bfloat16")
    vocab_size: int = program.flag(30_522, help="vocabulary")
    steps: int = program.flag(5, help="that are profiled", minimum=1, maximum=1000)
    output: str = program.flag("", help="JSON file for the parts; none if empty")


def main(config: Config) -> list[dict]:
    """Prints a table for each size and length; returns them."""
    memory.keep_freed_memory()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    peak, bandwidth = measured_peak(config.precision), measured_bandwidth()
    print(f"best product {peak / 1e9:.0f} GFLOP/s, adding 1 {bandwidth / 1e9:.1f} GB/s")
    found = []
    for length in map(int, config.lengths):
        for size in config.sizes:
            found.append({"size": size, "length": length, "peak": peak, "bandwidth": bandwidth})
            found[-1]["parts"] = profiled(config, size, length, peak, bandwidth)
            show(found[-1])
    if config.output:
        files.write_json(config.output, found)
    return found


def profiled(config: Config, size: str, length: int, peak: float, bandwidth: float) -> dict:
    """Milliseconds and floor of each part, and of the whole."""
    asked = train_step.Config(vocab_size=config.vocab_size)
    spec, flops_a_token = train_step.asked(asked, size, length)
    encoder = models.EncoderConfig.of_size(
        size, vocabulary_size=config.vocab_size, max_sequence_length=length
    )
    with strategies.make_strategy("one_device").scope():
        model = models.Pretrainer(encoder, precision=config.precision)
        optimizer = optimizers.AdamW([v.value for v in model.trainable_variables], 0.01)
        made = step.TrainStep(
            *(MaskedLMTask(model), optimizer, lambda at: tf.constant(1e-4)),
            seed=0,
            max_grad_norm=1.0,
        )
        call = tf.function(made)
    with tempfile.TemporaryDirectory() as scratch:
        path = train_step.write_batches(spec, 0, Path(scratch), count=1)[0]
        batch = {name: tf.constant(value) for name, value in np.load(path).items()}

    def run(steps: int) -> float:
        began = time.perf_counter()
        for number in range(steps):
            sums = call(batch, tf.constant(number, tf.int64))
        float(sums["masked_lm_loss"][0])
        return (time.perf_counter() - began) / steps

    run(3)
    whole = min(run(config.steps) for _ in range(3))
    with tempfile.TemporaryDirectory() as scratch:
        tf.profiler.experimental.start(scratch)
        run(config.steps)
        tf.profiler.experimental.stop()
        times = seconds_by_part(Path(scratch))
    times = {part: seconds / config.steps for part, seconds in times.items()}
    rows, vocabulary = spec["batch_size"] * spec["predictions"], config.vocab_size
    times["cross entropy"] = cross_entropy_seconds(rows, vocabulary)
    times["between products"] -= times["cross entropy"]
    times["the rest"] = whole - sum(times.values())
    work = flops_a_token * spec["batch_size"] * length
    floors = {
        "products": work / peak,
        "cross entropy": 4 * 4 * rows * vocabulary / bandwidth,
        "optimizer": 10 * 4 * flops.parameters(encoder) / bandwidth,
    }
    parts = {name: [1e3 * times[name], 1e3 * floors.get(name, 0.0)] for name in sorted(times)}
    return parts | {"a step": [1e3 * whole, 1e3 * sum(floors.values())]}


def seconds_by_part(folder: Path) -> dict[str, float]:
    """Time of operations and of compiled kernels, each without that of what it calls."""
    total = collections.Counter()
    space = xplane_pb2.XSpace.FromString(next(folder.rglob("*.xplane.pb")).read_bytes())
    for plane in space.planes:
        names = {key: about.name for key, about in plane.event_metadata.items()}
        for line in plane.lines:
            events = [(e.offset_ps, -e.duration_ps, names[e.metadata_id]) for e in line.events]
            around = []  # events that have not ended: name, end
            for start, minus_duration, name in sorted(events):
                while around and around[-1][1] <= start:
                    around.pop()
                own = part_of(name)
                total[own] -= minus_duration / 1e12
                if around:
                    total[part_of(around[-1][0])] += minus_duration / 1e12
                around.append((name, start - minus_duration))
    return {part: total[part] for part in ("products", "between products", "optimizer")}


def part_of(event: str) -> str:
    """The part of a step that an event of the profiler belongs to."""
    name, _, kind = event.rpartition(":")
    if kind in PRODUCTS:
        return "products"
    if kind in UPDATE or "/cond/" in name or name.startswith("global_norm"):
        return "optimizer"
    kernel = event.removeprefix("end: ")
    if "fusion" in kernel or kernel.startswith(("wrapped_", "CpuExecutable::")):
        return "between products"
    return "the rest"


def cross_entropy_seconds(rows: int, vocabulary: int) -> float:
    """Of the loss over float32 logits, its gradient and that of the bias."""
    logits = tf.random.stateless_normal([rows, vocabulary], [0, 1])
    labels = tf.zeros([rows], tf.int32)

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss, right = losses.cross_entropy(logits, labels)
            total = tf.reduce_sum(loss)
        gradient = tape.gradient(total, logits)
        return total, tf.reduce_sum(right), gradient

    return best_of(gradients)


def measured_peak(precision: str) -> float:
    """FLOP/s of a product of 2,048 rows, in the compute type."""
    kind = tf.float32 if precision == "float32" else tf.bfloat16
    x = tf.cast(tf.random.stateless_normal([2048, 2048], [0, 1]), kind)
    return 2 * 2048**3 / best_of(tf.function(lambda: tf.matmul(x, x), autograph=False))


def measured_bandwidth() -> float:
    """Bytes a second of reading and writing 78 MB."""
    x = tf.random.stateless_normal([640, 30_522], [0, 1])
    add = tf.function(lambda: x + 1.0, jit_compile=True, autograph=False)
    return 2 * 4 * 640 * 30_522 / best_of(add)


def best_of(function, calls: int = 10) -> float:
    """Seconds of the fastest of some calls."""
    found = []
    for _ in range(calls):
        began = time.perf_counter()
        tf.nest.map_structure(lambda x: x.shape, function())
        found.append(time.perf_counter() - began)
    return min(found)


def show(found: dict) -> None:
    """Prints the parts of a step."""
    print(f"{found['size']}, {found['length']} tokens a row\n{'':<20}{'ms':>9}{'floor':>9}")
    for name, (spent, floor) in found["parts"].items():
        print(f"{name:<20}{spent:>9.1f}" + (f"{floor:>9.1f}" if floor else ""), flush=True)


if __name__ == "__main__":
    program.run(main, Config)

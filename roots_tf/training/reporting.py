"""From what the steps counted to what a person reads: scalars, speeds, spikes, a line."""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from absl import logging

from roots_tf import progress
from roots_tf.losses import Scalar, names_of_losses
from roots_tf.training.calls import Result
from roots_tf.training.checkpoint_notes import WindowState
from roots_tf.training.step import Sums

COUNTS = frozenset({"skipped", "spikes"})  # of the step; their sums are reported, not their means

# Of small BERTs no norm was above 1.9 times the median before it, over 295 steps of one run and the
# 98 rows of three others.
SPIKE_FACTOR = 5.0
SPIKE_ROWS = 20  # enough for a median that a spike does not move, few enough to follow the run
SPIKE_LEAST_ROWS = 5  # before that, in the first rows, norms fall from their start


@dataclasses.dataclass(frozen=True)
class Work:
    """What one step does; 0 where it is not known.

    Attributes:
        tokens: positions in a global batch, padding included.
        examples: rows in a global batch.
        flops: floating point operations of the model, forward and backward.
        peak_flops: FLOP/s that the devices of the run can reach together.
    """

    tokens: int
    examples: int = 0
    flops: float = 0.0
    peak_flops: float = 0.0


def scalars_of(sums: Sums, declared: Sequence[Scalar]) -> dict[str, float]:
    """Sums as the numbers that are reported: counts, weighted means, and what follows from means.

    >>> perplexity = Scalar("x_perplexity", "loss", of="x_loss", by=math.exp)
    >>> scalars_of({"x_loss": (6.0, 3.0), "skipped": (2.0, 50.0), "y": (0.0, 0.0)}, [perplexity])
    {'x_loss': 2.0, 'skipped': 2.0, 'x_perplexity': 7.38905609893065}

    A sum of weight 0 gives nothing: nothing is known of it. What follows from a mean follows from
    the mean over all batches: a perplexity is no mean of perplexities.

    Args:
        sums: sum and weight by name.
        declared: the scalars of the task.
    """
    scalars = {}
    for name, (value, weight) in sums.items():
        if float(weight):
            scalars[name] = float(value) if name in COUNTS else float(value) / float(weight)
    for scalar in declared:
        if scalar.by is not None and scalar.of in scalars:
            value = scalar.by(scalars[scalar.of])
            if value is not None:
                scalars[scalar.name] = value
    return scalars


def mean_sums(parts: Sequence[Sums]) -> Sums:
    """Sums of which each mean is the mean of those of the parts, whatever their weights.

    >>> mean_sums([{"x_loss": (6.0, 3.0)}, {"x_loss": (40.0, 10.0)}])
    {'x_loss': (3.0, 1.0)}

    Args:
        parts: sum and weight by name; a weight of 0 says nothing of its part.
    """
    means: dict[str, list[float]] = {}
    for part in parts:
        for name, (value, weight) in part.items():
            if float(weight):
                means.setdefault(name, []).append(float(value) / float(weight))
    return {name: (statistics.fmean(values), 1.0) for name, values in means.items()}


def loss_of(scalars: dict[str, float], declared: Sequence[Scalar]) -> float:
    """The loss, the sum of its parts; NaN where none of them is known.

    Args:
        scalars: by name.
        declared: the scalars of the task, which say what is a part of the loss.
    """
    parts = [scalars[name] for name in names_of_losses(declared) if name in scalars]
    return sum(parts) if parts else math.nan


def speeds(work: Work, steps: int, seconds: float, input_wait: float) -> dict[str, float]:
    """How fast steps went.

    >>> speeds(Work(tokens=100, flops=3e9, peak_flops=1e12), 20, 2.0, 0.5)
    {'tokens_per_second': 1000.0, 'input_wait': 0.25, 'flop_utilization': 0.03}

    Args:
        work: of a step.
        steps: how many.
        seconds: that they took.
        input_wait: those of them in which a step waited for its batch.
    """
    scalars = {
        "tokens_per_second": work.tokens * steps / seconds,
        "input_wait": input_wait / seconds,
    }
    if work.examples:
        scalars["examples_per_second"] = work.examples * steps / seconds
    if work.flops and work.peak_flops:
        # Chowdhery et al. 2022 (arXiv:2204.02311), appendix B: what is recomputed does not count.
        scalars["flop_utilization"] = work.flops * steps / seconds / work.peak_flops
    return scalars


def memory() -> dict[str, float]:
    """Bytes of this process now and at most, where Linux tells, and those of its fullest GPU."""
    scalars = {}
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.partition(":")[::2] for line in status.read_text().splitlines())
        for name, field in (("memory_bytes", "VmRSS"), ("memory_peak_bytes", "VmHWM")):
            scalars[name] = 1024.0 * int(lines[field].split()[0])  # "  1234 kB"
    gpus = [
        tf.config.experimental.get_memory_info(f"GPU:{index}")
        for index in range(len(tf.config.list_logical_devices("GPU")))
    ]
    if gpus:
        scalars["gpu_memory_bytes"] = float(max(gpu["current"] for gpu in gpus))
        scalars["gpu_memory_peak_bytes"] = float(max(gpu["peak"] for gpu in gpus))
    return scalars


def spike_limit(norms: Sequence[float]) -> float:
    """The gradient norm above which a step is a spike: infinite until enough is known.

    Spikes of the gradient norm often come before spikes of the loss, and with bad batches
    (OLMo 2, arXiv:2501.00656, section 3). A run only counts them and warns: clipping
    bounds what one such step can change, and nothing is rolled back. Where the loss does not come
    down again after a spike, start from a checkpoint that is older with another seed, so that
    other batches follow (Chowdhery et al. 2022, arXiv:2204.02311, section 5.1, skipped 200 to 500
    batches, and saw no spike from the same batches elsewhere), or lower the learning rate.

    >>> spike_limit([1.0, 2.0, 30.0, 3.0, 2.0])
    10.0

    Args:
        norms: logged gradient norms, oldest first; the last `SPIKE_ROWS` count.
    """
    recent = norms[-SPIKE_ROWS:]
    if len(recent) < SPIKE_LEAST_ROWS:
        return math.inf
    return SPIKE_FACTOR * statistics.median(recent)


class Window:
    """What the steps since the last row added up to.

    Args:
        work: of a step.
        declared: the scalars of the task.
        state: what `state` gave at the step where this window goes on, so that a run that was
            killed writes the same rows as one that was not; None begins a new window.
    """

    def __init__(
        self, work: Work, declared: Sequence[Scalar] = (), state: WindowState | None = None
    ):
        self._work, self._declared = work, declared
        state = state or WindowState()
        self._sums = state.numbers
        self.skipped_in_a_row = state.skipped_in_a_row
        self._steps, self._seconds, self._input_wait = 0, 0.0, 0.0

    @property
    def state(self) -> WindowState:
        """What a checkpoint has to hold."""
        return WindowState.of(self._sums, self.skipped_in_a_row)

    def add(self, result: Result, seconds: float, spike_limit: float) -> None:
        """Adds a call.

        Args:
            result: of the call. A step that was skipped counts in `skipped` alone, because its
                losses may be no numbers.
            seconds: that it took; pauses between calls do not count.
            spike_limit: gradient norm above which a step is a spike.
        """
        # One step after the other, so that the sum does not depend on where calls begin and end.
        for index in range(len(result.input_wait)):
            step = {name: sums[index].tolist() for name, sums in result.sums.items()}
            if skipped := step["skipped"][0] > 0:
                step = {"skipped": step["skipped"]}
            else:
                step["spikes"] = [float(step["gradient_norm"][0] > spike_limit), 1.0]
            self.skipped_in_a_row = self.skipped_in_a_row + 1 if skipped else 0
            for name, (value, weight) in step.items():
                before = self._sums.get(name, (0.0, 0.0))
                self._sums[name] = [before[0] + value, before[1] + weight]
        self._steps += len(result.input_wait)
        self._seconds += seconds
        self._input_wait += float(result.input_wait.sum())

    def close(self) -> dict[str, float]:
        """The scalars of the window; the next one begins."""
        scalars = scalars_of(self._sums, self._declared)
        self._raise_peak()
        scalars |= speeds(self._work, self._steps, self._seconds, self._input_wait) | memory()
        self._sums = {}
        self._steps, self._seconds, self._input_wait = 0, 0.0, 0.0
        return scalars

    def _raise_peak(self) -> None:
        """Takes what the steps reached for the peak where that was measured too low."""
        work = self._work
        reached = work.flops * self._steps / self._seconds if self._seconds else 0.0
        if work.peak_flops and reached > work.peak_flops:
            logging.warning(
                "the steps reach %.4g FLOP/s, more than the peak of %.4g that was measured on a "
                "busy machine, or that --peak_flops gives; shares are of %.4g from here on",
                *(reached, work.peak_flops, reached),
            )
            self._work = dataclasses.replace(work, peak_flops=reached)


def warn(step: int, scalars: dict[str, float], spike_limit: float) -> None:
    """Logs a line for each thing in a row of training that a person should look at.

    Args:
        step: of the row.
        scalars: of the row.
        spike_limit: gradient norm above which a step counted as a spike.
    """
    if skipped := scalars.get("skipped"):
        logging.warning(
            "step %d: %d steps since the last row had no finite gradient and were skipped; weights "
            "are as if they had not been. Many of them: lower the learning rate",
            *(step, skipped),
        )
    if spikes := scalars.get("spikes"):
        logging.warning(
            "step %d: %d steps since the last row had a gradient norm above %.3g, %g times the "
            "median of the rows before; clipping bounds what they change. If the loss stays up, "
            "train again with another seed, from an older checkpoint if there is one",
            *(step, spikes, spike_limit, SPIKE_FACTOR),
        )


def log_row(
    step: int, total_steps: int, scalars: dict[str, float], loss: float, tokens: int
) -> None:
    """Logs where the run stands.

    Args:
        step: where it stands.
        total_steps: where it, or this phase of it, ends.
        scalars: of the last row.
        loss: likewise.
        tokens: in a step.
    """
    rate = scalars["tokens_per_second"]
    parts = [f"step {step:,}/{total_steps:,}", f"loss {loss:.3f}"]
    parts += [f"{rate:,.0f} tokens/s"]
    if "flop_utilization" in scalars:
        parts += [f"{scalars['flop_utilization']:.0%} of peak"]
    left = progress.duration((total_steps - step) * tokens / rate)
    parts += [f"{scalars['input_wait']:.0%} waiting for input", f"{left} left"]
    fields = {"step": step, "total_steps": total_steps, "loss": loss} | scalars
    logging.info("%s", "  ".join(parts), extra={"fields": fields})

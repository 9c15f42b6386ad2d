"""The loop around the calls: rows, evaluation, checkpoints, and a clean end on a signal."""

import math
import signal
import time
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from absl import logging

from roots_tf.training.calls import make_call
from roots_tf.training.checkpoints import Checkpoints
from roots_tf.training.reporting import (
    Window,
    Work,
    loss_of,
    scalars_of,
    show_progress,
    spike_limit,
    warn,
)
from roots_tf.training.step import Sums
from roots_tf.training.summaries import Summaries


class StoppedError(Exception):
    """The run was asked to stop and has saved its state; running the command again goes on.

    A program exits with `exit_status`: 128 plus the number of the signal, 130 for Ctrl-C and 143
    for SIGTERM.
    """

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.exit_status = 128 + signal_number


class DivergedError(Exception):
    """Gradients were not finite for too many steps in a row."""

    exit_status = 3


MAX_SKIPPED = 50  # steps in a row without a finite gradient before a run gives up


def make_evaluate(task, dataset: tf.data.Dataset) -> Callable[[], dict[str, float]]:
    """A function that gives the scalars of the task over a dataset, without dropout."""
    sums_of = tf.function(lambda batch: task.sums(batch))

    def evaluate() -> dict[str, float]:
        total: Sums | None = None
        for batch in dataset:
            sums = sums_of(batch)
            total = sums if total is None else tf.nest.map_structure(tf.add, total, sums)
        return scalars_of(total or {})

    return evaluate


class _Signals:
    """Remembers SIGINT and SIGTERM while it is entered, instead of dying of them."""

    def __init__(self):
        self.received = 0

    def __enter__(self):
        def remember(number, _):
            self.received = number

        self._before = {
            number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)


class _Profiler:
    """Records the calls between two steps for TensorBoard's profile plugin; no steps, no trace."""

    def __init__(self, steps: tuple[int, int] | None, logs: Path | None):
        self._steps, self._logs = steps if logs else None, logs
        self._recording = False

    def __enter__(self):
        return self

    def at(self, step: int) -> None:
        """Starts or stops, as this step asks for."""
        wanted = self._steps is not None and self._steps[0] <= step < self._steps[1]
        if wanted and not self._recording:
            tf.profiler.experimental.start(str(self._logs))
        if self._recording and not wanted:
            tf.profiler.experimental.stop()
        self._recording = wanted

    def __exit__(self, *_):
        if self._recording:
            tf.profiler.experimental.stop()


def train(
    train_step,
    make_dataset: Callable[[int], tf.data.Dataset],
    step: tf.Variable,
    *,
    total_steps: int,
    tokens_per_step: int,
    examples_per_step: int = 0,
    flops_per_step: float = 0.0,
    peak_flops: float = 0.0,
    steps_per_call: int = 1,
    log_every: int = 50,
    evaluate_every: int = 0,
    checkpoint_every: int = 0,
    histogram_every: int = 0,
    profile: tuple[int, int] | None = None,
    evaluate_now: Callable[[], dict[str, float]] | None = None,
    texts_now: Callable[[], dict[str, str]] | None = None,
    weights: dict[str, tf.Variable] | None = None,
    checkpoints: Checkpoints | None = None,
    summaries: Summaries | None = None,
    agree: Callable[[int], int] = lambda number: number,
) -> None:
    """Trains from the value of `step` to `total_steps`; a run may do so in several phases.

    Args:
        train_step: from `roots_tf.training.step.make_train_step`.
        make_dataset: the batches from a step on.
        step: int64 variable that counts updates; restored before this is called.
        total_steps: when to stop, in updates of the whole run.
        tokens_per_step: positions in a global batch, padding included.
        examples_per_step: rows in a global batch; 0 tells no examples a second.
        flops_per_step: floating point operations of the model in a step; 0 tells no utilization.
        peak_flops: FLOP/s that the devices of the run can reach together.
        steps_per_call: steps between two returns to Python.
        log_every: steps between two rows of training scalars.
        evaluate_every: steps between two calls of `evaluate_now`; 0 only at the end.
        checkpoint_every: steps between two checkpoints; 0 only at the end.
        histogram_every: steps between two histograms of `weights`; 0 never.
        profile: two steps; the profiler records from the first to the last, whole calls, into
            `logs/plugins/profile`.
        evaluate_now: gives held-out scalars; those that end with `_loss` add up to the score of
            a checkpoint.
        texts_now: gives Markdown texts to show at each evaluation.
        weights: by name, for histograms.
        checkpoints: where state is saved; None saves none.
        summaries: where scalars go; None writes none.
        agree: takes the number of the signal that this process has received, or 0, after each call,
            and gives the one that all processes of the run act upon.

    Raises:
        StoppedError: SIGINT or SIGTERM came; a checkpoint was written.
        DivergedError: gradients were not finite for `MAX_SKIPPED` steps in a row.
    """
    now = int(step.numpy())
    if now >= total_steps:
        return
    call = make_call(train_step, step)
    iterator = iter(make_dataset(now))
    work = Work(tokens_per_step, examples_per_step, flops_per_step, peak_flops)
    window = Window(work, checkpoints.beside(now) if checkpoints else None)
    # Read back, so that a run that was killed counts the spikes of one that was not.
    norms = summaries.history("train", "gradient_norm") if summaries else []
    limit = spike_limit(norms)
    checkpoint_owed = False

    def due(every: int) -> bool:
        return now == total_steps or (every > 0 and now % every == 0)

    def steps_to_next_event() -> int:
        periods = (log_every, evaluate_every, checkpoint_every, histogram_every)
        ends = [now - now % every + every for every in periods if every > 0]
        ends += [end for end in profile or () if end > now]
        return min(ends + [total_steps, now + steps_per_call]) - now

    with _Signals() as signals, _Profiler(profile, summaries and summaries.logs) as profiler:
        while now < total_steps:
            profiler.at(now)
            steps = steps_to_next_event()
            began = time.monotonic()
            with tf.profiler.experimental.Trace("call", step_num=now, _r=1):
                result = call(iterator, steps)
            now += steps
            window.add(result, time.monotonic() - began, limit)
            received = agree(signals.received)

            if due(log_every):
                scalars = window.close()
                show_progress(now, total_steps, scalars, tokens_per_step)
                warn(now, scalars, limit)
                norms += [scalars["gradient_norm"]] if "gradient_norm" in scalars else []
                limit = spike_limit(norms)
                if summaries:
                    summaries.write("train", now, scalars)
            if summaries and weights and histogram_every and due(histogram_every):
                arrays = {f"weights/{name}": weight.numpy() for name, weight in weights.items()}
                summaries.write_histograms("train", now, arrays)
            if window.skipped_in_a_row >= MAX_SKIPPED:
                raise DivergedError(
                    f"gradients were not finite for {window.skipped_in_a_row} steps in a row, up "
                    f"to step {now}; {_last_good(checkpoints)}. Start again with a lower learning "
                    "rate, or in float32 if the precision was lower"
                )
            score = None
            if evaluate_now and due(evaluate_every):
                held_out = evaluate_now()
                loss = loss_of(held_out)
                score = loss if math.isfinite(loss) else None
                line = "  ".join(f"{name} {value:.3f}" for name, value in held_out.items())
                logging.info("held out at step %d: %s", now, line)
                if summaries:
                    summaries.write("held_out", now, held_out)
                    if texts_now:
                        summaries.write_texts("held_out", now, texts_now())

            # Skipped steps leave the weights as they were, so a checkpoint among them is whole. But
            # weights that give no finite gradient any more should not push out older ones that do:
            # one that is due waits for the next good step.
            checkpoint_owed |= due(checkpoint_every)
            last = received or now == total_steps
            if checkpoints and (last or (checkpoint_owed and not window.skipped_in_a_row)):
                checkpoints.save(now, score, window.state)
                checkpoint_owed = False
            if received:
                raise StoppedError(
                    f"stopped by a signal at step {now:,} of {total_steps:,}"
                    + ("; saved: run the same command again to go on" if checkpoints else ""),
                    received,
                )


def _last_good(checkpoints: Checkpoints | None) -> str:
    """Which checkpoint is from before the first skipped step."""
    paths = list(checkpoints.paths().values()) if checkpoints else []
    return f"the last good checkpoint is {paths[-1]}" if paths else "no checkpoint was written"

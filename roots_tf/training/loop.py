"""The loop around the step: calls, logs, evaluation, checkpoints, and a clean end on a signal."""

import signal
from collections.abc import Callable

import tensorflow as tf
from absl import logging

from roots_tf.training.checkpoints import Checkpoints
from roots_tf.training.step import Sums
from roots_tf.training.summaries import Progress, Summaries


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


def means(sums: Sums) -> dict[str, float]:
    """Weighted means as Python numbers; a sum of weight 0 gives 0."""
    return {
        name: float(value) / float(weight) if float(weight) else 0.0
        for name, (value, weight) in sums.items()
    }


def make_evaluate(task, dataset: tf.data.Dataset) -> Callable[[], dict[str, float]]:
    """A function that gives the means of the task's sums over a dataset, without dropout."""
    sums_of = tf.function(lambda batch: task.sums(batch))

    def evaluate() -> dict[str, float]:
        total: Sums | None = None
        for batch in dataset:
            sums = sums_of(batch)
            total = sums if total is None else tf.nest.map_structure(tf.add, total, sums)
        return means(total or {})

    return evaluate


def make_call(train_step, step: tf.Variable) -> Callable[[object, tf.Tensor], Sums]:
    """Many steps in one call: a function of (iterator, number of steps) to the sums over them."""

    @tf.function
    def one_step(batch):
        sums = train_step(batch, step.read_value())
        step.assign_add(1)
        return sums

    @tf.function
    def call(iterator, steps):
        sums = one_step(next(iterator))
        for _ in tf.range(steps - 1):
            sums = tf.nest.map_structure(tf.add, sums, one_step(next(iterator)))
        return sums

    return call


class _Signals:
    """Remembers SIGINT and SIGTERM while it is entered, instead of dying of them."""

    def __init__(self):
        self.received: int | None = None

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


def train(
    train_step,
    make_dataset: Callable[[int], tf.data.Dataset],
    step: tf.Variable,
    *,
    total_steps: int,
    tokens_per_step: int,
    steps_per_call: int = 1,
    log_every: int = 50,
    evaluate_every: int = 0,
    checkpoint_every: int = 0,
    evaluate_now: Callable[[], dict[str, float]] | None = None,
    checkpoints: Checkpoints | None = None,
    summaries: Summaries | None = None,
) -> None:
    """Trains from the value of `step` to `total_steps`.

    Args:
        train_step: from `roots_tf.training.step.make_train_step`.
        make_dataset: the batches from a step on.
        step: int64 variable that counts updates; restored before this is called.
        total_steps: when to stop.
        tokens_per_step: positions in a global batch, for the progress line.
        steps_per_call: steps between two returns to Python.
        log_every: steps between two lines of training scalars.
        evaluate_every: steps between two calls of `evaluate_now`; 0 only at the end.
        checkpoint_every: steps between two checkpoints; 0 only at the end.
        evaluate_now: gives held-out scores.
        checkpoints: where state is saved; None saves none.
        summaries: where scalars go; None writes none.

    Raises:
        StoppedError: SIGINT or SIGTERM came; a checkpoint was written.
        DivergedError: gradients were not finite for `MAX_SKIPPED` steps in a row.
    """
    call = make_call(train_step, step)
    now = int(step.numpy())
    iterator = iter(make_dataset(now))
    progress = Progress(total_steps, now, tokens_per_step)
    collected: Sums | None = None
    skipped = 0

    def due(every: int) -> bool:
        return now == total_steps or (every > 0 and now % every == 0)

    with _Signals() as signals:
        while now < total_steps:
            ends = [total_steps, now + steps_per_call]
            ends += [
                now - now % every + every
                for every in (log_every, evaluate_every, checkpoint_every)
                if every > 0
            ]
            steps = min(ends) - now
            sums = call(iterator, tf.constant(steps))
            now += steps
            collected = (
                sums if collected is None else tf.nest.map_structure(tf.add, collected, sums)
            )
            skipped = skipped + steps if float(sums["skipped"][0]) == steps else 0
            if due(log_every):
                scalars = means(collected) | {"tokens_per_second": progress.measure(now)}
                collected = None
                progress.show(now, _loss(scalars), scalars["tokens_per_second"])
                if summaries:
                    summaries.write("train", now, scalars)
            if skipped >= MAX_SKIPPED:
                raise DivergedError(
                    f"gradients were not finite for {skipped} steps in a row, up to step {now}; "
                    "lower the learning rate or the precision's range is too small; the last "
                    "checkpoint is from before"
                )
            if evaluate_now and due(evaluate_every):
                scores = evaluate_now()
                line = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
                logging.info("held out at step %d: %s", now, line)
                if summaries:
                    summaries.write("held_out", now, scores)
                progress.skip()
            if checkpoints and (due(checkpoint_every) or signals.received):
                checkpoints.save(now)
                progress.skip()
            if signals.received and now < total_steps:
                raise StoppedError(
                    f"stopped by a signal at step {now:,} of {total_steps:,}"
                    + ("; saved: run the same command again to go on" if checkpoints else ""),
                    signals.received,
                )


def _loss(scalars: dict[str, float]) -> float:
    """The training loss: the sum of its parts."""
    return sum(value for name, value in scalars.items() if name.endswith("_loss"))

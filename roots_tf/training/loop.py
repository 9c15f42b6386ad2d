"""The loop around the calls: rows, evaluation, checkpoints, and a clean end on a signal."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf
from absl import logging

from roots_tf import heartbeat, program, progress
from roots_tf.losses import Scalar
from roots_tf.mistakes import Identified
from roots_tf.storage.files import InputError
from roots_tf.training.calls import Result, make_call
from roots_tf.training.checkpoints import Checkpoints
from roots_tf.training.reporting import (
    Window,
    Work,
    log_row,
    loss_of,
    mean_sums,
    scalars_of,
    spike_limit,
    warn,
)
from roots_tf.training.settings import Cadence
from roots_tf.training.step import Sums
from roots_tf.training.summaries import Summaries


class StoppedError(Identified, Exception):
    """The run was asked to stop and has saved its state; running the command again goes on.

    A program exits with `exit_status`: 128 plus the number of the signal, 130 for Ctrl-C, 143 for
    SIGTERM, 129 for SIGHUP and 138 for SIGUSR1.

    Args:
        id: of the kind of mistake.
        message: for the user.
        signal_number: of the signal that came.
    """

    def __init__(self, id: str, message: str, signal_number: int):
        super().__init__(id, message)
        self.exit_status = 128 + signal_number


class DivergedError(Identified, Exception):
    """Gradients were not finite for too many steps in a row."""

    exit_status = 3


MAX_SKIPPED = 50  # steps in a row without a finite gradient before a run gives up


class Stage(NamedTuple):
    """A stretch of a run: what it trains on and how it is judged.

    Attributes:
        batches: gives the batches from a step on, counted over the whole run.
        last_step: where the stage ends, likewise.
        work: what one step does.
        evaluate: gives held-out scalars; the losses among them are the score of a checkpoint.
        texts: gives Markdown texts to show at each evaluation.
        is_over: asked after each evaluation; True ends the stage before its last step.
        decay_start: a step at which state is saved too: a longer run goes on from there; 0: none.
    """

    batches: Callable[[int], tf.data.Dataset]
    last_step: int
    work: Work
    evaluate: Callable[[], dict[str, float]] | None = None
    texts: Callable[[], dict[str, str]] | None = None
    is_over: Callable[[], bool] = lambda: False
    decay_start: int = 0


class Record(NamedTuple):
    """Where a run leaves what it has learned; None leaves nothing.

    Attributes:
        scalars: those that the task declares.
        checkpoints: where state is saved.
        summaries: where scalars go.
        weights: by name, for histograms.
    """

    scalars: tuple[Scalar, ...] = ()
    checkpoints: Checkpoints | None = None
    summaries: Summaries | None = None
    weights: dict[str, tf.Variable] | None = None


def make_evaluate(
    task, dataset: tf.data.Dataset | Mapping[str, tf.data.Dataset]
) -> Callable[[], dict[str, float]]:
    """A function that gives the scalars of the task over a dataset, without dropout.

    Args:
        task: see `roots_tf.training.step.Task`.
        dataset: batches with an end. Of several, by name of their source, the scalars are means
            over the sources; those of each are there too, as `held_out/NAME/masked_lm_loss`.
    """
    sums_of = tf.function(lambda batch: task.sums(batch), autograph=False)
    counts: dict[str, int] = {}  # of batches by source, known from the first time on

    def sums_over(batches, source: str = "") -> Sums:
        total: Sums | None = None
        name = f"held out {source}".rstrip()
        with progress.Progress(name, counts.get(source), "batches") as shown:
            for batch in batches:
                sums = sums_of(batch)
                total = sums if total is None else tf.nest.map_structure(tf.add, total, sums)
                shown.add()
            counts[source] = shown.done
        return total or {}

    def evaluate() -> dict[str, float]:
        if not isinstance(dataset, Mapping):
            return scalars_of(sums_over(dataset), task.scalars)
        sums = {name: sums_over(batches, name) for name, batches in dataset.items()}
        scalars = scalars_of(mean_sums(list(sums.values())), task.scalars)
        for source, of_source in sums.items():
            own = scalars_of(of_source, task.scalars)
            scalars |= {f"held_out/{source}/{name}": value for name, value in own.items()}
        return scalars

    return evaluate


class _Signals:
    """Remembers SIGINT and those of `program.SIGNALS` while entered, instead of dying of them.

    Those that are ignored, as SIGHUP is under `nohup`, stay so; Ctrl-C and SIGTERM do not.
    """

    def __init__(self):
        self.received = 0

    def __enter__(self):
        def remember(number, _):
            self.received = number

        in_main = threading.current_thread() is threading.main_thread()  # Python's signals are its
        self._before = {
            number: signal.signal(number, remember)
            for number in (signal.SIGINT, *program.SIGNALS) * in_main
            if number in (signal.SIGINT, signal.SIGTERM)
            or signal.getsignal(number) is not signal.SIG_IGN
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


class _Training:
    """One stage under way; `train` drives it."""

    def __init__(self, step: tf.Variable, stage: Stage, cadence: Cadence, record: Record):
        self.now = int(step.numpy())
        self.shown: progress.Progress | None = None
        self._stage, self._cadence, self._record = stage, cadence, record
        notes = record.checkpoints.notes(self.now) if record.checkpoints else None
        self._window = Window(stage.work, record.scalars, notes and notes.window)
        # Read back, so that a run that was killed counts the spikes of one that was not.
        history = record.summaries.history("train", "gradient_norm") if record.summaries else []
        self._norms = history
        self._spike_limit = spike_limit(history)
        self._checkpoint_is_owed = False
        self.is_over = stage.is_over()

    def is_due(self, every: int) -> bool:
        return self.now == self._stage.last_step or (every > 0 and self.now % every == 0)

    def steps_to_next_event(self) -> int:
        cadence, now = self._cadence, self.now
        periods = (cadence.log_every, cadence.evaluate_every, cadence.checkpoint_every)
        ends = [
            now - now % every + every for every in (*periods, cadence.histogram_every) if every > 0
        ]
        ends += [e for e in (self._stage.decay_start, *(cadence.profiled or ())) if e > now]
        return min(*ends, self._stage.last_step, now + cadence.steps_per_call) - now

    def add(self, result, steps: int, seconds: float) -> None:
        """Takes what a call of several steps gave, and writes what is due."""
        self.now += steps
        self.shown.reach(self.now)
        self._window.add(result, seconds, self._spike_limit)
        if self.is_due(self._cadence.log_every):
            self._write_row()
        summaries, every = self._record.summaries, self._cadence.histogram_every
        if summaries and self._record.weights and every and self.is_due(every):
            weights = self._record.weights.items()
            arrays = {f"weights/{name}": weight.numpy() for name, weight in weights}
            summaries.write_histograms("train", self.now, arrays)
        # A run of fewer steps that skips all of them has learned nothing either.
        if self._window.skipped_in_a_row >= min(MAX_SKIPPED, self._stage.last_step):
            raise DivergedError(
                "diverged",
                f"gradients were not finite for {self._window.skipped_in_a_row} steps in a row, up "
                f"to step {self.now}; {_last_good(self._record.checkpoints)}. Start again with a "
                "lower learning rate, or in float32 if the precision was lower",
            )

    def _write_row(self) -> None:
        stage, declared = self._stage, self._record.scalars
        scalars = self._window.close()
        loss = loss_of(scalars, declared)
        if self.shown.has_bar:
            rate = scalars["tokens_per_second"]
            self.shown.reach(self.now, f"loss {loss:.3f}, {rate:,.0f} tokens/s")
        else:
            log_row(self.now, stage.last_step, scalars, loss, stage.work.tokens)
        warn(self.now, scalars, self._spike_limit)
        self._norms += [scalars["gradient_norm"]] if "gradient_norm" in scalars else []
        self._spike_limit = spike_limit(self._norms)
        if self._record.summaries:
            self._record.summaries.write("train", self.now, scalars)

    def evaluate(self) -> float | None:
        """The held-out loss, if it is due and there is one."""
        stage, summaries = self._stage, self._record.summaries
        if stage.evaluate is None or not self.is_due(self._cadence.evaluate_every):
            return None
        held_out = stage.evaluate()
        shown = {n: v for n, v in held_out.items() if "/" not in n or n.endswith("_loss")}
        line = "  ".join(f"{name} {value:.3f}" for name, value in shown.items())
        fields = {"step": self.now} | {f"held_out/{n}": value for n, value in held_out.items()}
        logging.info("held out at step %d: %s", self.now, line, extra={"fields": fields})
        if summaries:
            summaries.write("held_out", self.now, held_out)
            if stage.texts:
                summaries.write_texts("held_out", self.now, stage.texts())
        self.is_over = stage.is_over()
        loss = loss_of(held_out, self._record.scalars)
        return loss if math.isfinite(loss) else None

    def save(self, score: float | None, received: int) -> None:
        """Writes a checkpoint where one is due or the process was asked to stop."""
        # Skipped steps leave the weights as they were, so a checkpoint among them is whole. But
        # weights that give no finite gradient any more should not push out older ones that do:
        # one that is due waits for the next good step.
        self._checkpoint_is_owed |= self.is_due(self._cadence.checkpoint_every)
        last = received or self.is_over
        last |= self.now in (self._stage.decay_start, self._stage.last_step)
        is_good = not self._window.skipped_in_a_row
        if self._record.checkpoints and (last or (self._checkpoint_is_owed and is_good)):
            rows = self._record.summaries.rows() if self._record.summaries else None
            ends = received or self.is_over or self.now == self._stage.last_step
            state = (score, self._window.state, rows)
            self._record.checkpoints.save(self.now, *state, in_background=not ends)
            self._checkpoint_is_owed = False


def train(
    train_step,
    step: tf.Variable,
    stage: Stage,
    cadence: Cadence,
    record: Record = Record(),  # noqa: B008
    agree: Callable[[int], int] = lambda number: number,
) -> None:
    """Trains from the value of `step` to the end of a stage; a run may have several.

    Args:
        train_step: a `roots_tf.training.step.TrainStep`.
        step: int64 variable that counts updates; restored before this is called.
        stage: what to train on, up to where.
        cadence: when to report, evaluate and save.
        record: where to.
        agree: takes the number of the signal that this process has received, or 0, after each call,
            and gives the one that all processes of the run act upon.

    Raises:
        StoppedError: a signal came, see `StoppedError`; a checkpoint was written.
        DivergedError: gradients were not finite for `MAX_SKIPPED` steps in a row.
    """
    training = _Training(step, stage, cadence, record)
    if training.now >= stage.last_step or training.is_over:
        return
    call = make_call(train_step, step)
    iterator = iter(stage.batches(training.now))
    logs = record.summaries and record.summaries.logs
    shown = progress.Progress("train", stage.last_step, "steps", training.now, logs=False)
    written = record.checkpoints.finished() if record.checkpoints else contextlib.nullcontext()
    with _Signals() as signals, _Profiler(cadence.profiled, logs) as profiler, shown, written:
        training.shown = shown
        while training.now < stage.last_step and not training.is_over:
            profiler.at(training.now)
            steps = training.steps_to_next_event()
            began = time.monotonic()
            with tf.profiler.experimental.Trace("call", step_num=training.now, _r=1):
                result = call(iterator, steps)
            _tell(training.now + steps, result)
            training.add(result, steps, time.monotonic() - began)
            if record.checkpoints:
                record.checkpoints.check()  # steps that cannot be saved are not worth their time
            received = agree(signals.received)
            training.save(training.evaluate(), received)
            if received:
                raise StoppedError(
                    "stopped",
                    f"stopped by a signal at step {training.now:,} of {stage.last_step:,}"
                    + ("; saved: run the same command again to go on" * bool(record.checkpoints)),
                    received,
                )


def _tell(step: int, result: Result) -> None:
    """Tells a launcher where the run stands, and what time of its steps was this worker's."""
    own = result.sums.pop("own_seconds", None)
    heartbeat.tell(step=step)
    if own is not None:
        heartbeat.add(steps=len(own), own=float(own[:, 0].sum() + result.input_wait.sum()))


def _last_good(checkpoints: Checkpoints | None) -> str:
    """Which checkpoint is from before the first skipped step."""
    if checkpoints:
        try:
            checkpoints.wait()
        except InputError as error:
            logging.error("%s", error)
    paths = list(checkpoints.paths().values()) if checkpoints else []
    return f"the last good checkpoint is {paths[-1]}" if paths else "no checkpoint was written"

"""One way to assemble a training run: optimizer, average, loss scale, checkpoints, step and loop.

A program reads data, builds a task and hands both over:

    machine = run.Machine.of(config.hardware)
    with machine.strategy.scope():
        computation = machine.computation(folder, config.hardware)
        ...                                                  # the model and the task
        machine.check(task, computation, config.optimization)
        machine.claim(folder, claims.of(config), computation)
        run = Run(task, folder, Settings(config.optimization, computation, config.cadence, seed))
        run.restore()
        run.train(stage, config.optimization)
        run.finish()
"""

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf
from absl import logging

from roots_tf import heartbeat
from roots_tf.storage import checked_json, claims
from roots_tf.storage.files import InputError
from roots_tf.training import automatic, loop, optimizers, schedules, strategies, trackers
from roots_tf.training.automatic import Computation
from roots_tf.training.checkpoint_mean import CheckpointMean
from roots_tf.training.checkpoint_notes import Decay
from roots_tf.training.checkpoints import Checkpoints
from roots_tf.training.early_stopping import EarlyStopping
from roots_tf.training.plan_file import PLAN, Computed, read_plan
from roots_tf.training.settings import Cadence, Hardware, Optimization
from roots_tf.training.step import Task, TrainStep, check_cuts
from roots_tf.training.summaries import Summaries


def _is_begun(folder: Path) -> bool:
    """Whether a run has written to the folder after its config, and so its plan."""
    names = {path.name for path in folder.glob("[!.]*")}
    return "config.json" in names and len(names) > 1


def _batch_size(folder: str | Path) -> object:
    """The batch that the run in a folder has begun with; None where no plan tells."""
    with contextlib.suppress(InputError):  # `Machine.computation` has told what is wrong
        return checked_json.read_checked(Path(folder, PLAN)).get("batch_size")


class Machine(NamedTuple):
    """Where a run takes place.

    Attributes:
        strategy: of `tf.distribute`.
        worker_index: of this process among the workers; the chief, which writes files, is 0.
        num_workers: how many there are.
    """

    strategy: tf.distribute.Strategy
    worker_index: int = 0
    num_workers: int = 1

    @classmethod
    def of(cls, hardware: Hardware) -> "Machine":
        """The machine that flags ask for; call it before TensorFlow has made a tensor."""
        strategy = strategies.make_strategy(hardware.strategy, hardware.num_devices, hardware.tpu)
        return cls(strategy, *strategies.worker(strategy))

    @property
    def is_chief(self) -> bool:
        """Whether this process writes files."""
        return self.worker_index == 0

    def computation(
        self, folder: str | Path, hardware: Hardware, measure: bool = True
    ) -> Computation:
        """What a run computes in: as it has begun, or, of a new run, what the flags stand for here.

        Args:
            folder: of the run, where `plan.json` keeps it; nothing is written yet.
            hardware: the flags.
            measure: whether to measure the peak of the devices, which takes half a second.
        """
        fault = f"found no {Path(folder, PLAN)}" if _is_begun(Path(folder)) else ""
        try:
            if Path(folder, PLAN).exists():
                before = Computation(**vars(read_plan(folder, Computed)))
                return before._replace(peak_flops=hardware.peak_flops or before.peak_flops)
        except InputError as error:
            fault = str(error)
        if fault:
            logging.error(
                "%s: what the flags stand for is decided anew, by this machine and the files as "
                "they are now",
                fault,
            )
        return automatic.choose(hardware, self.strategy, self.num_workers, measure)

    def check(self, task: Task, computation: Computation, optimization: Optimization) -> None:
        """Refuses what this machine cannot train; call it before `claim`.

        Args:
            task: what is trained.
            computation: in what numbers it computes.
            optimization: of the run, or of a stage.

        Raises:
            InputError: see `step.check_cuts`.
        """
        replicas = self.strategy.num_replicas_in_sync
        check_cuts(task, optimization.accumulate_steps, computation.jit_compile, replicas)

    def claim(
        self, folder: str | Path, claim: claims.Claim, computation: Computation, **plan
    ) -> None:
        """Begins a run in a folder, or goes on with it; once nothing can be wrong any more.

        Args:
            folder: of the run; `locks.held` has it.
            claim: of the run.
            computation: its precision and compilation, from `computation`.
            **plan: JSON values that `plan.json` is to hold too. A `batch_size` is that of the run:
                it may follow from the number of devices.

        Raises:
            InputError: see `Claim.begin`; or the batch is another than the run has begun with.
        """
        if self.is_chief:
            before = _batch_size(folder)
            if "batch_size" in plan and before not in (None, plan["batch_size"]):
                raise InputError(
                    "other-run",
                    f"found a batch of {plan['batch_size']} on these devices; wanted {before}, "
                    f"which the run in {folder} has begun with: give --num_devices and "
                    "--accumulate_steps whose product divides it",
                )
            claim.begin(folder)
            Path(folder, "report.json").unlink(missing_ok=True)  # of a shorter duration
            checked_json.write_checked(Path(folder, PLAN), computation._asdict() | plan)


class Settings(NamedTuple):
    """How a run is trained.

    Attributes:
        optimization: of the whole run; a stage may have rates and micro-batches of its own.
        computation: precision and compilation, from `Machine.computation`.
        cadence: when it reports, evaluates and saves.
        seed: of dropout.
    """

    optimization: Optimization
    computation: Computation
    cadence: Cadence
    seed: int = 0


class Run:
    """A task under training and all that a checkpoint of it holds; made in the strategy's scope.

    Args:
        task: what is trained; its model was made in the same scope.
        folder: where checkpoints, logs and `metrics.jsonl` go.
        settings: how.
        multipliers: of the learning rate of each trainable variable; None: 1.
        patience: evaluations without a better score before `early_stopping` ends the run; 0: never.
        decay: where the learning rate falls, in a run that may be made longer from before it.
    """

    def __init__(
        self,
        task: Task,
        folder: str | Path,
        settings: Settings,
        multipliers: Sequence[float] | None = None,
        patience: int = 0,
        decay: Decay | None = None,
    ):
        self.task, self._settings, self._folder = task, settings, Path(folder)
        self._decay = decay
        variables = task.model.trainable_variables
        self.weights = {variable.path: variable.value for variable in variables}
        trained, how = list(self.weights.values()), settings.optimization
        precision = settings.computation.precision
        self._optimizer = optimizers.make(
            how.optimizer, variables, how.weight_decay, how.beta_2, multipliers, precision
        )
        self._average = optimizers.MovingAverage(trained, how.ema_decay) if how.ema_decay else None
        self._loss_scale = optimizers.LossScale() if precision == "mixed_float16" else None
        self.early_stopping = EarlyStopping(trained, patience) if patience else None
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        parts = {"moment": self._optimizer, "average": self._average, "scale": self._loss_scale}
        parts["best"] = self.early_stopping
        table = {"step": self.step} | self.weights
        for name, part in parts.items():
            table |= {f"{name}_{i}": v for i, v in enumerate(part.variables if part else [])}
        count, every = how.average_checkpoints, settings.cadence.checkpoint_every
        regular = (count, every) if count > 1 else (0, 0)
        self._checkpoints = Checkpoints(
            self._folder / "checkpoints", table, regular=regular, decay=decay
        )
        # What stands in for the weights: of the two averages there is one at most.
        self._given = self._average
        if count > 1:
            self._given = CheckpointMean(self.weights, self.step, self._checkpoints, count)
        self._summaries = None

    def restore(self) -> int:
        """Goes on where the newest whole checkpoint stands, and gives its step; 0 without one.

        Raises:
            InputError: the checkpoint is of another model, or workers have found different ones.
        """
        self._checkpoints.restore()
        start, strategy = int(self.step.numpy()), tf.distribute.get_strategy()
        index, workers = strategies.worker(strategy)
        if strategies.total(strategy, start) != workers * start:
            raise InputError(
                "workers-differ",
                f"found checkpoints of different steps on the {workers} workers; wanted one "
                "--output on storage that all of them share",
            )
        if index == 0:
            self._checkpoints.sweep(start)
            notes = self._checkpoints.notes(start)
            rows = notes.rows if notes else None
            report_to = self._settings.cadence.report_to
            self._summaries = Summaries(self._folder, start, self.task.scalars, rows, report_to)
        return start

    @property
    def summaries(self) -> Summaries | None:
        """Where scalars, texts and pictures go; None on workers that are not the chief."""
        return self._summaries

    @contextlib.contextmanager
    def given_weights(self):
        """Context in which the model has the weights that it is judged by and saved with."""
        with self._given.in_use() if self._given else contextlib.nullcontext():
            yield

    def train(self, stage: loop.Stage, optimization: Optimization, first_step: int = 0) -> None:
        """Trains to the end of a stage, from where the run stands; in the strategy's scope.

        Args:
            stage: what to train on; its evaluation sees the given weights.
            optimization: rates, schedule and micro-batches of the stage.
            first_step: where the stage begins, and its schedule with it.

        Raises:
            WorkerLostError: another worker has stopped.
            StoppedError, DivergedError: see `loop.train`.
        """
        if int(self.step.numpy()) >= stage.last_step:
            return
        steps, cadence = stage.last_step - first_step, self._settings.cadence
        rate = functools.partial(
            schedules.SCHEDULES[optimization.schedule], **optimization.schedule_of(steps)
        )
        train_step = TrainStep(
            self.task,
            self._optimizer,
            lambda at: rate(at - first_step),
            seed=self._settings.seed,
            max_grad_norm=optimization.max_grad_norm,
            accumulate_steps=optimization.accumulate_steps,
            jit_compile=self._settings.computation.jit_compile,
            average=self._average,
            loss_scale=self._loss_scale,
            measure_every=cadence.log_every,
            last_step=stage.last_step,
            clocked=heartbeat.is_watched() and strategies.waits_for_others(),
        )
        record = loop.Record(
            self.task.scalars,
            self._checkpoints if self._summaries else None,
            self._summaries,
            self.weights,
        )
        peak = self._settings.computation.peak_flops
        stage = stage._replace(
            work=dataclasses.replace(stage.work, peak_flops=peak),
            decay_start=self._decay.first_step if self._decay else 0,
            evaluate=self._judged(stage.evaluate),
            texts=self._judged(stage.texts),
        )
        agree = strategies.make_agree(tf.distribute.get_strategy())
        with strategies.lost_workers_named(), self._end_told():
            loop.train(train_step, self.step, stage, cadence, record, agree)

    @contextlib.contextmanager
    def _end_told(self):
        """Context that tells trackers of an end before the end."""
        try:
            yield
        except BaseException as error:
            stopped = isinstance(error, loop.StoppedError | KeyboardInterrupt)
            self.report({}, "stopped" if stopped else "failed")
            raise

    def report(self, report: dict, end: trackers.End = "finished") -> None:
        """Tells trackers the last scores, and that the run is over.

        Args:
            report: JSON values.
            end: why it is over.
        """
        if self._summaries:
            self._summaries.trackers.finish(report, end)

    def finish(self) -> None:
        """Leaves the model with the weights that it is judged by and saved with, for good.

        Raises:
            DivergedError: some of them are not finite, so that there is no model to save.
        """
        if self.early_stopping is not None:
            self.early_stopping.restore()
        elif self._given is not None:
            self._given.replace_weights()
        bad = [
            name
            for name, weight in self.weights.items()
            if not tf.reduce_all(tf.math.is_finite(weight)).numpy()
        ]
        if bad:
            raise loop.DivergedError(
                "diverged",
                f"{len(bad)} of {len(self.weights)} arrays of weights hold numbers that are not "
                f"finite at step {int(self.step.numpy())}, {bad[0]} among them, and no model was "
                "saved; choose another --output and a lower --learning_rate, or "
                "--precision=float32 if the precision was lower",
            )

    def _judged(self, function):
        """The function, called while the model has its given weights; None of None."""
        if function is None:
            return None

        def judged():
            with self.given_weights():
                return function()

        return judged

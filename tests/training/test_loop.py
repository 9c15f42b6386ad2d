"""The loop: what it tells, when it stops, and what it leaves."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from roots_tf.losses import Scalar
from roots_tf.storage.files import InputError
from roots_tf.training import loop, optimizers, strategies
from roots_tf.training.checkpoints import Checkpoints
from roots_tf.training.early_stopping import EarlyStopping
from roots_tf.training.metrics_file import read_metrics
from roots_tf.training.reporting import Work
from roots_tf.training.settings import Cadence
from roots_tf.training.step import TrainStep
from roots_tf.training.summaries import Summaries
from tests.training.test_summaries import shown

NO_STEPS = frozenset()


class Regression:
    """A line through points: the smallest task there is."""

    scalars = (Scalar("squared_loss", "loss", is_loss=True),)
    additive = True

    def __init__(self):
        start = keras.initializers.RandomNormal(seed=0)
        dense = keras.layers.Dense(1, kernel_initializer=start, name="dense")
        self.model = keras.Sequential([keras.Input([2]), dense], name="line")

    def weights(self, batch):
        return {"squared_loss": tf.constant(4.0)}

    def sums(self, batch, seed=None):
        error = tf.reduce_sum(tf.square(self.model(batch["x"]) - 1.0))
        return {"squared_loss": (error, tf.constant(4.0))}


def batches(
    start, *, bad=NO_STEPS, large=NO_STEPS, seconds=0.0, signal_at=None, number=signal.SIGTERM
):
    """Batches of steps from `start` on: NaN at bad steps, far away at large ones, slow to come."""

    def values(step):
        time.sleep(seconds)
        step = int(step)
        if step == signal_at:
            os.kill(os.getpid(), number)
        x = np.random.default_rng(step).normal(size=[4, 2]).astype("float32")
        return x * (np.nan if step in bad else 1e4 if step in large else 1.0)

    def batch(step):
        return {"x": tf.ensure_shape(tf.py_function(values, [step], tf.float32), [4, 2])}

    return tf.data.Dataset.range(start, 1 << 40).map(batch)


class Run:
    """A task, its step, and where it stands."""

    def __init__(self):
        self.strategy = strategies.make_strategy("one_device")
        with self.strategy.scope():
            task = Regression()
            self.weights = {v.path: v.value for v in task.model.trainable_variables}
            self.optimizer = optimizers.AdamW(list(self.weights.values()))
            rate = tf.constant(1e-3)
            self.train_step = TrainStep(
                task, self.optimizer, lambda step: rate, seed=0, max_grad_norm=1.0
            )
            self.step = tf.Variable(0, dtype=tf.int64)

    def train(self, total_steps, dataset=batches, train_step=None, **options):
        """Options are fields of a stage, of its work, of the cadence or of the record."""
        fields = {"steps_per_call": 1, "evaluate_every": 0, "checkpoint_every": 0} | options
        agree = {"agree": fields.pop("agree")} if "agree" in fields else {}

        def take(kind, **more):
            names = getattr(kind, "_fields", None) or kind.__dataclass_fields__
            return kind(**more, **{name: fields.pop(name) for name in names if name in fields})

        work, cadence = take(Work, tokens=8), take(Cadence)
        record = take(loop.Record, scalars=Regression.scalars)
        stage = take(loop.Stage, batches=dataset, last_step=total_steps, work=work)
        assert not fields
        with self.strategy.scope():
            loop.train(train_step or self.train_step, self.step, stage, cadence, record, **agree)

    def checkpoints(self, folder, keep=100):
        return Checkpoints(folder, {"step": self.step} | self.weights, keep=keep)


def rows(folder, group="train"):
    return [row for row in read_metrics(folder) if row["group"] == group]


@pytest.mark.parametrize(
    ("input_seconds", "step_seconds", "prefetch", "least", "most"),
    [
        (0.03, 0.0, 0, 0.7, 1.0),
        (0.0, 0.03, 0, 0.0, 0.3),
        (0.02, 0.05, 1, 0.0, 0.3),  # made while the step before runs
        (0.06, 0.03, 1, 0.15, 0.75),  # half of it is, and less on a busy machine
    ],
)
def test_input_wait_is_the_share_in_which_a_step_waits(
    tmp_path, input_seconds, step_seconds, prefetch, least, most
):
    run = Run()

    def train_step(batch, at):
        sums = run.train_step(batch, at)
        with tf.control_dependencies(tf.nest.flatten(sums)):
            slept = tf.py_function(lambda: time.sleep(step_seconds), [], [])
        with tf.control_dependencies([slept]):
            return tf.nest.map_structure(tf.identity, sums)

    def dataset(start):
        made = batches(start, seconds=input_seconds)
        return made.prefetch(prefetch) if prefetch else made

    options = {"steps_per_call": 10, "log_every": 10, "summaries": Summaries(tmp_path, 0)}
    run.train(20, dataset, train_step=train_step, **options)
    assert least <= rows(tmp_path)[1]["input_wait"] <= most  # the first row also holds tracing


def test_a_single_thread_does_not_count_the_step_as_waiting():
    code = """
import tensorflow as tf
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.threading.set_intra_op_parallelism_threads(1)
from roots_tf.training.calls import make_call
matrix = tf.random.normal([500, 500])
weights = tf.Variable(matrix)
def train_step(batch, step):
    for _ in range(20):
        batch = tf.tanh(batch @ weights)
    weights.assign_add(1e-6 * batch)
    return {"loss": (tf.reduce_sum(batch), tf.constant(1.0))}
batches = tf.data.Dataset.from_tensors({"x": matrix}).repeat().map(lambda batch: batch["x"])
call = make_call(train_step, tf.Variable(0, dtype=tf.int64))
iterator = iter(batches.prefetch(2))
call(iterator, 2)
began = tf.timestamp()
waited = call(iterator, 10).input_wait.sum()
print(float(waited / (tf.timestamp() - began)))
"""
    assert float(subprocess.check_output([sys.executable, "-c", code])) < 0.5


@pytest.mark.parametrize("steps_per_call", [1, 4, 20])
def test_rows_do_not_depend_on_the_steps_a_call(tmp_path, steps_per_call):
    run = Run()
    bad = {3, 4, 11}
    run.train(
        20,
        lambda start: batches(start, bad=bad),
        steps_per_call=steps_per_call,
        log_every=10,
        summaries=Summaries(tmp_path, 0),
        examples=4,
        flops=1e6,
        peak_flops=1e15,
    )
    found = rows(tmp_path)
    assert [(row["step"], row["skipped"]) for row in found] == [(10, 2.0), (20, 1.0)]
    again = Run()  # the oracle: step by step, without a graph
    twenty = batches(0, bad=bad).take(20).enumerate()
    with again.strategy.scope():
        sums = [again.train_step(batch, step) for step, batch in twenty]
    for row, last in zip(found, (10, 20), strict=True):
        good = [sums[step] for step in range(last - 10, last) if step not in bad]
        for name in ("squared_loss", "gradient_norm", "clipped", "learning_rate"):
            total, weight = np.sum([[float(x) for x in step[name]] for step in good], axis=0)
            assert row[name] == pytest.approx(total / weight, rel=1e-5), name
        assert row["examples_per_second"] == pytest.approx(row["tokens_per_second"] / 2)
        utilization = row["examples_per_second"] / 4 * 1e6 / 1e15
        assert row["flop_utilization"] == pytest.approx(utilization)


def test_skipped_steps_in_a_row_are_counted_exactly(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "MAX_SKIPPED", 5)
    run, summaries = Run(), Summaries(tmp_path, 0)
    two_fours = {1, 2, 3, 4, 6, 7, 8, 9}
    options = {"steps_per_call": 3, "log_every": 3, "summaries": summaries}
    run.train(12, lambda start: batches(start, bad=two_fours), **options)
    assert sum(row["skipped"] for row in rows(tmp_path)) == 8

    checkpoints = run.checkpoints(tmp_path / "checkpoints")
    options |= {"checkpoint_every": 3, "checkpoints": checkpoints}
    five = {16, 17, 18, 19, 20}
    before = [weight.numpy() for weight in run.weights.values()]
    with pytest.raises(loop.DivergedError) as error:
        run.train(100, lambda start: batches(start, bad=five), **options)
    assert "for 5 steps in a row, up to step 21" in str(error.value)
    # Not of step 18, among the skipped ones.
    assert f"the last good checkpoint is {tmp_path}/checkpoints/ckpt-15." in str(error.value)
    assert rows(tmp_path)[-1]["skipped"] == 3.0  # told, although the run ends
    checkpoints.restore()
    after = [weight.numpy() for weight in run.weights.values()]
    assert not np.array_equal(before[0], after[0])


def test_a_checkpoint_that_is_due_waits_for_a_good_step(tmp_path):
    run = Run()
    checkpoints = run.checkpoints(tmp_path)
    dataset = lambda start: batches(start, bad={4, 5, 18, 19})  # noqa: E731
    run.train(20, dataset, checkpoint_every=5, checkpoints=checkpoints)
    assert list(checkpoints.paths()) == [7, 10, 15, 20]  # the last in any case


def test_a_checkpoint_that_cannot_be_written_ends_the_run_long_before_the_next(tmp_path):
    run = Run()
    run.step.assign(998)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not write the checkpoint of step 1000"):
        run.train(
            10_000, checkpoint_every=1000, checkpoints=run.checkpoints(tmp_path / "file" / "below")
        )
    assert 1000 <= int(run.step) < 2000


def test_spikes_are_counted_and_warned_of(tmp_path, caplog):
    run = Run()
    dataset = lambda start: batches(start, large={3, 15, 17})  # noqa: E731
    with caplog.at_level(logging.WARNING):
        run.train(20, dataset, steps_per_call=4, log_every=2, summaries=Summaries(tmp_path, 0))
    spikes = {row["step"]: row["spikes"] for row in rows(tmp_path)}
    # Of step 3 nothing is known yet.
    assert spikes == {step: float(step in (16, 18)) for step in range(2, 21, 2)}
    assert sum("gradient norm above" in text for text in caplog.messages) == 2


def test_a_run_goes_on_in_phases_and_resumes_between_them(tmp_path):
    run, summaries = Run(), Summaries(tmp_path, 0)
    evaluations = []

    def evaluate():
        evaluations.append(int(run.step.numpy()))
        return {"squared_loss": 1.0}

    options = {"log_every": 4, "steps_per_call": 3, "summaries": summaries}
    run.train(6, evaluate=evaluate, **options)
    run.train(10, evaluate=evaluate, evaluate_every=3, **options)
    assert [row["step"] for row in rows(tmp_path)] == [4, 6, 8, 10]
    assert [row["step"] for row in rows(tmp_path, "held_out")] == [6, 9, 10] == evaluations

    def no_dataset(start):
        raise AssertionError("the phase is over")

    run.train(6, no_dataset)
    run.train(10, no_dataset)
    assert int(run.step.numpy()) == 10


def test_a_short_run_that_skips_all_of_its_steps_fails():
    with pytest.raises(loop.DivergedError, match="not finite for 3 steps in a row, up to step 3"):
        Run().train(3, lambda start: batches(start, bad=frozenset(range(3))))
    Run().train(3, lambda start: batches(start, bad=frozenset({1, 2})))  # one has learned


def test_the_score_of_a_checkpoint_is_the_held_out_loss_of_its_step(tmp_path):
    run = Run()
    checkpoints = run.checkpoints(tmp_path, keep=1)
    losses = iter([np.nan, 4.0, 2.0, 3.0])

    def evaluate():
        return {"squared_loss": next(losses), "accuracy": 9.0}

    options = {"evaluate_every": 2, "checkpoint_every": 1}
    run.train(8, evaluate=evaluate, checkpoints=checkpoints, **options)
    assert checkpoints.best() == {"step": 6, "score": 2.0}
    assert list(checkpoints.paths()) == [6, 8]


@pytest.mark.parametrize(
    ("total_steps", "number"),
    [(100, signal.SIGTERM), (3, signal.SIGTERM), (100, signal.SIGHUP), (100, signal.SIGUSR1)],
)
def test_a_signal_stops_after_a_checkpoint(tmp_path, total_steps, number):
    run = Run()
    checkpoints = run.checkpoints(tmp_path)
    options = {"steps_per_call": 3, "checkpoints": checkpoints}
    # Also at the end of a phase: another would follow.
    before = signal.signal(number, signal.SIG_DFL)  # under nohup the tests ignore SIGHUP too
    try:
        with pytest.raises(loop.StoppedError, match="at step 3 of .*run the same command") as error:
            run.train(
                total_steps, lambda start: batches(start, signal_at=1, number=number), **options
            )
    finally:
        signal.signal(number, before)
    assert error.value.exit_status == 128 + number
    assert list(checkpoints.paths()) == [3]


def test_a_run_under_nohup_outlives_its_terminal(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = Run()
        run.train(5, lambda start: batches(start, signal_at=1, number=signal.SIGHUP))
        assert int(run.step.numpy()) == 5
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_stage_ends_early_and_a_run_that_was_stopped_ends_there_too(tmp_path):
    scores = [1.0, 3.0, 2.0, 2.5, 9.0]
    for folder, stops in (("whole", ()), ("stopped", (1, 5))):
        for stop in (*stops, None):
            run = Run()
            with run.strategy.scope():
                early = EarlyStopping(list(run.weights.values()), patience=2)
            table = {"step": run.step} | run.weights
            state = [*run.optimizer.variables, *early.variables]
            table |= {f"state_{i}": variable for i, variable in enumerate(state)}
            checkpoints = Checkpoints(tmp_path / folder, table)
            checkpoints.restore()

            def evaluate(run=run, early=early):
                early.update(scores[int(run.step.numpy()) // 2 - 1])
                return {"score": 1.0}

            options = {"evaluate": evaluate, "is_over": lambda early=early: early.is_over}
            options |= {"evaluate_every": 2, "checkpoint_every": 1, "checkpoints": checkpoints}
            ending = contextlib.nullcontext() if stop is None else pytest.raises(loop.StoppedError)
            with ending:
                run.train(10, lambda start, at=stop: batches(start, signal_at=at), **options)
        assert int(run.step.numpy()) == 8  # two evaluations after the best, that of step 4
        run.train(10, **options)
        assert int(run.step.numpy()) == 8
        early.restore()
        four = Run()
        four.train(4)
        for one, other in zip(run.weights.values(), four.weights.values(), strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_processes_agree_on_a_signal_that_one_of_them_received():
    run, asked = Run(), []

    def agree(number):
        asked.append(number)
        return signal.SIGINT if len(asked) == 2 else 0

    with pytest.raises(loop.StoppedError, match="at step 4 of 100$") as error:
        run.train(100, steps_per_call=2, agree=agree)
    assert asked == [0, 0]
    assert error.value.exit_status == 130


def test_texts_histograms_and_a_trace_on_request(tmp_path):
    run = Run()
    run.train(
        6,
        steps_per_call=10,
        evaluate_every=3,
        histogram_every=2,
        profile=("1", "4"),
        evaluate=lambda: {"squared_loss": 1.0},
        texts=lambda: {"samples": f"at {int(run.step.numpy())}"},
        weights=run.weights,
        summaries=Summaries(tmp_path, 0),
    )
    texts = shown(tmp_path, "held_out").Tensors("samples")
    assert [(event.step, event.tensor_proto.string_val[0]) for event in texts] == [
        (3, b"at 3"),
        (6, b"at 6"),
    ]
    for name, weight in run.weights.items():
        histograms = shown(tmp_path, "train").Histograms(f"weights/{name}")
        assert [event.step for event in histograms] == [2, 4, 6]
        assert histograms[-1].histogram_value.sum == pytest.approx(weight.numpy().sum(), abs=1e-6)
    [trace] = (tmp_path / "logs" / "plugins" / "profile").glob("*/*.xplane.pb")
    assert calls_in(trace) == [1, 2, 3]


def calls_in(trace):
    """Steps at which the calls in a profiler's trace begin."""
    return [
        stat.int64_value
        for plane in xplane_pb2.XSpace.FromString(trace.read_bytes()).planes
        for line in plane.lines
        for event in line.events
        for stat in event.stats
        if plane.stat_metadata[stat.metadata_id].name == "step_num"
    ]

"""A run that becomes longer goes on from before its decay, to the bits of one that was asked so."""

import json
import logging

import numpy as np
import pytest

from roots_tf.storage.files import InputError
from roots_tf.training import loop, run, schedules, strategies
from roots_tf.training.automatic import Computation
from roots_tf.training.checkpoint_notes import Decay
from roots_tf.training.metrics_file import read_metrics
from roots_tf.training.reporting import Work
from roots_tf.training.settings import Cadence, Optimization
from roots_tf.training.summaries import TIMED
from tests.training.test_loop import Regression, batches


class Matrices(Regression):
    """A task whose matrix is one of Muon's."""

    def __init__(self):
        super().__init__()
        self.model.trainable_variables[0].parts = (1,)


class KilledError(Exception):
    """Stands for `kill -9`: what is on the disk stays, and nothing is written any more."""


def train(folder, last_step, how, *, kill_at=None):
    """A run of so many steps, from where it stands; killed after the evaluation of a step."""
    decay = Decay(last_step - how.decay_of(last_step), last_step)
    cadence = Cadence(steps_per_call=4, log_every=5, evaluate_every=6, checkpoint_every=7)
    settings = run.Settings(how, Computation("float32", False), cadence)
    with strategies.make_strategy("one_device").scope():
        made = run.Run(Matrices(), folder, settings, decay=decay)
        made.restore()

        def evaluate():
            if int(made.step.numpy()) == kill_at:
                raise KilledError
            kernel = next(iter(made.weights.values()))
            return {"squared_loss": float(np.abs(kernel.numpy()).sum())}

        stage = loop.Stage(batches, last_step, Work(8), evaluate)
        made.train(stage, how)
        made.finish()
        return [variable.numpy() for variable in made.weights.values()]


def settings(**more) -> Optimization:
    fields = {"learning_rate": 0.1, "warmup_steps": 3, "schedule": "warmup_stable_decay"}
    return Optimization(**fields, **{"decay_share": 0.25} | more)


def left(folder):
    """Of a run that has ended: rows without timings, steps of checkpoints, and their bytes."""
    rows = [{k: v for k, v in row.items() if k not in TIMED} for row in read_metrics(folder)]
    data = {path.name: path.read_bytes() for path in (folder / "checkpoints").glob("*.data-*")}
    return rows, data


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run of 60 steps, which nothing has disturbed, and its weights."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(folder, 60, settings())


@pytest.mark.parametrize(
    "more",
    [
        {"decay_shape": "one_minus_sqrt", "ema_decay": 0.9},
        {"decay_shape": "linear", "average_checkpoints": 4},
        {"optimizer": "muon"},
    ],
    ids=["average of steps", "average of checkpoints", "muon"],
)
def test_a_longer_run_is_the_one_that_was_asked_for_so_long(tmp_path, caplog, more):
    how = settings(**more)
    short = train(tmp_path / "run", 40, how)
    with caplog.at_level(logging.INFO):
        longer = train(tmp_path / "run", 60, how)
    said = "one of 40 steps, whose decay began at step 30: training goes on from step 30, before it"
    assert said in caplog.text
    whole = train(tmp_path / "whole", 60, how)
    for found, expected, before in zip(longer, whole, short, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert np.any(found != before)
    assert left(tmp_path / "run") == left(tmp_path / "whole")
    rows, data = left(tmp_path / "whole")
    rates = {row["step"]: row["learning_rate"] for row in rows if row["group"] == "train"}
    assert rates[45] == pytest.approx(0.1)  # the mean of steps 40 to 44
    assert rates[60] < rates[55] < rates[50] < 0.1
    assert "ckpt-45.data-00000-of-00001" in data


def test_kills_in_the_longer_run_change_nothing(tmp_path, whole):
    train(tmp_path, 40, settings())
    for step in (36, 42, 54, 60):  # before its first checkpoint, after it, in its decay
        with pytest.raises(KilledError):
            train(tmp_path, 60, settings(), kill_at=step)
    for found, expected in zip(train(tmp_path, 60, settings()), whole[1], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert left(tmp_path) == left(whole[0])


def test_it_becomes_longer_in_the_midst_of_a_decay_and_again(tmp_path, whole):
    with pytest.raises(KilledError):
        train(tmp_path, 40, settings(), kill_at=36)  # after the checkpoint of step 35
    for last_step in (52, 60):
        longer = train(tmp_path, last_step, settings())
    for found, expected in zip(longer, whole[1], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert left(tmp_path) == left(whole[0])


def test_one_that_goes_on_unchanged_goes_on_in_its_decay(tmp_path, caplog, whole):
    with pytest.raises(KilledError):
        train(tmp_path, 60, settings(), kill_at=54)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        train(tmp_path, 60, settings())
    assert "ckpt-49" in caplog.text
    assert "whose decay began" not in caplog.text
    assert left(tmp_path) == left(whole[0])


def test_without_a_checkpoint_from_before_the_decay_it_is_refused(tmp_path, caplog):
    how = settings()
    train(tmp_path, 40, how)
    folder = tmp_path / "checkpoints"
    (folder / "ckpt-30.data-00000-of-00001").write_bytes(b"half")
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(InputError, match="from before the decay, which began at step 30; wanted"):
        train(tmp_path, 60, how)
    assert sorted(path.name for path in folder.iterdir()) == before
    train(tmp_path, 40, how)  # which it still is


def test_notes_say_where_the_decay_is(tmp_path):
    train(tmp_path, 40, settings())
    notes = json.loads((tmp_path / "checkpoints" / "ckpt-30.json").read_text())
    assert notes["decay"] == {"first_step": 30, "last_step": 40}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("linear", [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0]),
        ("one_minus_sqrt", [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 0.5, 0.2929, 0.134, 0]),
    ],
)
def test_the_rate_stays_and_then_falls(shape, expected):
    how = Optimization(
        schedule="warmup_stable_decay", learning_rate=1.0, warmup_steps=4, decay_shape=shape,
        decay_share=1 / 3,
    )  # fmt: skip
    takes = how.schedule_of(12)
    assert takes["decay_steps"] == 4
    rates = [float(schedules.SCHEDULES[how.schedule](step, **takes)) for step in range(13)]
    assert rates == pytest.approx(expected, abs=5e-5)


def test_a_warmup_that_meets_the_decay_goes_no_higher():
    how = settings(decay_share=1.0)
    rate = schedules.SCHEDULES[how.schedule]
    rates = [float(rate(step, **how.schedule_of(4))) for step in range(4)]
    assert rates == pytest.approx([0.1 / 3, 0.2 / 3, 0.05, 0.025])


@pytest.mark.parametrize("given", [{"decay_share": 0.5}, {"decay_shape": "one_minus_sqrt"}])
def test_a_decay_of_another_schedule_is_refused(given):
    how = Optimization(schedule="cosine", **given)
    with pytest.raises(InputError, match="with --schedule=cosine; wanted them with warmup_stable"):
        how.fitted(64, 1, "train.jsonl")
    how.check_decay(["constant", "warmup_stable_decay"])  # of phases, one has it

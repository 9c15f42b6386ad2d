"""The mean of the last checkpoints: of literal arrays, of a run that was stopped, and refusals."""

import numpy as np
import pytest
import tensorflow as tf

from roots_tf.storage.files import InputError
from roots_tf.training import loop, run, strategies
from roots_tf.training.automatic import Computation
from roots_tf.training.checkpoint_mean import CheckpointMean
from roots_tf.training.checkpoints import Checkpoints
from roots_tf.training.reporting import Work
from roots_tf.training.settings import Cadence, Optimization
from tests.training.test_loop import Regression, batches

NAMES = ("a/b", "a/c", "a.b")  # two of them alike, once slashes are gone


def saved(folder, steps, count, **more):
    """Weights, the step, and checkpoints in which each weight is its step, a hundred apart."""
    weights = {name: tf.Variable([0.0, 0.0]) for name in NAMES}
    step = tf.Variable(0, dtype=tf.int64)
    table = {"step": step} | weights | {"moment_0": tf.Variable([7.0])}
    checkpoints = Checkpoints(folder, table, regular=(count, 10), **more)
    for number in steps:
        step.assign(number)
        for index, variable in enumerate(weights.values()):
            variable.assign([number, 100.0 * index])
        checkpoints.save(number)
    return weights, step, checkpoints


def values(weights) -> list[list[float]]:
    return [variable.numpy().tolist() for variable in weights.values()]


def test_it_is_the_mean_of_the_weights_and_of_checkpoints_at_multiples(tmp_path):
    # 13 and 37 are those of signals; the run stands at 40, whose own checkpoint counts once.
    weights, step, checkpoints = saved(tmp_path, (10, 13, 20, 30, 37, 40), count=3)
    mean = CheckpointMean(weights, step, checkpoints, 3)
    with mean.in_use():  # of 20, 30 and 40
        assert values(weights) == [[30.0, 0.0], [30.0, 100.0], [30.0, 200.0]]
    assert values(weights) == [[40.0, 0.0], [40.0, 100.0], [40.0, 200.0]]
    for variable in weights.values():
        variable.assign([46.0, 1.0])
    step.assign(46)
    mean.replace_weights()  # of 30, 40 and 46
    third = (116.0 / 3, 1.0 / 3, 201.0 / 3, 401.0 / 3)
    expected = [[third[0], second] for second in third[1:]]
    np.testing.assert_array_equal(values(weights), np.float32(expected))


@pytest.mark.parametrize(
    ("count", "stay"), [(0, [37, 40]), (2, [30, 37, 40]), (4, [10, 20, 30, 37, 40])]
)
def test_as_many_stay_on_disk_as_are_averaged(tmp_path, count, stay):
    _, _, checkpoints = saved(tmp_path, (10, 13, 20, 30, 37, 40), count)
    assert list(checkpoints.paths()) == stay
    checkpoints.sweep(37)  # as a run that goes on does
    assert list(checkpoints.paths()) == stay


def test_a_damaged_one_is_told_and_left_out(tmp_path, caplog):
    weights, step, checkpoints = saved(tmp_path, (10, 20, 30), count=3)
    (tmp_path / "ckpt-20.data-00000-of-00001").write_bytes(b"half")
    CheckpointMean(weights, step, checkpoints, 3).replace_weights()
    assert values(weights)[1] == [20.0, 100.0]  # of 10 and 30
    assert "step 20 is not whole" in caplog.text
    assert "found 2 of 3 checkpoints" in caplog.text


def settings(**more) -> run.Settings:
    how = {"learning_rate": 0.1, "schedule": "constant", "warmup_steps": 0} | more
    cadence = Cadence(steps_per_call=5, evaluate_every=6, checkpoint_every=4)
    return run.Settings(Optimization(**how), Computation("float32", False), cadence)


def train(folder, how, last_step=22, evaluate=None, devices=1, patience=0, **signals):
    """A run up to a step, from where it stands."""
    with strategies.make_strategy("mirrored" if devices > 1 else "one_device", devices).scope():
        made = run.Run(Regression(), folder, how, patience=patience)
        made.restore()
        judge = None if evaluate is None else lambda: evaluate(made)
        stage = loop.Stage(lambda at: batches(at, **signals), last_step, Work(8), judge)
        made.train(stage, how.optimization)
        return made


def arrays(made) -> list[np.ndarray]:
    return [variable.numpy() for variable in made.weights.values()]


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict[int, list[np.ndarray]]:
    """Weights after some steps of a run without a mean."""
    folder, found = tmp_path_factory.mktemp("plain"), {}
    for step in (4, 6, 8, 12, 16, 20, 22):
        found[step] = arrays(train(folder, settings(), step))
    return found


def mean_of(plain, steps) -> list[np.ndarray]:
    arrays = zip(*(plain[step] for step in steps), strict=True)
    return [np.mean(values, 0, "float64").astype("float32") for values in arrays]


def test_a_run_that_was_stopped_has_the_same_mean_to_the_bit(plain, tmp_path):
    how = settings(average_checkpoints=4)
    whole = train(tmp_path / "whole", how)
    whole.finish()
    for last_step in (13, 18):  # signals that come after these
        with pytest.raises(loop.StoppedError):
            train(tmp_path / "stopped", how, signal_at=last_step)
    stopped = train(tmp_path / "stopped", how)
    stopped.finish()
    expected = mean_of(plain, (12, 16, 20, 22))
    for found, again, mean in zip(arrays(whole), arrays(stopped), expected, strict=True):
        np.testing.assert_array_equal(found, mean)
        np.testing.assert_array_equal(found, again)


def test_an_evaluation_judges_the_mean_and_training_goes_on_from_the_weights(plain, tmp_path):
    judged = {}

    def evaluate(made):
        judged[int(made.step.numpy())] = arrays(made)
        return {"squared_loss": 1.0}

    made = train(tmp_path, settings(average_checkpoints=2), 12, evaluate)
    for found, expected in (
        (judged[6], mean_of(plain, (4, 6))),
        (judged[12], mean_of(plain, (8, 12))),
        (arrays(made), plain[12]),
    ):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_patience_keeps_the_mean_of_its_best_evaluation(tmp_path):
    judged = {}

    def evaluate(made):
        at = int(made.step.numpy())
        judged[at] = arrays(made)
        made.early_stopping.update(1.0 if at == 12 else 0.0)
        return {"squared_loss": 1.0}

    made = train(tmp_path, settings(average_checkpoints=3), 22, evaluate, patience=9)
    made.finish()
    for found, best, last in zip(arrays(made), judged[12], judged[22], strict=True):
        np.testing.assert_array_equal(found, best)
        assert np.any(found != last)


def test_replicas_hold_the_same_mean(tmp_path):
    made = train(tmp_path, settings(average_checkpoints=3), devices=2)
    made.finish()
    for variable in made.weights.values():
        first, second = (replica.numpy() for replica in variable.values)
        np.testing.assert_array_equal(first, second)


def test_two_averages_at_once_are_refused():
    with pytest.raises(InputError, match="--ema_decay=0.9 and --average_checkpoints=2; wanted one"):
        Optimization(ema_decay=0.9, average_checkpoints=2)
    Optimization(ema_decay=0.9, average_checkpoints=1)  # which is no average


@pytest.mark.parametrize(
    ("count", "every", "steps", "instead"),
    [(5, 1000, 5000, None), (5, 1000, 5001, None), (5, 1000, 4000, 800), (2, 0, 10, 5)],
)
def test_more_than_a_run_writes_are_refused(count, every, steps, instead):
    how = Optimization(average_checkpoints=count)
    if instead is None:
        how.check_average(Cadence(checkpoint_every=every), steps)
        return
    with pytest.raises(InputError, match=f"wanted {count}: give --checkpoint_every={instead},"):
        how.check_average(Cadence(checkpoint_every=every), steps)
    how.check_average(Cadence(checkpoint_every=instead), steps)


def test_checkpoints_decide_where_they_are_averaged():
    cadence = Cadence(checkpoint_every=7)
    assert Optimization().decided_by(cadence) == {}
    assert Optimization(average_checkpoints=2).decided_by(cadence) == {"checkpoint_every": 7}

"""Checkpoints: everything comes back, damage is passed over, a full disk is named."""

import resource
import threading

import numpy as np
import pytest
import tensorflow as tf

from roots_tf.storage import files
from roots_tf.storage.files import InputError
from roots_tf.training.checkpoints import Checkpoints


def variables(value: float) -> dict[str, tf.Variable]:
    return {name: tf.Variable(np.full(100, value, "float32")) for name in ("a/b", "a/c", "a.b")}


def values(table) -> set[float]:
    return {float(x) for variable in table.values() for x in variable.numpy()}


def test_the_newest_comes_back_and_only_as_many_stay(tmp_path):
    table = variables(0.0)
    checkpoints = Checkpoints(tmp_path, table, keep=2)
    assert checkpoints.restore() is None
    for step in (5, 9, 10):
        for variable in table.values():
            variable.assign(tf.fill([100], float(step)))
        checkpoints.save(step)
    assert list(checkpoints.paths()) == [9, 10]
    assert len(list(tmp_path.iterdir())) == 6  # of each data, index and notes
    again = variables(-1.0)
    assert Checkpoints(tmp_path, again).restore() == 10
    assert values(again) == {10.0}


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_a_damaged_newest_one_is_named_and_the_one_before_it_used(tmp_path, caplog, damage):
    table = variables(1.0)
    checkpoints = Checkpoints(tmp_path, table)
    checkpoints.save(1)
    checkpoints.save(2)
    data = tmp_path / "ckpt-2.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    if damage == "missing":
        data.unlink()
    elif damage == "cut":
        data.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 3] ^= 4
        data.write_bytes(content)
    again = variables(-1.0)
    assert Checkpoints(tmp_path, again).restore() == 1
    assert values(again) == {1.0}
    assert "ckpt-2 is not whole" in caplog.text


def test_a_write_that_was_cut_off_is_no_checkpoint(tmp_path):
    (tmp_path / "ckpt-7.data-00000-of-00001").write_bytes(b"half")
    assert Checkpoints(tmp_path, variables(1.0)).restore() is None


@pytest.mark.parametrize("other", [{"a/b"}, {"a/b", "a/c", "a.b", "d"}])
def test_another_set_of_variables_is_refused(tmp_path, other):
    Checkpoints(tmp_path, variables(1.0)).save(1)
    with pytest.raises(InputError, match="found .*ckpt-1, which is whole, of another"):
        Checkpoints(
            tmp_path, {name: tf.Variable(np.zeros(100, "float32")) for name in other}
        ).restore()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not write the checkpoint of step 3.*good one is"):
        Checkpoints(tmp_path / "file" / "below", variables(1.0)).save(3)


def test_a_write_that_breaks_off_leaves_the_one_before_it(tmp_path):
    table = {"a": tf.Variable(np.arange(100_000, dtype="float32"))}
    checkpoints = Checkpoints(tmp_path, table)
    checkpoints.save(1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))  # as a disk that fills up
    try:
        with pytest.raises(InputError, match="checkpoint of step 2: .*good one is .*ckpt-1: make"):
            checkpoints.save(2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["ckpt-1.data-00000-of-00001", "ckpt-1.index", "ckpt-1.json"]
    assert checkpoints.restore() == 1


def test_the_checkpoint_with_the_best_score_stays(tmp_path):
    checkpoints = Checkpoints(tmp_path, variables(1.0), keep=1)
    for step, score in ((1, 3.0), (2, 2.0), (3, None), (4, 2.5), (5, 2.0)):
        checkpoints.save(step, score)
    assert list(checkpoints.paths()) == [2, 5]
    assert checkpoints.best() == {"step": 2, "score": 2.0}
    checkpoints.save(6, 1.5)
    assert list(checkpoints.paths()) == [6]
    assert len(list(tmp_path.iterdir())) == 4  # data, index, notes and best.json


def test_what_is_written_meanwhile_is_of_its_step(tmp_path, monkeypatch):
    """Steps go on while a checkpoint is written; its values are those from before them."""
    table, may_write = variables(1.0), threading.Event()
    checkpoints, sync = Checkpoints(tmp_path, table), files.sync

    def wait_then_sync(path):
        assert may_write.wait(60)
        sync(path)

    monkeypatch.setattr(files, "sync", wait_then_sync)
    checkpoints.save(7, in_background=True)
    assert not checkpoints.paths()
    for variable in table.values():
        variable.assign_add(tf.ones([100]))
        variable.scatter_nd_update([[0]], [9.0])
    may_write.set()
    checkpoints.wait()
    assert list(checkpoints.paths()) == [7]
    again = variables(-1.0)
    assert Checkpoints(tmp_path, again).restore() == 7
    assert values(again) == {1.0}
    assert values(table) == {2.0, 9.0}


def test_what_goes_wrong_meanwhile_is_raised_by_who_waits(tmp_path):
    (tmp_path / "file").write_text("")
    checkpoints = Checkpoints(tmp_path / "file" / "below", variables(1.0))
    checkpoints.save(3, in_background=True)
    with pytest.raises(InputError, match="could not write the checkpoint of step 3"):
        checkpoints.save(4, in_background=True)
    checkpoints.wait()  # raised once
    checkpoints.save(5, in_background=True)
    with pytest.raises(InputError, match="the checkpoint of step 5"):
        while True:  # the steps meanwhile
            checkpoints.check()
    checkpoints.check()
    for error, expected in ((ValueError, ValueError), (None, InputError)):
        checkpoints.save(3, in_background=True)
        with pytest.raises(expected), checkpoints.finished():
            if error:
                raise error


def test_a_strategy_does_not_spread_what_is_written(tmp_path):
    strategy = tf.distribute.MirroredStrategy(["/CPU:0"])
    with strategy.scope():
        table = variables(3.0)
        Checkpoints(tmp_path, table).save(1)
    again = variables(-1.0)
    assert Checkpoints(tmp_path, again).restore() == 1
    assert values(again) == {3.0}

"""Kills between any two operations on files, and damage to what a run reads back."""

import json
import logging
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from roots_tf.storage import files, leftovers
from roots_tf.storage.files import InputError
from roots_tf.training import checkpoint_notes
from roots_tf.training.checkpoint_notes import Notes, WindowState
from roots_tf.training.checkpoints import Checkpoints
from roots_tf.training.metrics_file import MetricsFile, read_metrics

WINDOW = WindowState.of({"x_loss": [1.5, 4.0], "bad": [float("nan"), float("inf")]}, 2)


def told(caplog) -> list[str]:
    """What this package has warned of, however much the tests before this one let be logged."""
    warned = [record for record in caplog.records if record.levelno >= logging.WARNING]
    return [record.getMessage() for record in warned if "roots_tf" in record.pathname]


def write(folder, steps, first=0.0, keep=2, in_background=False):
    """Checkpoints of `steps`, each with a row of metrics; the score falls at each but the last."""
    table = {"a": tf.Variable(np.full(50, first, "float32"))}
    checkpoints = Checkpoints(folder / "checkpoints", table, keep)
    start = checkpoints.restore() or 0
    checkpoints.sweep(start)
    notes = checkpoints.notes(start)
    rows = MetricsFile(folder, start, notes and notes.rows)
    for step in steps:
        if step > start:
            table["a"].assign_add(tf.fill([50], 1.0 + step))
            rows.append({"group": "train", "step": step, "loss": 1.0 / step})
            score = 99.0 if step == max(steps) else 50.0 - step
            checkpoints.save(step, score, WINDOW, rows.rows(), in_background)
    checkpoints.wait()
    return checkpoints, table["a"].numpy()


def state(folder) -> dict[str, bytes]:
    """What all files of a run hold."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


class Killed(BaseException):
    """The end of a process: nothing catches it, and after it no operation on files is done."""


def killed(folder, steps, at: int) -> bool:
    """Whether a process that writes `steps` was killed before its operation number `at`."""
    done = 0

    def counted(operation):
        def call(*arguments, **options):
            nonlocal done
            done += 1
            if done >= at:
                raise Killed
            return operation(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "replace", "unlink", "rename", "rmdir", "mkdir", "open"):
            patch.setattr(os, name, counted(getattr(os, name)))
        patch.setattr(os, "getpid", lambda: 2**30 + at)  # there is no such process
        try:
            write(folder, steps, keep=1, in_background=True)
        except Killed:
            return True
    return False


@pytest.mark.parametrize(("before", "steps"), [((), (1,)), ((1, 2), (1, 2, 3))])
def test_killed_before_any_operation_a_run_goes_on_to_the_same_bytes(
    tmp_path, monkeypatch, before, steps
):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a killed process loses nothing by that
    begun, whole = tmp_path / "begun", tmp_path / "whole"
    write(begun, before, keep=1)
    shutil.copytree(begun, whole)
    write(whole, steps, keep=1)
    expected = state(whole)
    assert "checkpoints/best.json" in expected
    for at in range(1, 1000):
        folder = tmp_path / str(at)
        shutil.copytree(begun, folder)
        if not killed(folder, steps, at):
            break
        write(folder, steps, keep=1)
        assert state(folder) == expected, at
        shutil.rmtree(folder)
    assert at > 30


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write(folder, (10, 20, 30))
    return folder


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def changed(path):
    """JSON stays JSON."""
    path.write_text(path.read_text().replace("2", "3"))


DAMAGES = [
    *[(suffix, damage) for suffix in ("data-00000-of-00001", "index") for damage in (flip, cut)],
    *[("json", damage) for damage in (flip, cut, changed)],
    *[("json", lambda path, text=text: path.write_text(text)) for text in ("{}", "[]", "", "7")],
    *[(suffix, os.unlink) for suffix in ("data-00000-of-00001", "json", "index")],
    ("json", lambda path: (path.unlink(), path.mkdir())),
]


@pytest.mark.parametrize(("suffix", "damage"), DAMAGES)
def test_damage_to_the_newest_is_named_and_ends_in_the_same_bytes(
    run, tmp_path, caplog, suffix, damage
):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    damage(folder / "checkpoints" / f"ckpt-30.{suffix}")
    checkpoints, _ = write(folder, (10, 20))
    [line] = told(caplog)
    assert "ckpt-30 is not whole (" in line
    assert line.endswith(f"training goes on from {folder}/checkpoints/ckpt-20")
    write(folder, (10, 20, 30))
    assert state(folder) == state(run)
    assert checkpoints.best() == {"step": 20, "score": 30.0}


def test_without_a_whole_checkpoint_training_starts_at_step_0(run, tmp_path, caplog):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    for index in (folder / "checkpoints").glob("*.index"):
        cut(index)
    write(folder, (10, 20, 30))
    assert [line.rpartition(": ")[2] for line in told(caplog)] == 2 * ["training starts at step 0"]
    assert state(folder) == state(run)


def test_a_kill_before_the_first_index_is_told(tmp_path, caplog):
    assert Checkpoints(tmp_path / "checkpoints", {}).restore() is None
    assert not told(caplog)  # a new run
    (tmp_path / "checkpoints" / ".ckpt-5.0123abcd-7-0123456789ab.tmp").mkdir(parents=True)
    assert Checkpoints(tmp_path / "checkpoints", {}).restore() is None
    (tmp_path / "checkpoints" / "ckpt-5.data-00000-of-00001").write_bytes(b"half")
    assert Checkpoints(tmp_path / "checkpoints", {}).restore() is None
    folder = tmp_path / "checkpoints"
    assert told(caplog) == [
        f"found no whole checkpoint in {folder}: training starts at step 0",
        f"{folder}/ckpt-5 is not whole (found no {folder}/ckpt-5.index): training starts at step 0",
    ]


@pytest.mark.parametrize("old", [True, False])
def test_an_index_that_a_kill_of_version_0_2_cut_is_no_checkpoint(tmp_path, caplog, old):
    _, expected = write(tmp_path / "run", (1,))
    folder = tmp_path / "run" / "checkpoints"
    (folder / "ckpt-1.json").unlink()
    if old:
        (folder / "ckpt-1.json").write_text('{"sums": {}, "skipped_in_a_row": 0}')
    (folder / "ckpt-1.index").write_bytes(b"")
    caplog.clear()
    _, again = write(tmp_path / "run", (1,))
    np.testing.assert_array_equal(expected, again)
    [line] = told(caplog)
    assert line.endswith("training starts at step 0")


def test_checkpoints_of_older_versions_are_read(run, tmp_path, caplog):
    folder = tmp_path / "run" / "checkpoints"
    shutil.copytree(run / "checkpoints", folder)
    sums = {"x_loss": [1.5, 4.0], "y": [2, 1]}
    for step in (20, 30):
        (folder / f"ckpt-{step}.json").write_text(json.dumps({"sums": sums, "skipped_in_a_row": 3}))
    (folder / "best.json").write_text('{"step": 20, "score": 2.5}')
    table = {"a": tf.Variable(tf.zeros([50]))}
    of_version_0_2 = Checkpoints(folder, table)
    assert of_version_0_2.restore() == 30
    window = of_version_0_2.notes(30).window
    assert (window.numbers, window.skipped_in_a_row) == (sums, 3)
    assert of_version_0_2.best() == {"step": 20, "score": 2.5}
    of_version_0_2.save(40, 1.0)
    assert of_version_0_2.best() == {"step": 40, "score": 1.0}
    for path in folder.glob("*.json"):  # version 0.1 had none
        path.unlink()
    caplog.clear()
    of_version_0_1 = Checkpoints(folder, table)
    assert of_version_0_1.restore() == 40
    assert of_version_0_1.notes(40) is None
    assert of_version_0_1.best() is None
    assert "training goes on from it all the same" in told(caplog)[0]


def test_notes_come_back_and_those_of_another_step_or_shape_do_not(tmp_path):
    path = tmp_path / "ckpt-7.json"
    (tmp_path / "ckpt-7.index").write_bytes(b"index")
    notes = checkpoint_notes.new(7, [tmp_path / "ckpt-7.index"], score=1.5, window=WINDOW)
    checkpoint_notes.write(path, notes)
    assert checkpoint_notes.read(path, 7) == notes
    assert notes.roots_tf
    assert str(notes.window.numbers) == "{'x_loss': [1.5, 4.0], 'bad': [nan, inf]}"
    json.loads(path.read_text(), parse_constant=lambda text: pytest.fail(text))
    checkpoint_notes.verify(notes, tmp_path)
    with pytest.raises(InputError, match=r"found notes of step 7 in .*; wanted step 8"):
        checkpoint_notes.read(path, 8)
    for text in (
        '{"step": 7}',
        '{"sums": {"a": [1]}, "skipped_in_a_row": 0}',
        '{"sums": {"a": ["x", "y"]}, "skipped_in_a_row": 0}',
        '{"sums": 5, "skipped_in_a_row": 0}',
        '{"sums": {}, "skipped_in_a_row": -1}',
        '{"sums": {}, "skipped_in_a_row": "many"}',
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=r"found .*in .*ckpt-7.json"):
            checkpoint_notes.read(path, 7)
    assert checkpoint_notes.read(tmp_path / "ckpt-9.json", 9) is None
    later = {"step": 7, "files": {"a": "b"}, "of_a_later_version": 1}
    path.write_text(json.dumps(later))
    assert checkpoint_notes.read(path, 7) == Notes(7, files={"a": "b"})


def test_no_wrong_type_in_notes_gives_a_traceback(run, tmp_path):
    text = (run / "checkpoints" / "ckpt-30.json").read_text()
    whole = {key: value for key, value in json.loads(text).items() if key != "checksum"}
    places = [(whole, key) for key in whole]
    places += [(whole[key], inner) for key in ("window", "rows", "files") for inner in whole[key]]
    path = tmp_path / "ckpt-30.json"
    for holder, key in places:
        before = holder[key]
        for odd in (None, True, -1, 1.5, 10**400, "x", [], ["x"], {}, {"x": [None]}):
            holder[key] = odd
            path.write_text(json.dumps(whole))
            try:
                notes = checkpoint_notes.read(path, 30)
                checkpoint_notes.verify(notes, run / "checkpoints")
                assert notes.window is None or notes.window.numbers is not None
            except InputError as error:
                assert "\n" not in str(error)
        holder[key] = before


@pytest.mark.parametrize("text", ["{}", "not JSON", '{"step": -1, "score": "x"}', "[1]"])
def test_best_json_is_written_again_from_the_notes(run, tmp_path, text):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "checkpoints" / "best.json").write_text(text)
    write(folder, (10, 20, 30))
    assert state(folder) == state(run)


@pytest.mark.parametrize("damage", [cut, flip, os.unlink])
def test_rows_that_are_lost_are_told(run, tmp_path, caplog, damage):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    damage(folder / "metrics.jsonl")
    rows = MetricsFile(folder, 30, Checkpoints(folder / "checkpoints", {}).notes(30).rows)
    left = {cut: 1, flip: 2, os.unlink: 0}[damage]
    assert told(caplog) == [
        f"found {folder}/metrics.jsonl damaged: it holds {left} of the 3 rows up to step 30; "
        "training goes on from this step with the rows that are left, the others stay lost"
    ]
    rows.append({"group": "train", "step": 40, "loss": 0.0})
    assert len(read_metrics(folder)) == left + 1
    MetricsFile(folder, 40, rows.rows())
    assert len(told(caplog)) == 1  # told once


def test_damaged_lines_are_passed_over(tmp_path, caplog):
    good = '{"group": "train", "step": 1, "loss": NaN}'
    bad = ["", "{}", "[]", "\0", '{"group": 3, "step": 1}', '{"group": "train", "step": "1"}']
    bad += ['{"group": "train", "step": 2, "loss": "x"}', "[" * 100_000, '{"group": "tr']
    (tmp_path / "metrics.jsonl").write_text("\n".join([*bad, good, '{"gro']))
    (tmp_path / "metrics.jsonl").write_bytes(
        (tmp_path / "metrics.jsonl").read_bytes().replace(b"\0", b"\xff")
    )
    [row] = read_metrics(tmp_path)
    assert (row["group"], row["step"]) == ("train", 1)
    assert f"found {len(bad)} damaged lines in {tmp_path}/metrics.jsonl" in caplog.text
    assert read_metrics(tmp_path / "elsewhere") == []


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    if not (child := os.fork()):
        leftovers.temporary_path(tmp_path / "of the dead").write_text("half")
        leftovers.temporary_path(tmp_path / "folder").mkdir()
        os._exit(0)
    os.waitpid(child, 0)
    own = leftovers.temporary_path(tmp_path / "own")
    elsewhere = tmp_path / ".x.json.00000000-7-0123456789ab.tmp"
    unnamed = tmp_path / ".x.json.0123456789ab.tmp"
    others = [tmp_path / name for name in (".mine.tmp", "x.0123456789ab.tmp", ".x.json")]
    for path in (own, elsewhere, unnamed, *others):
        path.write_text("")
    assert len(leftovers.sweep(tmp_path)) == 2
    assert {*tmp_path.iterdir()} == {own, elsewhere, unnamed, *others}
    for path in (elsewhere, unnamed, *others):  # two hours old
        os.utime(path, (path.stat().st_mtime - 7200,) * 2)
    assert sorted(leftovers.sweep(tmp_path)) == sorted([elsewhere.name, unnamed.name])
    assert {*tmp_path.iterdir()} == {own, *others}


def test_the_next_write_into_a_folder_removes_what_a_kill_has_left(tmp_path):
    if not (child := os.fork()):
        with files.atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            os._exit(0)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 1
    files.write_text(tmp_path / "b.txt", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]

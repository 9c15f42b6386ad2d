"""Durations as people write them."""

import contextlib

import pytest

from roots_tf.storage.files import InputError
from roots_tf.training import durations

SIZES = {"batch_size": 32, "num_examples": 1000, "length": 128}


@pytest.mark.parametrize(
    ("duration", "steps"),
    [
        ("10000", 10_000), ("10_000 steps", 10_000), ("1 step", 1), ("1 epoch", 32),
        ("3 epochs", 94), ("0.5epochs", 16), ("64 examples", 2), ("65 examples", 3),
        ("1e6 tokens", 245), ("1,000,000 Tokens", 245), ("4096tokens", 1), ("1e3", 1000),
    ],
)  # fmt: skip
def test_a_duration_is_a_number_of_steps(duration, steps):
    assert durations.steps_of(duration, **SIZES) == steps


@pytest.mark.parametrize("duration", ["", "ten", "10 days", "-5", "0", "1e99", "1e999", "nan"])
def test_other_words_are_refused(duration):
    with pytest.raises(InputError, match="found the duration .*wanted"):
        durations.steps_of(duration, **SIZES)


@pytest.mark.parametrize(
    ("report", "last_step", "refused"),
    [(None, 30, False), (None, 29, True), ({"step": 40}, 39, True), ({"step": 40}, 40, False)],
)
def test_a_run_does_not_end_before_where_it_stands(tmp_path, report, last_step, refused):
    durations.check_reach(tmp_path, None, 1)  # nothing is there yet
    (tmp_path / "checkpoints").mkdir()
    for name in ("ckpt-20.index", "ckpt-30.index", "ckpt-30.data", "ckpt-9x.index"):
        (tmp_path / "checkpoints" / name).touch()
    wanted = "found a run at step .* wanted a longer --duration, or another --output"
    with pytest.raises(InputError, match=wanted) if refused else contextlib.nullcontext():
        durations.check_reach(tmp_path, report, last_step)

"""Durations as people write them."""

import pytest

from roots_tf.files import InputError
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

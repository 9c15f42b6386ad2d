"""A run: what it leaves when it ends."""

import math

import pytest

from roots_tf.training import loop, run, strategies
from roots_tf.training.automatic import Computation
from roots_tf.training.metrics_file import read_metrics
from roots_tf.training.settings import Cadence, Optimization
from roots_tf.training.summaries import Summaries
from tests.training.test_loop import Regression


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_no_model(tmp_path, bad):
    settings = run.Settings(Optimization(), Computation("float32", False), Cadence())
    with strategies.make_strategy("one_device").scope():
        training = run.Run(Regression(), tmp_path, settings)
        training.finish()  # of weights that are finite
        kernel = next(iter(training.weights.values()))
        kernel.assign(kernel * bad)
        with pytest.raises(loop.DivergedError, match="1 of 2 arrays .* not finite at step 0, line"):
            training.finish()
    assert loop.DivergedError.exit_status != 0


def test_a_scalar_that_is_no_number_is_not_in_the_rows(tmp_path):
    summaries = Summaries(tmp_path, 0)
    summaries.write("train", 1, {"loss": math.nan, "accuracy": 0.5})
    assert read_metrics(tmp_path) == [{"group": "train", "step": 1, "accuracy": 0.5}]

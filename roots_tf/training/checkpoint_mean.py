"""The mean of the weights as they are and of those in the checkpoints before."""

import contextlib

import numpy as np
import tensorflow as tf
from absl import logging

from roots_tf.training.checkpoints import Checkpoints


class CheckpointMean:
    """Stands in for weights that still jump from update to update (Vaswani et al. 2017, 6.1).

    It is taken where an evaluation asks for it and at the end, of the weights as they are and of
    the `count - 1` newest checkpoints before at multiples of `every` steps: not of one that a
    signal made, so that a run that was stopped has the same mean as one that was not. Sums are
    float64, the mean is float32 as the weights.

    Args:
        weights: by the names that they have in checkpoints.
        step: updates done.
        checkpoints: of the run; they keep what the mean needs.
        count: of how many weights it is the mean, such as 5.
    """

    def __init__(
        self,
        weights: dict[str, tf.Variable],
        step: tf.Variable,
        checkpoints: Checkpoints,
        count: int,
    ):
        self._weights, self._step, self._checkpoints = weights, step, checkpoints
        self._count, self._is_whole = count, {}

    @contextlib.contextmanager
    def in_use(self):
        """Context in which the weights have the values of the mean."""
        before = [tf.identity(variable) for variable in self._weights.values()]
        self._assign(self._steps())
        yield
        for variable, value in zip(self._weights.values(), before, strict=True):
            variable.assign(value)

    def replace_weights(self) -> None:
        """Gives the weights the values of the mean, for good."""
        steps = self._steps()
        named = ", ".join(f"{step:,}" for step in [*steps, int(self._step.numpy())])
        logging.info("the weights are the mean of those at steps %s", named)
        if len(steps) + 1 < self._count:
            logging.warning(
                "found %d of %d checkpoints for --average_checkpoints", len(steps) + 1, self._count
            )
        self._assign(steps)

    def _steps(self) -> list[int]:
        """Steps of the checkpoints in the mean; a damaged one is told of, and is not in it."""
        self._checkpoints.wait()
        found = self._checkpoints.regular(int(self._step.numpy()))[1 - self._count :]
        for step in found:
            if step in self._is_whole:
                continue
            why = self._checkpoints.fault(step)
            self._is_whole[step] = not why
            if why:
                logging.error(
                    "the checkpoint of step %d is not whole (%s), nor in the mean", step, why
                )
        return [step for step in found if self._is_whole[step]]

    def _assign(self, steps: list[int]) -> None:
        readers = [self._checkpoints.reader(step) for step in steps]
        for name, variable in self._weights.items():
            values = [*(read(name) for read in readers), variable.numpy()]
            variable.assign(np.mean(values, 0, "float64").astype("float32"))

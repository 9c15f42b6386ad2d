"""Many steps in one call of the graph, and what must be told step by step inside it."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from roots_tf.training.step import Sums

COUNTS = frozenset({"skipped", "spikes"})  # sums that are told as such, not as means


class Result(NamedTuple):
    """What a call of several steps gives.

    Attributes:
        sums: of the step, added up. A step that was skipped counts in `skipped` alone, because its
            losses may be no numbers. `spikes` counts the steps whose gradient norm was above the
            limit.
        input_wait: seconds that the steps waited for their batches, float64 scalar.
        skipped_in_a_row: steps skipped without a break up to and with the last, int32 scalar.
    """

    sums: Sums
    input_wait: tf.Tensor
    skipped_in_a_row: tf.Tensor


def make_call(train_step, step: tf.Variable) -> Callable[..., Result]:
    """Makes the function that trains for several steps.

    Args:
        train_step: from `roots_tf.training.step.make_train_step`.
        step: int64 variable that counts updates.

    Returns:
        A function of (iterator, steps, skipped_in_a_row, spike_limit): an iterator over batches,
        the number of steps (int32), what the call before gave (int32), and the gradient norm above
        which a step is a spike (float32).
    """

    @tf.function
    def one_step(batch, spike_limit):
        sums = dict(train_step(batch, step.read_value()))
        step.assign_add(1)
        skipped = sums.pop("skipped")[0] > 0
        sums["spikes"] = (tf.cast(sums["gradient_norm"][0] > spike_limit, tf.float32), 1.0)
        sums = tf.nest.map_structure(lambda value: tf.where(skipped, 0.0, value), sums)
        return sums | {"skipped": (tf.cast(skipped, tf.float32), tf.constant(1.0))}, skipped

    def timed(iterator):
        # The read waits for the step before, which writes this variable last, and so the clock
        # starts when the step before has ended, whatever else the graph may do at the same time.
        with tf.control_dependencies([step.read_value()]):
            start = tf.timestamp()
        with tf.control_dependencies([start]):
            batch = next(iterator)
        with tf.control_dependencies(tf.nest.flatten(batch)):
            return batch, tf.timestamp() - start

    @tf.function
    def call(iterator, steps, skipped_in_a_row, spike_limit):
        batch, waited = timed(iterator)
        sums, skipped = one_step(batch, spike_limit)
        streak = tf.where(skipped, skipped_in_a_row + 1, 0)
        for _ in tf.range(steps - 1):
            batch, seconds = timed(iterator)
            more, skipped = one_step(batch, spike_limit)
            sums = tf.nest.map_structure(tf.add, sums, more)
            streak = tf.where(skipped, streak + 1, 0)
            waited += seconds
        return Result(sums, waited, streak)

    return call

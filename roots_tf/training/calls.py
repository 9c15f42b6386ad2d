"""Many steps in one call of the graph, which gives the numbers of each step."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Result(NamedTuple):
    """What a call of several steps gives.

    Attributes:
        sums: by name, float32 [steps, 2]: the sum and the weight of each step.
        input_wait: seconds that each step waited for its batch, float64 [steps].
    """

    sums: dict[str, np.ndarray]
    input_wait: np.ndarray


def make_call(train_step, step: tf.Variable) -> Callable[..., Result]:
    """Makes the function that trains for several steps.

    Args:
        train_step: a `roots_tf.training.step.TrainStep`.
        step: int64 variable that counts updates.

    Returns:
        A function of an iterator over batches and a number of steps. It waits for the device.
    """
    names: list[str] = []  # of the sums, known once the step is traced

    # Python's loops and conditions here are the graph's own already. AutoGraph would still rewrite
    # all that a step calls, which takes 10 s before the first step.
    @functools.partial(tf.function, autograph=False)
    def one_step(batch):
        sums = train_step(batch, step.read_value())
        step.assign_add(1)
        names[:] = sums
        return tf.stack([tf.stack(pair) for pair in sums.values()])  # [names, 2]

    def timed(iterator):
        # The read waits for the step before, which writes this variable last, and so the clock
        # starts when the step before has ended, whatever else the graph may do at the same time.
        with tf.control_dependencies([step.read_value()]):
            start = tf.timestamp()
        with tf.control_dependencies([start]):
            batch = iterator.get_next()
        with tf.control_dependencies(tf.nest.flatten(batch)):
            wait = tf.timestamp() - start
        # The step waits for the clock, or a single thread would read it after the step's work.
        with tf.control_dependencies([wait]):
            return tf.nest.map_structure(tf.identity, batch), wait

    @functools.partial(tf.function, autograph=False)
    def several(iterator, steps):
        def next_step(index, sums, waits):
            batch, wait = timed(iterator)
            return index + 1, sums.write(index, one_step(batch)), waits.write(index, wait)

        empty = tf.TensorArray(tf.float32, steps), tf.TensorArray(tf.float64, steps)
        _, sums, waits = tf.while_loop(lambda index, *_: index < steps, next_step, (0, *empty))
        return sums.stack(), waits.stack()  # [steps, names, 2], [steps]

    def call(iterator, steps: int) -> Result:
        sums, waits = (part.numpy() for part in several(iterator, tf.constant(steps)))
        return Result({name: sums[:, i] for i, name in enumerate(names)}, waits)

    return call

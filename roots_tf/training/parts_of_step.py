"""Where the time of a step goes: functions that each do more of it than the one before."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from roots_tf.losses import names_of_losses
from roots_tf.training.optimizers import AdamW
from roots_tf.training.step import Task, TrainStep


def repeated(batch: dict[str, np.ndarray]) -> tf.data.Dataset:
    """The same batch without end, from memory."""
    return tf.data.Dataset.from_tensors(batch).repeat().prefetch(1)


def make(
    task: Task, dataset: tf.data.Dataset, seed: int = 0, jit_compile: bool = False
) -> dict[str, Callable[[], None]]:
    """`forward`, `backward`, `optimizer` and `input`: each does more of a step, and waits for it.

    Args:
        task: what is trained; its model stays as it is, as the learning rate is 0.
        dataset: batches without end.
        seed: of dropout.
        jit_compile: compile forward and backward with XLA.
    """
    variables = [variable.value for variable in task.model.trainable_variables]
    # A rate of 0 costs the same update, and keeps the model where it is however long this takes.
    train_step = TrainStep(
        task,
        AdamW(variables),
        lambda step: tf.constant(0.0),
        seed=seed,
        max_grad_norm=1.0,
        jit_compile=jit_compile,
    )
    losses = names_of_losses(task.scalars)
    dropout_seed, now = tf.constant([seed, 0]), tf.constant(0, tf.int64)
    iterator = iter(dataset)
    batch = next(iterator)

    def loss_of(batch):
        weights = task.weights(batch)
        sums = task.sums(batch, dropout_seed)
        return tf.add_n([sums[name][0] / weights[name] for name in losses])

    @tf.function(jit_compile=jit_compile, autograph=False)
    def forward(batch):
        return loss_of(batch)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def forward_backward(batch):
        with tf.GradientTape() as tape:
            loss = loss_of(batch)
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]

    @tf.function(autograph=False)
    def whole_step(batch):
        return train_step(batch, now)["gradient_norm"][0]

    @tf.function(autograph=False)
    def step_with_input(iterator):
        return train_step(iterator.get_next(), now)["gradient_norm"][0]

    return {
        "forward": lambda: forward(batch).numpy(),
        "backward": lambda: forward_backward(batch)[0].numpy(),
        "optimizer": lambda: whole_step(batch).numpy(),
        "input": lambda: step_with_input(iterator).numpy(),
    }


def take_turns(parts: Mapping[str, Callable[[], None]], seconds: float) -> dict[str, list[float]]:
    """Seconds of each function in each round; they take turns, so that drift hits all alike.

    Every other round goes backwards, so that none always comes after the same one.

    Args:
        parts: by name.
        seconds: how long to measure; three rounds at least.
    """
    took: dict[str, list[float]] = {name: [] for name in parts}
    end, order = time.monotonic() + seconds, list(parts.items())
    while min(map(len, took.values())) < 3 or time.monotonic() < end:
        for name, run in order:
            began = time.perf_counter()
            run()
            took[name].append(time.perf_counter() - began)
        order.reverse()
    return took


class Breakdown(NamedTuple):
    """Where the time of a step goes; parts and remainder add up to the whole.

    Attributes:
        whole: seconds of the step, the median.
        parts: seconds of each part by name, none below 0 nor above what the whole leaves.
        remainder: seconds that the parts leave.
        spread: by name, half of what lies between the quartiles of the part's measurements: where
            it is as large as the part, the machine was too busy to tell.
    """

    whole: float
    parts: dict[str, float]
    remainder: float
    spread: dict[str, float]


def breakdown(took: Mapping[str, Sequence[float]]) -> Breakdown:
    """The parts of a step from functions that each do more of it, measured in the same rounds.

    What a function adds to the one before it is their difference within a round, and a part is the
    median of that over the rounds: a round in which the machine was busy counts once, whatever it
    took. Medians of differences do not add up to the median of the whole by themselves; the parts
    take from it in turn, and what is left is the remainder.

    >>> breakdown({"forward": [1, 1, 1], "backward": [3, 9, 3], "optimizer": [4, 4, 4]}).parts
    {'forward': 1, 'backward': 2, 'optimizer': 1}

    Args:
        took: of `take_turns`; the last function is the whole step.
    """
    rounds = list(zip(*took.values(), strict=True))
    whole = left = statistics.median(row[-1] for row in rounds)
    parts, spread = {}, {}
    for place, name in enumerate(took):
        added = [row[place] - (row[place - 1] if place else 0) for row in rounds]
        parts[name] = min(max(statistics.median(added), 0), left)
        left -= parts[name]
        low, _, high = statistics.quantiles(added, n=4)
        spread[name] = (high - low) / 2
    return Breakdown(whole, parts, left, spread)

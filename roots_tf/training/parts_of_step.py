"""Where the time of a step goes: functions that each do more of it than the one before."""

import statistics
import time
from collections.abc import Callable, Mapping

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

    @tf.function(jit_compile=jit_compile)
    def forward(batch):
        return loss_of(batch)

    @tf.function(jit_compile=jit_compile)
    def forward_backward(batch):
        with tf.GradientTape() as tape:
            loss = loss_of(batch)
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]

    @tf.function
    def whole_step(batch):
        return train_step(batch, now)["gradient_norm"][0]

    @tf.function
    def step_with_input(iterator):
        return train_step(next(iterator), now)["gradient_norm"][0]

    return {
        "forward": lambda: forward(batch).numpy(),
        "backward": lambda: forward_backward(batch)[0].numpy(),
        "optimizer": lambda: whole_step(batch).numpy(),
        "input": lambda: step_with_input(iterator).numpy(),
    }


def take_turns(parts: Mapping[str, Callable[[], None]], seconds: float) -> dict[str, float]:
    """Median seconds of each function; they take turns, so that drift hits all alike.

    Args:
        parts: by name.
        seconds: how long to measure; three rounds at least.
    """
    took = {name: [] for name in parts}
    end = time.monotonic() + seconds
    while min(map(len, took.values())) < 3 or time.monotonic() < end:
        for name, run in parts.items():
            began = time.perf_counter()
            run()
            took[name].append(time.perf_counter() - began)
    return {name: statistics.median(turns) for name, turns in took.items()}

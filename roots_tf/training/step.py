"""One training step, the same update on one device, on many, and over micro-batches.

Losses come from the task as sums and are divided once, by the weight of the whole global batch.
Each replica adds up the gradients of its micro-batches; then they are summed over replicas, then
clipped by their global norm, then applied. The order matters: clipping before the sum, or a mean of
means, gives another update, and nothing in the run would show it.
"""

from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

Sums = dict[str, tuple[tf.Tensor, tf.Tensor]]  # name -> (sum, weight), float32 scalars


class Task(Protocol):
    """What is trained.

    Attributes:
        model: a Keras model whose weights exist.
        losses: names of the sums whose weighted means add up to the loss.
    """

    model: object
    losses: tuple[str, ...]

    def weights(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Weight of each loss over a batch, known before the model has run."""

    def sums(self, batch: dict[str, tf.Tensor], seed: tf.Tensor | None = None) -> Sums:
        """Sum and weight of each loss and each score over a batch; dropout where seed is given."""


def local_part(batch: dict[str, tf.Tensor], parts: int, index) -> dict[str, tf.Tensor]:
    """Part `index` of `parts` equal slices along the batch.

    >>> local_part({"x": tf.constant([1, 2, 3, 4])}, 2, 1)["x"].numpy()
    array([3, 4], dtype=int32)
    """

    def part(feature):
        size = feature.shape[0] // parts
        return tf.ensure_shape(
            feature[index * size : (index + 1) * size], [size, *feature.shape[1:]]
        )

    return batch if parts == 1 else {name: part(feature) for name, feature in batch.items()}


def fold_in(seed, number) -> tf.Tensor:
    """A seed, int32 [2], of its own for each number."""
    folded = tf.random.experimental.stateless_fold_in(seed, number)
    return tf.bitwise.bitwise_and(folded, tf.int32.max)  # XLA reads negative seeds another way


def make_train_step(
    task: Task,
    optimizer,
    learning_rate: Callable[[tf.Tensor], tf.Tensor],
    *,
    seed: int,
    max_grad_norm: float,
    accumulate_steps: int = 1,
    jit_compile: bool = False,
    average=None,
    loss_scale=None,
    measure_every: int = 0,
) -> Callable[[dict[str, tf.Tensor], tf.Tensor], Sums]:
    """Makes the function that trains on one global batch; call it in the strategy's scope.

    Args:
        task: what is trained.
        optimizer: see `roots_tf.training.optimizers`.
        learning_rate: from the step to the rate.
        seed: of dropout.
        max_grad_norm: gradients with a larger global norm are scaled down to it; 0 does not clip.
        accumulate_steps: micro-batches that each replica's share is cut into.
        jit_compile: compile forward and backward with XLA.
        average: a `MovingAverage` to update after each step, or None.
        loss_scale: a `LossScale` for products in float16, or None.
        measure_every: steps between two measurements of the norms of weights and update; 0: never.

    Returns:
        A function of (batch, step) for use inside `tf.function`. `batch` holds the examples of
        all replicas of this worker; `step` is an int64 scalar. It gives the sums of the task over
        the global batch, and `learning_rate`, `gradient_norm`, `clipped` and `skipped`; where
        norms are measured, also `parameter_norm` and `update_norm`, of weight 0 at other steps.
    """
    strategy = tf.distribute.get_strategy()
    replicas_here = len(strategy.extended.worker_devices) if tf.distribute.has_strategy() else 1
    variables = [variable.value for variable in task.model.trainable_variables]
    one = tf.constant(1.0)

    def forward_backward(batch, weights, dropout_seed, scale):
        with tf.GradientTape() as tape:
            sums = task.sums(batch, dropout_seed)
            loss = tf.add_n([sums[name][0] / weights[name] for name in task.losses])
            scaled = loss * scale
        gradients = tape.gradient(scaled, variables, unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) for gradient in gradients], sums

    if jit_compile:
        forward_backward = tf.function(forward_backward, jit_compile=True)

    def apply(gradients, clip, rate, step, finite):
        optimizer.apply(gradients, clip, rate, step, finite)
        if average is not None:
            average.update(step, finite)

    def apply_and_measure(gradients, clip, rate, step, finite):
        before = [tf.identity(variable) for variable in variables]
        with tf.control_dependencies(before):
            apply(gradients, clip, rate, step, finite)
        after = [tf.convert_to_tensor(variable) for variable in variables]
        update = [new - old for new, old in zip(after, before, strict=True)]
        return tf.linalg.global_norm(after), tf.linalg.global_norm(update)

    def replica_step(batch, step):
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group
        batch = local_part(batch, replicas_here, replica % replicas_here)
        weights = context.all_reduce(tf.distribute.ReduceOp.SUM, task.weights(batch))
        weights = {name: tf.maximum(weight, 1e-12) for name, weight in weights.items()}
        step_seed = fold_in(tf.constant([seed, 0]), tf.cast(step, tf.int32))
        scale = one if loss_scale is None else loss_scale.value
        total = None
        for index in range(accumulate_steps):
            micro = replica * accumulate_steps + index
            part = forward_backward(
                local_part(batch, accumulate_steps, index),
                weights,
                fold_in(step_seed, micro),
                scale,
            )
            total = part if total is None else tf.nest.map_structure(tf.add, total, part)
        gradients, sums = context.all_reduce(tf.distribute.ReduceOp.SUM, total)
        # From here on every replica does the same to its own copy of the weights.
        norm = tf.linalg.global_norm(gradients) / scale
        finite = tf.math.is_finite(norm)
        clip = max_grad_norm / tf.maximum(norm, max_grad_norm) if max_grad_norm > 0 else one
        rate = learning_rate(step)
        update = (gradients, clip / scale, rate, step, finite)
        measured = {}
        if measure_every:
            due = tf.equal((step + 1) % measure_every, 0)
            norms = tf.cond(
                due, lambda: apply_and_measure(*update), lambda: (apply(*update), (0.0, 0.0))[1]
            )
            weight = tf.cast(due, tf.float32)
            measured = {
                "parameter_norm": (norms[0], weight),
                "update_norm": (norms[1], weight),
            }
        else:
            apply(*update)
        if loss_scale is not None:
            loss_scale.update(finite)
            measured["loss_scale"] = (scale, one)
        return (
            sums
            | {
                "learning_rate": (rate, one),
                "gradient_norm": (tf.where(finite, norm, 0.0), one),
                "clipped": (tf.cast(clip < 1.0, tf.float32), one),
                "skipped": (tf.cast(~finite, tf.float32), one),
            }
            | measured
        )

    def train_step(batch, step):
        sums = strategy.run(replica_step, args=(batch, step))
        return tf.nest.map_structure(lambda x: strategy.experimental_local_results(x)[0], sums)

    return train_step

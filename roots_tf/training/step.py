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


def make_train_step(
    task: Task,
    optimizer,
    learning_rate: Callable[[tf.Tensor], tf.Tensor],
    *,
    seed: int,
    max_grad_norm: float,
    accumulate_steps: int = 1,
    jit_compile: bool = False,
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

    Returns:
        A function of (batch, step) for use inside `tf.function`. `batch` holds the examples of
        all replicas; `step` is an int64 scalar. It gives the sums of the task over the
        global batch, and `learning_rate`, `gradient_norm`, `clipped` and `skipped`.
    """
    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    variables = [variable.value for variable in task.model.trainable_variables]

    def forward_backward(batch, weights, dropout_seed):
        with tf.GradientTape() as tape:
            sums = task.sums(batch, dropout_seed)
            loss = tf.add_n([sums[name][0] / weights[name] for name in task.losses])
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) for gradient in gradients], sums

    if jit_compile:
        forward_backward = tf.function(forward_backward, jit_compile=True)

    def replica_step(batch, step):
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group
        batch = local_part(batch, replicas, replica)
        weights = context.all_reduce(tf.distribute.ReduceOp.SUM, task.weights(batch))
        weights = {name: tf.maximum(weight, 1e-12) for name, weight in weights.items()}
        fold_in = tf.random.experimental.stateless_fold_in
        step_seed = fold_in(tf.constant([seed, 0]), tf.cast(step, tf.int32))
        total = None
        for index in range(accumulate_steps):
            micro = replica * accumulate_steps + index
            part = forward_backward(
                local_part(batch, accumulate_steps, index), weights, fold_in(step_seed, micro)
            )
            total = part if total is None else tf.nest.map_structure(tf.add, total, part)
        return total

    def train_step(batch, step):
        gradients, sums = strategy.run(replica_step, args=(batch, step))
        if replicas > 1:
            reduce = strategy.extended.batch_reduce_to
            gradients = reduce(
                tf.distribute.ReduceOp.SUM, list(zip(gradients, variables, strict=True))
            )
            sums = tf.nest.map_structure(
                lambda value: strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None), sums
            )
        one_copy = [strategy.experimental_local_results(gradient)[0] for gradient in gradients]
        norm = tf.linalg.global_norm(one_copy)
        finite = tf.math.is_finite(norm)
        scale = tf.constant(1.0)
        if max_grad_norm > 0:
            scale = max_grad_norm / tf.maximum(norm, max_grad_norm)
        rate = learning_rate(step)
        optimizer.apply([gradient * scale for gradient in one_copy], rate, step, finite)
        one = tf.constant(1.0)
        return sums | {
            "learning_rate": (rate, one),
            "gradient_norm": (tf.where(finite, norm, 0.0), one),
            "clipped": (tf.cast(scale < 1.0, tf.float32), one),
            "skipped": (tf.cast(~finite, tf.float32), one),
        }

    return train_step

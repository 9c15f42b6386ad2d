"""One training step, the same update on one device, on many, and over micro-batches.

Losses come from the task as sums and are divided once, by the weight of the whole global batch.
Each replica adds up the gradients of its micro-batches; then they are summed over replicas, then
clipped by their global norm, then applied. The order matters: clipping before the sum, or a mean of
means, gives another update, and nothing in the run would show it.

The dropout of a micro-batch is a function of (seed, step, its place among all micro-batches of the
global batch). So N replicas draw the masks that one device draws with N micro-batches, and one
device with a single batch draws others: without dropout all three give the same update.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

from roots_tf.losses import Scalar, names_of_losses
from roots_tf.seeds import fold_in
from roots_tf.storage.files import InputError

Sums = dict[str, tuple[tf.Tensor, tf.Tensor]]  # name -> (sum, weight), float32 scalars
Batch = dict[str, tf.Tensor]

# What the step itself reports; see `roots_tf.training.summaries` for what the names mean.
SCALARS = tuple(
    Scalar(name, "optimizer")
    for name in (
        *("learning_rate", "gradient_norm", "clipped", "skipped", "spikes"),
        *("parameter_norm", "update_norm", "loss_scale"),
    )
)


class Task(Protocol):
    """What is trained.

    Attributes:
        model: a Keras model whose weights exist.
        scalars: what `sums` gives, and what follows from it. The weighted means of those with
            `is_loss` add up to the loss.
        additive: whether the sums over the slices of a batch add up to those over the batch. A loss
            that compares all rows of a batch with one another is not additive: its `sums` gathers
            over replicas (`all_gather` of the replica context), and it is trained in micro-batches
            only if it is a `TwoPassTask`.
    """

    model: object
    scalars: tuple[Scalar, ...]
    additive: bool

    def weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Weight of each loss over a `batch`, known before the model has run."""

    def sums(self, batch: Batch, seed: tf.Tensor | None = None) -> Sums:
        """Sum and weight of each loss and each score over a batch.

        Args:
            batch: features [B, ...].
            seed: int32 [2] for dropout; None is without.
        """


class TwoPassTask(Task, Protocol):
    """A task that is not additive and whose loss looks at rows through a vector of each.

    A step over micro-batches first makes the vectors of all of them, then the loss and its gradient
    for each vector, then the gradients of the weights, one micro-batch at a time: the update of the
    whole batch in the memory of one micro-batch (Gao et al. 2021, arXiv:2101.06983, section 3).
    """

    def vectors(self, batch: Batch, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Vectors of rows, [B, ...]; arguments as for `sums`."""

    def sums_of_vectors(self, vectors: tf.Tensor, batch: Batch) -> Sums:
        """As `sums`, from the `vectors` of the rows of the `batch`."""


class AlternatingTask(Task, Protocol):
    """A task whose batches are of several kinds, each with losses of its own.

    A step makes the forward and backward pass of its batch's kind only.

    Attributes:
        kinds: for each kind, a function as `sums` that gives all scalars, with weight 0 those of
            other kinds.
    """

    kinds: tuple[Callable[..., Sums], ...]

    def kind(self, batch: Batch) -> tf.Tensor:
        """Which of `kinds` a training `batch` is, int32 []."""


def local_part(batch: Batch, parts: int, index) -> Batch:
    """Part `index` of `parts` equal slices of a `batch` along its first axis.

    >>> local_part({"x": tf.constant([1, 2, 3, 4])}, 2, 1)["x"].numpy()
    array([3, 4], dtype=int32)
    """

    def part(feature):
        size = feature.shape[0] // parts
        return tf.ensure_shape(
            feature[index * size : (index + 1) * size], [size, *feature.shape[1:]]
        )

    return batch if parts == 1 else {name: part(feature) for name, feature in batch.items()}


def check_cuts(task: Task, accumulate_steps: int, jit_compile: bool, replicas: int) -> None:
    """Refuses to cut batches where the loss of a task is none of their parts.

    Args:
        task: what is trained.
        accumulate_steps: micro-batches that each replica's share is cut into.
        jit_compile: whether forward and backward are compiled with XLA.
        replicas: devices that share each batch.

    Raises:
        InputError: the task is not additive, and there are micro-batches, or XLA and replicas.
    """
    if task.additive:
        return
    if accumulate_steps > 1 and not hasattr(task, "vectors"):
        raise InputError(
            "wrong-batch",
            f"found accumulate_steps={accumulate_steps} and a loss that compares all rows of a "
            "batch, which is not the sum of its micro-batches'; wanted accumulate_steps=1",
        )
    if jit_compile and replicas > 1:
        raise InputError(
            "flags-conflict",
            "found jit_compile on several devices and a loss that compares all rows of a "
            "batch, which XLA cannot gather; wanted --jit_compile=false",
        )


class TrainStep:
    """Trains on one global batch; made and called in the strategy's scope.

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
        last_step: one more step at which they are measured: its row may be of fewer steps.
        clocked: measure `own_seconds`, the time that this worker takes for its part of the
            gradients, without that in which workers wait for one another. Of a GPU the host's clock
            cannot tell it.

    Raises:
        InputError: see `check_cuts`.
    """

    def __init__(
        self,
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
        last_step: int = 0,
        clocked: bool = False,
    ):
        self._task, self._optimizer, self._learning_rate = task, optimizer, learning_rate
        self._losses = names_of_losses(task.scalars)
        self._seed, self._max_grad_norm = seed, max_grad_norm
        self._accumulate_steps = accumulate_steps
        self._measure_every, self._last_step = measure_every, last_step
        self._clocked = clocked
        self._average, self._loss_scale = average, loss_scale
        # Two branches of a step call it: a function is traced once for both.
        self._apply = tf.function(self._apply_to_weights, autograph=False)
        self._variables = [variable.value for variable in task.model.trainable_variables]
        self._strategy = tf.distribute.get_strategy()
        several = tf.distribute.has_strategy()
        self._replicas_here = len(self._strategy.extended.worker_devices) if several else 1
        self._two_passes = accumulate_steps > 1 and not task.additive
        check_cuts(task, accumulate_steps, jit_compile, self._strategy.num_replicas_in_sync)
        self._gradients = self._forward_backward
        if jit_compile:
            self._gradients = tf.function(self._forward_backward, jit_compile=True, autograph=False)

    @tf.autograph.experimental.do_not_convert
    def __call__(self, batch: Batch, step: tf.Tensor) -> Sums:
        """One update; for use inside `tf.function`.

        Args:
            batch: the rows of all replicas of this worker.
            step: number of updates done before, int64 scalar.

        Returns:
            The sums of the task over the global batch, and `learning_rate`, `gradient_norm`,
            `clipped` and `skipped`; where norms are measured, also `parameter_norm` and
            `update_norm`, of weight 0 at other steps; of a step that is `clocked`, `own_seconds`.
        """
        sums = self._strategy.run(self._replica_step, args=(batch, step))
        return tf.nest.map_structure(
            lambda x: self._strategy.experimental_local_results(x)[0], sums
        )

    def _replica_step(self, batch: Batch, step: tf.Tensor) -> Sums:
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group
        batch = local_part(batch, self._replicas_here, replica % self._replicas_here)
        weights = context.all_reduce(tf.distribute.ReduceOp.SUM, self._task.weights(batch))
        weights = {name: tf.maximum(weight, 1e-12) for name, weight in weights.items()}
        scale = tf.constant(1.0) if self._loss_scale is None else self._loss_scale.value
        step_seed = fold_in(tf.constant([self._seed, 0]), tf.cast(step, tf.int32))
        seeds = [
            fold_in(step_seed, replica * self._accumulate_steps + index)
            for index in range(self._accumulate_steps)
        ]
        make = self._of_vectors if self._two_passes else self._of_sums
        # The weights are there when all workers have their batches: from here on none waits.
        with self._clock(weights) as began:
            total = make(tf.nest.map_structure(tf.identity, batch), weights, seeds, scale)
        with self._clock(total) as ended:
            gradients, sums = context.all_reduce(tf.distribute.ReduceOp.SUM, total)
        update = sums | self._update(gradients, step, scale)
        if self._clocked:
            update["own_seconds"] = (tf.cast(ended - began, tf.float32), tf.constant(1.0))
        return update

    @contextlib.contextmanager
    def _clock(self, tensors):
        """Context of what waits for the clock, which is read when there are all `tensors`."""
        if not self._clocked:
            yield None
            return
        with tf.control_dependencies(tf.nest.flatten(tensors)):
            now = tf.timestamp()
        with tf.control_dependencies([now]):
            yield now

    def _of_sums(self, batch: Batch, weights, seeds, scale):
        """Gradients and sums, added up over micro-batches, which wait for one another.

        Without that a graph may begin with all of them, and hold the activations of all.
        """
        total = None
        for index, seed in enumerate(seeds):
            with tf.control_dependencies([] if total is None else [_done(total)]):
                micro = local_part(batch, len(seeds), index)
                part = self._gradients(micro, weights, seed, scale)
                total = part if total is None else tf.nest.map_structure(tf.add, total, part)
        return total

    def _forward_backward(self, batch: Batch, weights, seed, scale):
        if not hasattr(self._task, "kinds"):
            return self._of_kind(self._task.sums, batch, weights, seed, scale)
        # The backward pass too is inside: what a custom gradient keeps cannot leave a branch.
        branches = [
            functools.partial(self._of_kind, sums, batch, weights, seed, scale)
            for sums in self._task.kinds
        ]
        return tf.switch_case(self._task.kind(batch), branches)

    def _of_kind(self, sums_of, batch: Batch, weights, seed, scale):
        with self._tape() as tape:
            sums = sums_of(batch, seed)
            scaled = self._loss(sums, weights) * scale
        return self._dense(tape.gradient(scaled, self._variables, **_ZEROS)), sums

    def _of_vectors(self, batch: Batch, weights, seeds, scale):
        """Gradients and sums of a `TwoPassTask`."""
        parts = [local_part(batch, len(seeds), index) for index in range(len(seeds))]
        made = [self._task.vectors(part, seed) for part, seed in zip(parts, seeds, strict=True)]
        vectors = tf.concat(made, 0)
        with self._tape() as tape:
            tape.watch(vectors)
            sums = self._task.sums_of_vectors(vectors, batch)
            scaled = self._loss(sums, weights) * scale
        of_vectors, *direct = tape.gradient(scaled, [vectors, *self._variables], **_ZEROS)
        total = self._dense(direct)  # of weights that the loss itself has, such as a temperature
        for part, seed, upstream in zip(
            parts, seeds, tf.split(of_vectors, len(seeds)), strict=True
        ):
            with self._tape() as tape:
                again = self._task.vectors(part, seed)
            gradients = tape.gradient(again, self._variables, output_gradients=upstream, **_ZEROS)
            total = [tf.add(*pair) for pair in zip(total, self._dense(gradients), strict=True)]
        return total, sums

    @contextlib.contextmanager
    def _tape(self):
        """A tape that follows what is trained alone: weights that stay have no gradient."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._variables)
            yield tape

    def _loss(self, sums: Sums, weights) -> tf.Tensor:
        return tf.add_n([sums[name][0] / weights[name] for name in self._losses])

    @staticmethod
    def _dense(gradients) -> list[tf.Tensor]:
        return [tf.convert_to_tensor(gradient) for gradient in gradients]

    def _update(self, gradients, step, scale) -> Sums:
        """Applies the global gradients: every replica does the same to its own copy."""
        one, limit = tf.constant(1.0), self._max_grad_norm
        norm = tf.linalg.global_norm(gradients) / scale
        finite = tf.math.is_finite(norm)
        clip = limit / tf.maximum(norm, limit) if limit > 0 else one
        rate = self._learning_rate(step)
        update = (gradients, clip / scale, rate, step, finite)
        measured = {}
        if self._measure_every:
            done = step + 1
            due = tf.equal(done % self._measure_every, 0) | tf.equal(done, self._last_step)
            norms = tf.cond(
                due,
                lambda: self._apply_and_measure(*update),
                lambda: (self._apply(*update), (0.0, 0.0))[1],
            )
            weight = tf.cast(due, tf.float32)
            measured = {"parameter_norm": (norms[0], weight), "update_norm": (norms[1], weight)}
        else:
            self._apply(*update)
        if self._loss_scale is not None:
            self._loss_scale.update(finite)
            measured["loss_scale"] = (scale, one)
        return {
            "learning_rate": (rate, one),
            "gradient_norm": (tf.where(finite, norm, 0.0), one),
            "clipped": (tf.cast(clip < 1.0, tf.float32), one),
            "skipped": (tf.cast(~finite, tf.float32), one),
        } | measured

    def _apply_to_weights(self, gradients, clip, rate, step, finite) -> None:
        self._optimizer.apply(gradients, clip, rate, step, finite)
        if self._average is not None:
            self._average.update(step, finite)

    def _apply_and_measure(self, *update):
        """Norms of the weights after the update, and of what it added to them."""
        before = [tf.identity(variable) for variable in self._variables]
        with tf.control_dependencies(before):
            self._apply(*update)
        after = [tf.convert_to_tensor(variable) for variable in self._variables]
        change = [new - old for new, old in zip(after, before, strict=True)]
        return tf.linalg.global_norm(after), tf.linalg.global_norm(change)


def _done(total) -> tf.Operation:
    """An operation that waits for the sums of the micro-batches so far."""
    return tf.group(*tf.nest.flatten(total), name="micro_batch")


_ZEROS = {"unconnected_gradients": "zero"}  # weights that a loss does not touch

"""Where a check runs, and the small training run that several of them make there."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from roots_tf import models, objectives
from roots_tf.losses import names_of_losses
from roots_tf.planning.measuring import task_of
from roots_tf.planning.random_batches import random_batch
from roots_tf.training import calls, optimizers, parts_of_step
from roots_tf.training.step import TrainStep

STEPS = 4  # updates that are compared
RATE = 1e-3
WEIGHTS = "weights.npz"  # that all comparisons start from, made on the processor


class LeftOut(Exception):  # noqa: N818  (no error: a check does not apply)
    """A check that does not apply here; its text says why."""


class Place(NamedTuple):
    """Where a check runs.

    Attributes:
        strategy: of `tf.distribute`; every check is made in its scope.
        accelerator: "GPU", "TPU", or "" where it is the processor.
        folder: what processes leave for one another.
        seed: of weights, batches and dropout.
        debug: whether all is to be as small as can be.
    """

    strategy: tf.distribute.Strategy
    accelerator: str
    folder: Path
    seed: int = 0
    debug: bool = False

    @property
    def shape(self) -> "Shape":
        """Sizes of the model and of the batch that are compared."""
        return Shape(16, 4, 64, 1, 32) if self.debug else Shape(64, 16, 1000, 2, 128)


class Shape(NamedTuple):
    """Sizes: L, B, V, layers, H."""

    length: int
    rows: int
    vocabulary: int
    layers: int
    width: int

    def config(self, preset: str = "bert", **fields) -> models.EncoderConfig:
        """Sizes of a model with so many layers.

        Args:
            preset: of `models.PRESETS`.
            **fields: others than these sizes.
        """
        sizes = {
            "vocabulary_size": self.vocabulary,
            "num_layers": self.layers,
            "hidden_dim": self.width,
            "num_heads": 2,
            "intermediate_dim": 4 * self.width,
            "max_sequence_length": self.length,
            "dropout": 0.0,
        }
        return models.EncoderConfig(**models.preset_fields(preset) | sizes | fields)


@dataclasses.dataclass(frozen=True)
class Trained:
    """What some steps gave.

    Attributes:
        losses: float32 [S].
        norms: of the gradients, float32 [S].
        update: of all weights together, one vector.
    """

    losses: np.ndarray
    norms: np.ndarray
    update: np.ndarray


class Trainer:
    """A small run of masked words as `pretrain` makes it: its step, its call, its optimizer.

    Args:
        place: where; made and used in the scope of its strategy.
        precision: a Keras dtype policy.
        compiled: whether forward and backward are compiled with XLA.
        dropout: a rate.
        seed: added to the place's.
    """

    def __init__(
        self,
        place: Place,
        precision: str = "float32",
        compiled: bool = False,
        dropout: float = 0.0,
        seed: int = 0,
    ):
        shape, seed = place.shape, place.seed + seed
        objective = objectives.MaskedLM(max_predictions_per_seq=max(2, shape.length // 8))
        config = shape.config(dropout=dropout)
        self.model = objective.make_model(config, seed=seed, precision=precision)
        task = task_of(objective, self.model)
        self._losses = names_of_losses(task.scalars)
        self._optimizer = optimizers.make("adamw", self.model.trainable_variables, 0.01)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        train_step = TrainStep(
            task,
            self._optimizer,
            lambda now: tf.constant(RATE),
            seed=seed,
            max_grad_norm=1.0,
            jit_compile=compiled,
        )
        self._call = calls.make_call(train_step, self.step)
        batch = random_batch(objective, shape.rows, shape.length, shape.vocabulary, place.seed)
        self._iterator = iter(parts_of_step.repeated(batch))

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """Step, weights and moments, as a checkpoint of a run has them."""
        weights = {variable.path: variable.value for variable in self.model.trainable_variables}
        moments = {f"moment_{i}": v for i, v in enumerate(self._optimizer.variables)}
        return {"step": self.step} | weights | moments

    def weights(self) -> list[np.ndarray]:
        """Values of what is trained."""
        return [variable.value.numpy() for variable in self.model.trainable_variables]

    def set_weights(self, values: list[np.ndarray]) -> None:
        """Gives it the `values` that `weights` of another one gave."""
        for variable, value in zip(self.model.trainable_variables, values, strict=True):
            variable.value.assign(value)

    def train(self, steps: int = STEPS) -> Trained:
        """Makes so many `steps`."""
        before = self.weights()
        sums = self._call(self._iterator, steps).sums
        losses = sum(sums[name][:, 0] / sums[name][:, 1] for name in self._losses)
        after = self.weights()
        change = [(new - old).ravel() for new, old in zip(after, before, strict=True)]
        return Trained(losses, sums["gradient_norm"][:, 0], np.concatenate(change))


def save_arrays(path: Path, arrays: list[np.ndarray]) -> None:
    """Leaves `arrays` for another process at a `path`."""
    np.savez(path, *arrays)


def load_arrays(path: Path) -> list[np.ndarray]:
    """What `save_arrays` left there, in its order."""
    with np.load(path) as found:
        return [found[name] for name in found.files]

"""Stopping once a score no longer gets better, with the weights of its best evaluation."""

from collections.abc import Sequence

import tensorflow as tf


class EarlyStopping:
    """Keeps the weights of the best evaluation and counts those since; higher scores are better.

    All that it knows is in variables, so that a checkpoint holds it and a run that was killed stops
    where one that was not does.

    Args:
        weights: what is kept; made in the scope of the current strategy.
        patience: evaluations without a better score after which training is over.
    """

    def __init__(self, weights: Sequence[tf.Variable], patience: int):
        self._weights, self._patience = list(weights), patience
        self._kept = [tf.Variable(weight, trainable=False) for weight in self._weights]
        self._best = tf.Variable(float("-inf"), trainable=False, dtype=tf.float64)
        self._worse = tf.Variable(0, trainable=False, dtype=tf.int64)

    @property
    def variables(self) -> list[tf.Variable]:
        """What a checkpoint must hold."""
        return [self._best, self._worse, *self._kept]

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        return int(self._worse.numpy()) >= self._patience

    def update(self, score: float) -> None:
        """After an evaluation: keeps the weights as they are now if the `score` is the best."""
        if score > float(self._best.numpy()):
            self._best.assign(score)
            self._worse.assign(0)
            for kept, weight in zip(self._kept, self._weights, strict=True):
                kept.assign(weight)
        else:
            self._worse.assign_add(1)

    def restore(self) -> None:
        """Gives the weights of the best evaluation back, if there was one."""
        if float(self._best.numpy()) > float("-inf"):
            for kept, weight in zip(self._kept, self._weights, strict=True):
                weight.assign(kept)

"""Optimizers that apply one global gradient to variables that replicas share.

They are called in cross-replica context, with gradients that are already summed and clipped, so
every replica makes the same update. The update itself is TensorFlow's fused kernel.
"""

from collections.abc import Sequence

import tensorflow as tf


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2).

    Biases, gains and other vectors are not decayed, as in google-research/bert. Unlike that code,
    the moments are corrected for their start at zero, as in the paper.

    Args:
        variables: the `tf.Variable`s to train; made in the scope of the current strategy, as are
            the two moments that this adds for each.
        weight_decay: share of a weight that is taken off at each step, times the learning rate.
        beta_1: decay of the mean of gradients.
        beta_2: decay of the mean of squared gradients.
        epsilon: added to the root of the second moment.
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
    ):
        self.trained = list(variables)
        self.weight_decay = weight_decay
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.first = [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self.trained]
        self.second = [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self.trained]

    @property
    def variables(self) -> list[tf.Variable]:
        """The moments: what a checkpoint must hold beside the weights and the step."""
        return self.first + self.second

    def apply(self, gradients, rate: tf.Tensor, step: tf.Tensor, keep: tf.Tensor) -> None:
        """Updates every variable, in cross-replica context.

        Args:
            gradients: one a variable, the same on every replica.
            rate: learning rate, float32 scalar.
            step: number of updates done before this one.
            keep: bool scalar; False leaves variables and moments as they are.
        """
        count = tf.cast(step, tf.float32) + 1.0
        powers = (tf.pow(self.beta_1, count), tf.pow(self.beta_2, count))
        extended = tf.distribute.get_strategy().extended
        for variable, first, second, gradient in zip(
            self.trained, self.first, self.second, gradients, strict=True
        ):
            decay = self.weight_decay if variable.shape.rank > 1 else 0.0
            extended.update(
                variable, self._update, args=(first, second, gradient, rate, powers, keep, decay)
            )

    def _update(self, variable, first, second, gradient, rate, powers, keep, decay):
        """Updates the copy of a variable on one device."""

        def update():
            if decay:
                variable.assign_sub(rate * decay * variable)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=rate,
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=gradient,
            )
            return True

        return tf.cond(keep, update, lambda: False)

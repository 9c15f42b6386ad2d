"""Optimizers that apply one global gradient to variables that replicas share.

They are called on every replica with the same gradients, already summed over replicas, and each
replica updates its own copy: the copies stay equal without another exchange.
"""

import contextlib
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from roots_tf.training.orthogonal import orthogonalised

LEAST_SIZE = 1e-3  # of a variable, for `ScaledAdamW`: Shazeer & Stern 2018, section 8
ORTHOGONALISED_BYTES = 1 << 27  # of matrices that `Muon` works on at once: it makes several copies


def _assign(variable: tf.Variable, value: tf.Tensor) -> tf.Operation:
    """Sets this replica's copy; `tf.Variable.assign` would ask the strategy to merge."""
    return tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)


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
        multipliers: of the learning rate of each variable; None: 1.
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        multipliers: Sequence[float] | None = None,
    ):
        self.trained = list(variables)
        self.multipliers = [1.0] * len(self.trained) if multipliers is None else multipliers
        self.weight_decay = weight_decay
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.first = [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self.trained]
        self.second = [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self.trained]

    @property
    def variables(self) -> list[tf.Variable]:
        """The moments: what a checkpoint must hold beside the weights and the step."""
        return self.first + self.second

    def apply(self, gradients, scale, rate, step, keep) -> None:
        """Updates this replica's copy of every variable.

        Args:
            gradients: one a variable, the same on every replica.
            scale: what gradients are multiplied by first: clipping; float32 scalar.
            rate: learning rate, float32 scalar.
            step: number of updates done before this one, integer scalar.
            keep: bool scalar; False leaves variables and moments as they are.
        """
        count = tf.cast(step, tf.float32) + 1.0
        # 1 - beta**count without the rounding of a number near 1; of the betas as the kernel has
        # them, in float32.
        betas = np.float32([self.beta_1, self.beta_2]).tolist()
        corrections = [-tf.math.expm1(count * math.log(beta)) for beta in betas]

        def update():
            for variable, first, second, gradient, multiplier in zip(
                self.trained, self.first, self.second, gradients, self.multipliers, strict=True
            ):
                own_rate = rate if multiplier == 1.0 else rate * multiplier
                self._update(variable, first, second, gradient * scale, own_rate, *corrections)
            return True

        tf.cond(keep, update, lambda: False)

    def _update(self, variable, first, second, gradient, rate, correction_1, correction_2):
        """Updates this replica's copy of one variable by TensorFlow's fused kernel."""
        if self.weight_decay and variable.shape.rank > 1:
            _assign(variable, variable * (1.0 - rate * self.weight_decay))
        # The kernel's own correction of the start at zero is turned off (powers of 0): it rounds,
        # and adds epsilon to the root before it corrects that.
        root = tf.sqrt(correction_2)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=0.0,
            beta2_power=0.0,
            lr=rate * root / correction_1,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon * root,
            grad=gradient,
        )


class Lamb(AdamW):
    """LAMB (You et al. 2020, arXiv:1904.00962, algorithm 2), for large batches.

    AdamW's direction, decay included, is scaled for each matrix to the length of its weights; the
    paper's phi is the identity. Vectors (biases, gains) are neither decayed nor scaled, as in the
    authors' code.
    """

    def _update(self, variable, first, second, gradient, rate, correction_1, correction_2):
        if variable.shape.rank < 2:
            super()._update(variable, first, second, gradient, rate, correction_1, correction_2)
            return
        mean = first + (1.0 - self.beta_1) * (gradient - first)
        square = second + (1.0 - self.beta_2) * (gradient * gradient - second)
        direction = mean / correction_1 / (tf.sqrt(square / correction_2) + self.epsilon)
        direction += self.weight_decay * variable
        length, update = tf.norm(variable), tf.norm(direction)
        ratio = tf.where((length > 0.0) & (update > 0.0), length / update, 1.0)
        _assign(variable, variable - rate * ratio * direction)
        _assign(first, mean)
        _assign(second, square)


class ScaledAdamW(AdamW):
    """AdamW whose rate is relative: each variable's is times the root of its mean square.

    As Adafactor has it (Shazeer & Stern 2018, arXiv:1804.04235, section 8) and nanoT5 in AdamW
    (Nawrot 2023, arXiv:2309.02373): a variable moves by a share of its size, 1e-3 at least. Rates
    are then some 1 / deviation times those of AdamW.
    """

    def _update(self, variable, first, second, gradient, rate, correction_1, correction_2):
        size = tf.sqrt(tf.reduce_mean(tf.square(variable)))
        rate = rate * tf.maximum(size, LEAST_SIZE)
        super()._update(variable, first, second, gradient, rate, correction_1, correction_2)


class Muon:
    """Muon as Moonlight has it (Liu et al. 2025, arXiv:2502.16982, algorithm 1 and 2.2).

    A matrix W [K, M] moves by 0.2 sqrt(max(K, M)) O, where O is Nesterov's momentum of its
    gradients, orthogonalised (Jordan et al. 2024): by as much as AdamW would move it, so that
    AdamW's rates and decay fit. Linear maps that stand side by side in one variable, such as those
    to queries, keys and values, are matrices of their own. AdamW trains what has no parts:
    embeddings, heads, vectors.

    Args:
        variables: as for `AdamW`.
        weight_decay: likewise.
        parts: of each variable the widths M of the linear maps [K, M] in it; () is AdamW's.
        momentum: share of the sum of gradients that a step keeps.
        beta_2: of the variables that AdamW trains, as for `AdamW`.
        multipliers: likewise.
        products: type of those that orthogonalise; see `newton_schulz`.
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        weight_decay: float = 0.01,
        *,
        parts: Sequence[Sequence[int]],
        momentum: float = 0.95,
        beta_2: float = 0.999,
        multipliers: Sequence[float] | None = None,
        products: tf.DType = tf.float32,
    ):
        self._products = products
        self._parts = [tuple(widths) for widths in parts]
        multipliers = [1.0] * len(self._parts) if multipliers is None else multipliers
        self.matrices, others = self._parted(variables)
        self._multipliers, of_others = self._parted(multipliers)
        self._widths, _ = self._parted(self._parts)
        self.weight_decay, self.momentum = weight_decay, momentum
        self.momenta = [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self.matrices]
        self._rest = AdamW(others, weight_decay, beta_2=beta_2, multipliers=of_others)

    @property
    def variables(self) -> list[tf.Variable]:
        """The momenta, and what `AdamW` keeps of the rest."""
        return self.momenta + self._rest.variables

    def apply(self, gradients, scale, rate, step, keep) -> None:
        """Updates this replica's copy of every variable.

        Args:
            gradients: as for `AdamW.apply`.
            scale: likewise.
            rate: likewise.
            step: likewise.
            keep: likewise.
        """
        of_matrices, others = self._parted(gradients)
        self._rest.apply(others, scale, rate, step, keep)

        def update():
            done = []
            for places in self._batches():
                with tf.control_dependencies(done):  # or copies of all would be there at once
                    done = self._update(places, of_matrices, scale, rate)
            return True

        tf.cond(keep, update, lambda: False)

    def _parted(self, values: Sequence) -> tuple[list, list]:
        """Of a value for each variable, those of matrices and those of others."""
        found: tuple[list, list] = [], []
        for value, widths in zip(values, self._parts, strict=True):
            found[not widths].append(value)
        return found

    def _batches(self) -> list[list[int]]:
        """Places of the matrices that are worked on at once."""
        batches, size = [], math.inf
        for place, variable in enumerate(self.matrices):
            own = 4 * variable.shape.num_elements()
            if size + own > ORTHOGONALISED_BYTES:
                batches, size = [*batches, []], 0
            batches[-1].append(place)
            size += own
        return batches

    def _update(self, places: list[int], gradients, scale, rate) -> list[tf.Operation]:
        """Updates the matrices at these places; gives operations that have ended when it has."""
        directions = []
        for place in places:
            gradient, momentum = gradients[place] * scale, self.momenta[place]
            total = self.momentum * momentum + gradient
            _assign(momentum, total)
            direction = gradient + self.momentum * total
            directions += tf.split(direction, self._widths[place], axis=1)
        moved, done = iter(orthogonalised(directions, self._products)), []
        for place in places:
            parts = [next(moved) for _ in self._widths[place]]
            parts = [0.2 * math.sqrt(max(part.shape)) * part for part in parts]
            variable, own_rate = self.matrices[place], rate * self._multipliers[place]
            kept = variable * (1.0 - own_rate * self.weight_decay)
            done.append(_assign(variable, kept - own_rate * tf.concat(parts, axis=1)))
        return done


def make(
    name: str,
    variables: Sequence,
    weight_decay: float,
    beta_2: float = 0.999,
    multipliers: Sequence[float] | None = None,
    precision: str = "float32",
):
    """The optimizer of that `name`.

    Args:
        name: "adamw", "scaled_adamw", "lamb" or "muon".
        variables: Keras variables to train. For Muon one may have an attribute `parts`, as for
            `Muon`; without it, it has none.
        weight_decay: as for `AdamW`.
        beta_2: likewise.
        multipliers: likewise.
        precision: of the model, a Keras dtype policy; Muon's products follow it to bfloat16.
    """
    trained = [variable.value for variable in variables]
    how = {"beta_2": beta_2, "multipliers": multipliers}
    if name == "muon":
        parts = [getattr(variable, "parts", ()) for variable in variables]
        products = tf.bfloat16 if precision == "mixed_bfloat16" else tf.float32
        return Muon(trained, weight_decay, parts=parts, products=products, **how)
    make = {"adamw": AdamW, "scaled_adamw": ScaledAdamW, "lamb": Lamb}[name]
    return make(trained, weight_decay, **how)


class MovingAverage:
    """Exponential moving average of weights, for evaluation and for the model that is saved.

    The decay of step s is min(decay, (1 + s) / (10 + s)), as that of
    `tf.train.ExponentialMovingAverage`, so that short runs are not averages of their beginning.

    Args:
        variables: the weights; made in the scope of the current strategy.
        decay: share of the average that a step leaves, such as 0.999.
    """

    def __init__(self, variables: Sequence[tf.Variable], decay: float):
        self.trained, self.decay = list(variables), decay
        self.variables = [tf.Variable(v, trainable=False) for v in self.trained]

    def update(self, step, keep) -> None:
        """Moves this replica's averages towards its weights; not where `keep` is False.

        Args:
            step: number of updates done before this one, integer scalar.
            keep: bool scalar.
        """
        done = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self.decay, (1.0 + done) / (10.0 + done))
        share = tf.where(keep, share, 0.0)
        for average, variable in zip(self.variables, self.trained, strict=True):
            _assign(average, average + share * (variable - average))

    @contextlib.contextmanager
    def in_use(self):
        """Exchanges weights and averages, in cross-replica context, until it is left."""
        self._exchange()
        yield
        self._exchange()

    def replace_weights(self) -> None:
        """Gives the weights the values of their averages, in cross-replica context."""
        for average, variable in zip(self.variables, self.trained, strict=True):
            variable.assign(average)

    def _exchange(self) -> None:
        for average, variable in zip(self.variables, self.trained, strict=True):
            value = tf.identity(variable)
            variable.assign(average)
            average.assign(value)


class LossScale:
    """Keeps gradients in the range of float16 (Micikevicius et al. 2018, arXiv:1710.03740, 3.2).

    Losses are multiplied by `value` before the backward pass. A step without finite gradients,
    which is skipped, halves it; `patience` good steps in a row double it.
    """

    def __init__(self, value: float = 2.0**15, patience: int = 2000):
        self.value = tf.Variable(value, trainable=False)
        self.good_steps = tf.Variable(0, trainable=False)
        self.patience = patience

    @property
    def variables(self) -> list[tf.Variable]:
        """What a checkpoint must hold."""
        return [self.value, self.good_steps]

    def update(self, finite) -> None:
        """After a step, on every replica: `finite` says whether its gradients were."""
        good = tf.where(finite, self.good_steps + 1, 0)
        grow = good >= self.patience
        value = tf.where(finite, self.value * tf.where(grow, 2.0, 1.0), self.value / 2.0)
        _assign(self.value, tf.maximum(value, 1.0))
        _assign(self.good_steps, tf.where(grow, 0, good))

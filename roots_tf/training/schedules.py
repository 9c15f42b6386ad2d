"""Learning rate as a function of the step: a linear warm-up, then a way down.

Every schedule takes what `linear` takes, one of them more. The first update, step 0, already has a
rate above 0.
"""

import math

import tensorflow as tf


def linear(step: tf.Tensor, *, peak: float, warmup_steps: int, total_steps: int) -> tf.Tensor:
    """Falls linearly to 0 at the last step (Devlin et al. 2019, arXiv:1810.04805, A.2).

    Args:
        step: number of updates done before this one, integer scalar.
        peak: learning rate at the end of the warm-up.
        warmup_steps: length of the rise.
        total_steps: updates of the run, or of the phase.

    Returns:
        float32 scalar.
    """
    return peak * tf.minimum(
        _rise(step, warmup_steps), 1.0 - _done(step, warmup_steps, total_steps)
    )


def cosine(step: tf.Tensor, *, peak: float, warmup_steps: int, total_steps: int) -> tf.Tensor:
    """Falls to 0 along half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5).

    Arguments and result as for `linear`.
    """
    fall = 0.5 * (1.0 + tf.cos(math.pi * _done(step, warmup_steps, total_steps)))
    return peak * tf.minimum(_rise(step, warmup_steps), fall)


def inverse_sqrt(step: tf.Tensor, *, peak: float, warmup_steps: int, total_steps: int) -> tf.Tensor:
    """Falls with the root of the step (Vaswani et al. 2017, arXiv:1706.03762, eq. 3).

    It does not depend on `total_steps`, so that a run can be made longer.

    Arguments and result as for `linear`.
    """
    at = tf.cast(step, tf.float32) + 1.0
    warmup = float(max(warmup_steps, 1))
    return peak * tf.minimum(at / warmup, tf.math.rsqrt(at / warmup))


def constant(step: tf.Tensor, *, peak: float, warmup_steps: int, total_steps: int) -> tf.Tensor:
    """Stays where the warm-up ends; arguments and result as for `linear`."""
    return peak * _rise(step, warmup_steps)


def warmup_stable_decay(
    step: tf.Tensor,
    *,
    peak: float,
    warmup_steps: int,
    total_steps: int,
    decay_steps: int,
    shape: str,
) -> tf.Tensor:
    """Stays where the warm-up ends until the last updates, in which it falls to 0.

    Hu et al. 2024 (MiniCPM), arXiv:2404.06395, section 4; both ways down are those of Hägele et al.
    2024, arXiv:2405.18392, section 3. Before the decay it does not depend on `total_steps`, so that
    a run can be made longer from there.

    Args:
        step: as for `linear`.
        peak: likewise.
        warmup_steps: likewise.
        total_steps: likewise.
        decay_steps: of them, how many the decay takes.
        shape: "linear", or "one_minus_sqrt" for 1 - sqrt(share of the decay that is done).

    Returns:
        float32 scalar.
    """
    done = _done(step, total_steps - decay_steps, total_steps)
    fall = 1.0 - (tf.sqrt(done) if shape == "one_minus_sqrt" else done)
    return peak * tf.minimum(_rise(step, warmup_steps), fall)


SCHEDULES = {
    "linear": linear,
    "cosine": cosine,
    "inverse_sqrt": inverse_sqrt,
    "constant": constant,
    "warmup_stable_decay": warmup_stable_decay,
}


def _rise(step, warmup_steps: int) -> tf.Tensor:
    """Share of the warm-up that is done, at most 1."""
    return tf.minimum((tf.cast(step, tf.float32) + 1.0) / max(warmup_steps, 1), 1.0)


def _done(step, warmup_steps: int, total_steps: int) -> tf.Tensor:
    """Share of the way after the warm-up that is done, 0 to 1."""
    after = tf.cast(step, tf.float32) - warmup_steps
    return tf.clip_by_value(after / max(total_steps - warmup_steps, 1), 0.0, 1.0)

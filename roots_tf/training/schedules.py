"""Learning rate as a function of the step."""

import tensorflow as tf


def linear(step: tf.Tensor, *, peak: float, warmup_steps: int, total_steps: int) -> tf.Tensor:
    """Rises linearly from 0 over the warm-up, then falls linearly to 0 at the last step.

    Devlin et al. 2019 (arXiv:1810.04805), appendix A.2. The first update, step 0, already has
    a rate above 0.

    Args:
        step: number of updates done before this one, integer scalar.
        peak: learning rate at the end of the warm-up.
        warmup_steps: length of the rise.
        total_steps: updates of the whole run.

    Returns:
        float32 scalar.
    """
    done = tf.cast(step, tf.float32)
    rise = (done + 1.0) / max(warmup_steps, 1)
    fall = (total_steps - done) / max(total_steps - warmup_steps, 1)
    return peak * tf.clip_by_value(tf.minimum(rise, fall), 0.0, 1.0)

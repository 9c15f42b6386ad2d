"""How the next token is chosen: pure functions of logits and the seed of a row."""

import tensorflow as tf

from roots_tf.generation.settings import Settings


def choose(state, settings: Settings, *, eos_id: int) -> tf.Tensor:
    """The next token of every row, int32 [B].

    Args:
        state: `loop.State`; its `logits`, `seeds` and `step` decide.
        settings: what is asked for.
        eos_id: of the token that ends a text.
    """
    logits = state.logits
    if settings.decoding == "greedy":
        return tf.argmax(logits, -1, tf.int32)
    logits = logits / settings.temperature
    seeds = tf.stack([state.seeds[:, 0], state.seeds[:, 1] + state.step], 1)  # [B, 2]

    def noise(seed):
        shape = tf.shape(logits)[1:]
        return tf.random.stateless_uniform(shape, seed, 1e-20, 1.0, tf.float32, "philox")

    # Gumbel 1954: the largest of logits plus such noise is a draw from their softmax.
    gumbel = -tf.math.log(-tf.math.log(tf.map_fn(noise, seeds, fn_output_signature=tf.float32)))
    return tf.argmax(logits + gumbel, -1, tf.int32)

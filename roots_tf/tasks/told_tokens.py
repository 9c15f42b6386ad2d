"""What a model says of the right tokens of texts, each behind the right ones before it."""

import tensorflow as tf


def told_tokens(model, states, labels, weights) -> dict[str, tf.Tensor]:
    """How likely the right tokens of each row are, and how many are the likeliest.

    Logits are those of one row at a time, since those of all would fill the memory.

    Args:
        model: has `logits`, as a `models.CausalLM`.
        states: its states at the places that tell the tokens, [B, L, H].
        labels: the right tokens, int32 [B, L].
        weights: 1 where one is told, else 0, float32 [B, L].

    Returns:
        `log_probability` float32 [B] of the right tokens, their `tokens` and the `right` ones,
        int32 [B].
    """

    def of_row(row):
        logits = model.logits(row[0])  # [L, V]
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(row[1], logits)
        right = tf.cast(tf.argmax(logits, -1, tf.int32) == row[1], tf.float32)
        return tf.reduce_sum(loss * row[2]), tf.reduce_sum(right * row[2])

    losses, right = tf.map_fn(
        of_row, (states, labels, weights), fn_output_signature=(tf.float32, tf.float32)
    )
    return {
        "log_probability": -losses,
        "tokens": tf.cast(tf.reduce_sum(weights, 1), tf.int32),
        "right": tf.cast(right, tf.int32),
    }

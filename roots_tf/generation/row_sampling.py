"""Draws in which each row has a temperature, top-k and top-p of its own, as a served graph has."""

import tensorflow as tf

from roots_tf.generation import loop


def filtered(logits, temperature, top_k, top_p) -> tf.Tensor:
    """Logits to draw from: divided by the temperature; of tokens that are left out, very low.

    First the `top_k` likeliest stay, then of these the likeliest whose probabilities reach `top_p`
    (Fan et al. 2018, section 5.4; Holtzman et al. 2020, section 3.1).

    Args:
        logits: float32 [B, V].
        temperature: float32 [B, 1], above 0.
        top_k: int32 [B, 1]; 0: all.
        top_p: float32 [B, 1], above 0; 1: all.
    """
    logits = logits / temperature
    size = tf.shape(logits)[1]

    def cut():
        ordered, order = tf.math.top_k(logits, size)  # [B, V]
        kept = (tf.range(size) < top_k) | (top_k == 0)
        ordered = tf.where(kept, ordered, -1e9)
        before = tf.cumsum(tf.nn.softmax(ordered), 1, exclusive=True)
        # The first stays whatever the sum is; of top_p 1 rounding leaves none out.
        kept &= (before < top_p) | (top_p >= 1) | (tf.range(size) == 0)
        places = tf.argsort(order)
        return tf.where(tf.gather(kept, places, batch_dims=1), logits, -1e9)

    return tf.cond(tf.reduce_any((top_k > 0) | (top_p < 1)), cut, lambda: logits)


def advance(model, state, settings, rows, *, eos_id: int, pad_id: int):
    """As `loop.advance`, each row drawing as `rows` says.

    Args:
        model: as there.
        state: likewise.
        settings: likewise, of plain draws.
        rows: `temperature`, `top_k` and `top_p` by name, as `filtered` takes them.
        eos_id: as there.
        pad_id: likewise.
    """
    drawn = filtered(state.logits, rows["temperature"], rows["top_k"], rows["top_p"])
    after = loop.advance(
        model, state._replace(logits=drawn), settings, eos_id=eos_id, pad_id=pad_id
    )
    # The log-probability is that of the model and not of what was left to draw from.
    written = tf.gather(after.token_ids, state.prompt_length + state.step, axis=1)  # [B]
    ids = tf.where(after.lengths > state.lengths, written, eos_id)
    chance = tf.gather(tf.nn.log_softmax(state.logits), ids, batch_dims=1)
    now = tf.range(tf.shape(state.log_probabilities)[1]) == state.step  # [T]
    chance = tf.where(state.finished, 0.0, chance)[:, None]
    return after._replace(log_probabilities=tf.where(now, chance, state.log_probabilities))


def checks(asked, lengths, most: int, window: int) -> list[tf.Operation]:
    """Refuses, as the graph runs, what cannot be done.

    Args:
        asked: `max_new_tokens`, `temperature`, `top_k` and `top_p` [B] as attributes.
        lengths: int32 [B], tokens of the prompts with the begin of text.
        most: tokens that may be asked for.
        window: tokens of prompt and text at most.
    """

    def check(right, name, values, wanted):
        found = tf.boolean_mask(values, ~right)[:1]
        message = [f"found {name} of", found, f"; wanted {wanted}"]
        return tf.debugging.Assert(tf.reduce_all(right), message)

    tokens, heat = asked.max_new_tokens, asked.temperature
    return [
        check(lengths > 1, "a prompt", lengths - 1, "a text to continue, of one token or more"),
        check(
            lengths < window,
            "a prompt",
            lengths,
            f"fewer tokens than {window}, the window of the model: cut it at its start",
        ),
        check((tokens >= 1) & (tokens <= most), "max_new_tokens", tokens, f"1 to {most} of them"),
        check(
            (heat > 0) & (heat <= 100),
            "temperature",
            heat,
            "above 0, to 100; top_k of 1 takes the likeliest token",
        ),
        check(asked.top_k >= 0, "top_k", asked.top_k, "0, for all tokens, or more"),
        check((asked.top_p > 0) & (asked.top_p <= 1), "top_p", asked.top_p, "above 0, to 1"),
    ]

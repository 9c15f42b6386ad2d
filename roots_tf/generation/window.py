"""A model within its window: only tokens that a text may have, no place beyond the last."""

import tensorflow as tf


class Windowed:
    """A model as `loop.begin` and `loop.advance` take one, which gives ordinary tokens.

    Args:
        model: a `models.CausalLM`.
        allowed: bool [V], whether a token may come: no padding, no mask, no row of the vocabulary
            without a token.
    """

    def __init__(self, model, allowed):
        self.model, self.config, self._allowed = model, model.config, allowed
        self.window = model.config.max_sequence_length
        self.caches = model.caches

    def logits(self, hidden_states) -> tf.Tensor:
        """As for `models.CausalLM.logits`; of a token that may not come so low that it does not."""
        return tf.where(self._allowed, self.model.logits(hidden_states), -1e9)

    def step(self, queries, keys, caches):
        """As for `models.CausalLM.step`.

        A row that has ended goes on beside the others, at its last place.
        """
        places = tf.minimum(queries["position_ids"], self.window - 1)
        return self.model.step(queries | {"position_ids": places}, keys, caches)


def run(model, state, most, steps, settings, *, eos_id: int, pad_id: int, advance):
    """Some steps of the loop; a row ends too where its window does.

    Args:
        model: as for `loop.advance`.
        state: from `loop.begin`, or of the steps before.
        most: int32 [B], tokens that a row may have.
        steps: int32 [], how many to go at most; it ends earlier where every row has.
        settings: as for `loop.advance`.
        eos_id: likewise.
        pad_id: likewise.
        advance: `loop.advance`, or what does more.
    """

    def body(step, state):
        state = advance(model, state, settings, eos_id=eos_id, pad_id=pad_id)
        return step + 1, state._replace(finished=state.finished | (state.lengths >= most))

    _, state = tf.while_loop(
        lambda step, state: (step < steps) & ~tf.reduce_all(state.finished),
        body,
        (tf.constant(0), state),
    )
    return state


def seeds(texts: tf.Tensor, seed, sample=0) -> tf.Tensor:
    """Seeds of rows, int32 [B, 2]: of the text, the seed and the sample, and of no other text.

    Equal texts get equal seeds, so that the answer to a prompt is the same alone and among others;
    texts that differ get others, or they would all be drawn with the same luck.

    Args:
        texts: strings [B].
        seed: a whole number, or int64 [B].
        sample: the number of the sample, from 0.
    """
    numbers = [tf.strings.as_string(tf.cast(n, tf.int64)) for n in (seed, sample)]
    keys = tf.strings.join([*numbers, texts], "\n")
    halves = [tf.strings.to_hash_bucket_strong(keys, 2**31 - 1, [key, 19]) for key in (1, 2)]
    return tf.cast(tf.stack(halves, 1), tf.int32)

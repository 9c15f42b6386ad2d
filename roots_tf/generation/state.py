"""What the loop carries from token to token, what it gives, and the model's part of a step."""

from typing import NamedTuple

import tensorflow as tf

from roots_tf.generation.settings import Settings


class State(NamedTuple):
    """What the loop carries from token to token; tensors alone, so that a graph can return it.

    A caller may end rows between two calls of `advance`: `state._replace(finished=...)`.

    Attributes:
        token_ids: int32 [B, Lmax]: right-aligned prompts, then what was generated; padding behind.
        padding_mask: bool [B, Lmax], False before a prompt and behind the last token.
        caches: of the model, as its `step` gives them.
        logits: float32 [B, V] of the next token.
        prompt_length: int32 [], columns of the prompts.
        step: int32 [], tokens generated.
        finished: bool [B], whether a row has ended.
        lengths: int32 [B], tokens generated, without the one that ends the text.
        log_probabilities: float32 [B, T] of the tokens, by the model's own distribution.
        seeds: int32 [B, 2].
        full: bool [B], whether a row was finished by the window.
    """

    token_ids: tf.Tensor
    padding_mask: tf.Tensor
    caches: list
    logits: tf.Tensor
    prompt_length: tf.Tensor
    step: tf.Tensor
    finished: tf.Tensor
    lengths: tf.Tensor
    log_probabilities: tf.Tensor
    seeds: tf.Tensor
    full: tf.Tensor


class Generated(NamedTuple):
    """What was generated, of R rows: B, or with beams B times those that are returned.

    Attributes:
        ids: int32 [R, T], padding behind a row's end; T is as for `new_tokens`.
        lengths: int32 [R], tokens of a row, without the one that ends the text.
        log_probabilities: float32 [R, T] of the tokens, by the model's own distribution.
        ended: bool [R], whether a row ended by itself, and not at T or by the window.
        full: bool [R], whether the window ended it.
        scores: float32 [R]: of beams, what they are ranked by; else the sum of log-probabilities.
    """

    ids: tf.Tensor
    lengths: tf.Tensor
    log_probabilities: tf.Tensor
    ended: tf.Tensor
    full: tf.Tensor
    scores: tf.Tensor


def new_tokens(model, settings: Settings) -> int:
    """T, tokens that `model` has room for after a prompt: `settings.max_new_tokens` at most."""
    return max(1, min(settings.max_new_tokens, model.config.max_sequence_length - 1))


def run(model, state: State) -> State:
    """Runs the token that was taken last through the model: logits of the next one.

    Args:
        model: as for `begin`.
        state: of `take`. Rows that have ended run along; what they give is not read.
    """
    column = state.prompt_length + state.step - 1
    tokens = tf.reduce_sum(tf.cast(state.padding_mask, tf.int32), 1, keepdims=True)  # [B, 1]
    hidden_states, caches = model.step(
        {
            "token_ids": tf.gather(state.token_ids, [column], axis=1),
            "position_ids": tf.clip_by_value(tokens - 1, 0, model.config.max_sequence_length - 1),
        },
        {"token_ids": state.token_ids, "padding_mask": state.padding_mask},
        state.caches,
    )
    return state._replace(caches=caches, logits=model.logits(hidden_states[:, 0]))

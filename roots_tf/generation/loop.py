"""The loop: prompts in, one token of every row a step, ids out.

Prompts of different lengths stand right-aligned, so that the next token of every row has the same
place in the caches; the places before a prompt are padding, which no token sees, and positions are
counted from the prompt's first token.
"""

from typing import NamedTuple

import tensorflow as tf

from roots_tf.generation import samplers
from roots_tf.generation.settings import Settings


class State(NamedTuple):
    """What the loop carries from token to token; tensors alone, so that a graph can return it.

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


class Generated(NamedTuple):
    """What was generated.

    Attributes:
        ids: int32 [B, T], padding behind a row's end; T is `max_new_tokens`.
        lengths: int32 [B], tokens of a row, without the one that ends the text.
        log_probabilities: float32 [B, T] of the tokens, by the model's own distribution.
        ended: bool [B], whether a row ended by itself and not at T.
    """

    ids: tf.Tensor
    lengths: tf.Tensor
    log_probabilities: tf.Tensor
    ended: tf.Tensor


def begin(model, prompts, lengths, seeds, settings: Settings, *, pad_id: int) -> State:
    """Runs the prompts through the model.

    Args:
        model: has `caches(B, Lmax)`, `step(queries, keys, caches)` and `logits(hidden_states)`, as
            `models.CausalLM`.
        prompts: int32 [B, P], padded behind; each with its begin of text, at least one token.
        lengths: int32 [B], tokens of each prompt.
        seeds: int32 [B, 2], of each row: what a row gives depends on no other.
        settings: what is asked for.
        pad_id: of the padding.
    """
    batch_size, width = tf.unstack(tf.shape(prompts))
    places = tf.range(width) - (width - lengths[:, None])  # [B, P], below 0 before the prompt
    inside = places >= 0
    ids = tf.where(inside, tf.gather(prompts, tf.maximum(places, 0), batch_dims=1), pad_id)
    room = [[0, 0], [0, settings.max_new_tokens]]
    token_ids = tf.pad(ids, room, constant_values=pad_id)
    padding_mask = tf.pad(inside, room)
    keys = {"token_ids": token_ids, "padding_mask": padding_mask}
    queries = {"token_ids": ids, "position_ids": tf.maximum(places, 0)}
    caches = model.caches(batch_size, width + settings.max_new_tokens)
    hidden_states, caches = model.step(queries, keys, caches)
    return State(
        token_ids=token_ids,
        padding_mask=padding_mask,
        caches=caches,
        logits=model.logits(hidden_states[:, -1]),
        prompt_length=width,
        step=tf.constant(0),
        finished=tf.zeros([batch_size], tf.bool),
        lengths=tf.zeros([batch_size], tf.int32),
        log_probabilities=tf.zeros([batch_size, settings.max_new_tokens]),
        seeds=seeds,
    )


def advance(model, state: State, settings: Settings, *, eos_id: int, pad_id: int) -> State:
    """One more token of every row that has not ended; arguments as for `begin` and `generate`."""
    ids = samplers.choose(state, settings, eos_id=eos_id)  # [B]
    ended = state.finished | (ids == eos_id)
    written = tf.where(ended, pad_id, ids)
    chance = tf.gather(tf.nn.log_softmax(state.logits), ids, batch_dims=1)  # [B]
    chance = tf.where(state.finished, 0.0, chance)
    column = state.prompt_length + state.step
    here = tf.range(tf.shape(state.token_ids)[1]) == column  # [Lmax]
    token_ids = tf.where(here, written[:, None], state.token_ids)
    padding_mask = state.padding_mask | (here & ~ended[:, None])
    now = tf.range(settings.max_new_tokens) == state.step  # [T]
    positions = tf.reduce_sum(tf.cast(state.padding_mask, tf.int32), 1, keepdims=True)  # [B, 1]
    hidden_states, caches = model.step(
        {"token_ids": written[:, None], "position_ids": positions},
        {"token_ids": token_ids, "padding_mask": padding_mask},
        state.caches,
    )
    return state._replace(
        token_ids=token_ids,
        padding_mask=padding_mask,
        caches=caches,
        logits=model.logits(hidden_states[:, 0]),
        step=state.step + 1,
        finished=ended,
        lengths=state.lengths + tf.cast(~ended, tf.int32),
        log_probabilities=tf.where(now, chance[:, None], state.log_probabilities),
    )


def generate(
    model, prompts, lengths, seeds, settings: Settings, *, eos_id: int, pad_id: int
) -> Generated:
    """Continues prompts until each row has ended or has `max_new_tokens`.

    Args:
        model: as for `begin`.
        prompts: likewise.
        lengths: likewise.
        seeds: likewise.
        settings: likewise.
        eos_id: of the token that ends a text.
        pad_id: of the padding.
    """
    state = begin(model, prompts, lengths, seeds, settings, pad_id=pad_id)
    (state,) = tf.while_loop(
        lambda state: ~tf.reduce_all(state.finished),
        lambda state: (advance(model, state, settings, eos_id=eos_id, pad_id=pad_id),),
        (state,),
        maximum_iterations=settings.max_new_tokens,
    )
    ids = state.token_ids[:, tf.shape(prompts)[1] :]
    return Generated(ids, state.lengths, state.log_probabilities, state.finished)

"""What may come next, whatever decodes: ids that are tokens, penalties, n-grams, a least length."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from roots_tf.generation.settings import Settings
from roots_tf.storage.files import InputError

# A number and not infinity, which a sum or a difference would make NaN; its exponential is 0.
FORBIDDEN = -1e30


class Ids(NamedTuple):
    """Ids with a meaning.

    Attributes:
        eos: of the token that ends a text; -1: there is none.
        pad: of the padding, which no text has, unless it is `eos` too.
        num_tokens: ids of the tokenizer; rows of the embedding behind them are no tokens. None: V.
        forbidden: other ids that do not come, such as [MASK].
        forces_end: whether the last token of a text at most is always its end.
    """

    eos: int
    pad: int
    num_tokens: int | None = None
    forbidden: tuple[int, ...] = ()
    forces_end: bool = False


class Past(NamedTuple):
    """Tokens so far, of R rows.

    Attributes:
        token_ids: int32 [R, Lmax], written up to `end`.
        padding_mask: bool [R, Lmax], True on tokens.
        end: int32 [], columns written.
        step: int32 [], tokens generated.
    """

    token_ids: tf.Tensor
    padding_mask: tf.Tensor
    end: tf.Tensor
    step: tf.Tensor


def penalise(logits: tf.Tensor, past: Past, settings: Settings) -> tf.Tensor:
    """Makes tokens that stand already less likely (Keskar et al. 2019, arXiv:1909.05858, 4.1).

    Positive logits are divided by the penalty, negative ones multiplied, so that both go down.

    Args:
        logits: float32 [R, V].
        past: prompt and generated tokens, which count alike.
        settings: `repetition_penalty` is read.
    """
    penalty = settings.repetition_penalty
    if penalty == 1:
        return logits
    # Places of padding repeat the row's last token: one that stands there anyway.
    last = past.token_ids[:, past.end - 1][:, None]
    ids = tf.where(past.padding_mask, past.token_ids, last)  # [R, Lmax]
    before = tf.gather(logits, ids, batch_dims=1)
    after = tf.where(before > 0, before / penalty, before * penalty)
    return tf.tensor_scatter_nd_update(logits, _places(ids), after)


def at_end(logits: tf.Tensor, is_last: tf.Tensor, ids: Ids) -> tf.Tensor:
    """Logits of the last token at most: of a text whose end is forced, it is certain to be that.

    >>> at_end([[3.0, 1.0]], is_last=True, Ids(eos=1, pad=0, forces_end=True))
    [[-1e30, 0.0]]

    Args:
        logits: float32 [R, V].
        is_last: bool [], whether there is room for one token alone.
        ids: with a meaning.
    """
    if not ids.forces_end:
        return logits
    end = tf.one_hot(ids.eos, logits.shape[-1], 0.0, FORBIDDEN)  # [V]
    return tf.cond(is_last, lambda: tf.zeros_like(logits) + end, lambda: logits)


def allow(scores: tf.Tensor, past: Past, settings: Settings, ids: Ids) -> tf.Tensor:
    """Sets scores of what may not come to `FORBIDDEN`; one token of every row always stays.

    Args:
        scores: float32 [R, V]: logits or log-probabilities.
        past: as for `penalise`.
        settings: `min_new_tokens` and `no_repeat_ngram` are read.
        ids: which are tokens.

    Raises:
        InputError: an id is none of the model's, or no id is left.
    """
    never = never_of(ids, scores.shape[-1])
    if never.any():  # a sum, which takes a third of the time of a choice; no score is left of it
        scores = tf.nn.bias_add(scores, np.where(never, np.float32(FORBIDDEN), np.float32(0)))
    return of_the_past(scores, past, settings, ids)


def of_the_past(scores: tf.Tensor, past: Past, settings: Settings, ids: Ids) -> tf.Tensor:
    """As `allow`, but for what comes at no step; arguments as there. Often `scores` themselves."""
    size = scores.shape[-1]
    never = never_of(ids, size)
    others = ~never
    if 0 <= ids.eos < size:
        others[ids.eos] = False
    if settings.min_new_tokens and others.any() and others.sum() < (~never).sum():
        early = tf.one_hot(ids.eos, size, on_value=True, off_value=False)
        scores = tf.where(early & (past.step < settings.min_new_tokens), FORBIDDEN, scores)
    if settings.no_repeat_ngram:
        scores = _without_ngrams(scores, past, settings.no_repeat_ngram)
    return scores


def likeliest(
    logits: tf.Tensor, settings: Settings, ids: Ids
) -> tuple[tf.Tensor, tf.Tensor] | None:
    """The likeliest tokens of all, int32 [B], and whether each of them may come, bool [].

    Where they may, greedy decoding needs no pass over all scores that forbids a few.

    Args:
        logits: float32 [B, V].
        settings: for those that draw, or that look at tokens before, there is no such answer: None.
        ids: as for `allow`.
    """
    past = settings.repetition_penalty, settings.min_new_tokens, settings.no_repeat_ngram
    if settings.decoding != "greedy" or past != (1, 0, 0):
        return None
    found = tf.argmax(logits, -1, tf.int32)
    may_come = tf.constant(~never_of(ids, logits.shape[-1]))
    return found, tf.reduce_all(tf.gather(may_come, found))


def never_of(ids: Ids, size: int) -> np.ndarray:
    """Bool [V]: ids that come at no step.

    Args:
        ids: with a meaning.
        size: V, of the model.

    Raises:
        InputError: an id is none of the model's, or no id is left.
    """
    num_tokens = size if ids.num_tokens is None else ids.num_tokens
    if not 1 <= num_tokens <= size:
        raise InputError(
            "wrong-vocabulary",
            f"found a tokenizer of {num_tokens} tokens and a model of {size}; wanted at most as "
            "many, and one at least; give the tokenizer that the model was trained with",
        )
    never = np.arange(size) >= num_tokens
    forbidden = set(ids.forbidden) | ({ids.pad} - {ids.eos})
    if wrong := sorted(i for i in forbidden if not 0 <= i < size and i != -1):
        raise InputError(
            "number-out-of-range", f"found id {wrong[0]} forbidden; wanted ids from 0 to {size - 1}"
        )
    never[[i for i in forbidden if i != -1]] = True
    if never.all():
        raise InputError(
            "number-out-of-range", "found every id forbidden; wanted one at least that may come"
        )
    return never


def _without_ngrams(scores: tf.Tensor, past: Past, size: int) -> tf.Tensor:
    """Forbids each token that followed the last `size` - 1 ones before.

    Rows where no token were left keep their scores: with few ids, every n-gram comes up in time.
    """
    length = tf.shape(past.token_ids)[1]
    starts = tf.range(tf.maximum(length - size + 1, 0))  # [S]
    windows = starts[:, None] + tf.range(size - 1)  # [S, n-1]
    last = past.end - (size - 1) + tf.range(size - 1)  # [n-1]
    inside = tf.reduce_all(tf.gather(past.padding_mask, tf.maximum(last, 0), axis=1), 1)  # [R]
    inside &= past.end >= size - 1
    last = tf.gather(past.token_ids, tf.maximum(last, 0), axis=1)  # [R, n-1]
    same = tf.gather(past.token_ids, windows, axis=1) == last[:, None]  # [R, S, n-1]
    same &= tf.gather(past.padding_mask, windows, axis=1)
    following = starts + size - 1
    again = tf.reduce_all(same, 2) & inside[:, None] & (following < past.end)  # [R, S]
    again &= tf.gather(past.padding_mask, following, axis=1)
    ids = tf.gather(past.token_ids, following, axis=1)
    limits = tf.where(again, FORBIDDEN, tf.float32.max)
    limited = tf.tensor_scatter_nd_min(scores, _places(ids), limits)
    some = tf.reduce_max(limited, 1, keepdims=True) > FORBIDDEN / 2
    return tf.where(some, limited, scores)


def _places(ids: tf.Tensor) -> tf.Tensor:
    """Indices of ids [R, S] among scores [R, V]: int32 [R, S, 2]."""
    rows = tf.broadcast_to(tf.range(tf.shape(ids)[0])[:, None], tf.shape(ids))
    return tf.stack([rows, ids], -1)

"""Masked language modelling: which tokens to predict, and what stands in their place.

By token and by whole word this is `create_masked_lm_predictions` of google-research/bert; by span
it is SpanBERT (arXiv:1907.10529, 3.1). It is vectorised over the batch, at fixed shapes, and draws
only from stateless seeds. [CLS], [SEP] and [PAD] are never predicted.

It differs in two ways, so that every token can be predicted and each row has its rate. Of a word
longer than the row's budget, which would never fit, each token counts as a word. Where there is
room left and no word fits, a part of one is taken.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from roots_tf.examples.word_starts import of_vocabulary

# draw(purpose, shape) gives float32 in [0, 1) of shape [B, *shape]; the same for the same purpose.
Draw = Callable[[int, list[int]], tf.Tensor]

SCORES, ACTIONS, RANDOM_IDS, SPAN_LENGTHS = range(4)
SPAN_GEOMETRIC = 0.2  # SpanBERT, 3.1: lengths from Geo(0.2), in words
LONGEST_SPAN = 10  # SpanBERT, 3.1: clipped at 10 words


class Masking(NamedTuple):
    """How tokens are masked.

    Attributes:
        strategy: "token", "whole_word" or "span".
        rate: share of a row's tokens, special ones counted, that are predicted; a number, or
            float64 [] from `rate_at`.
        replace: share of the predicted ones that become [MASK], a random id, or stay.
        max_predictions_per_seq: predictions a row at most, P.
    """

    strategy: str = "token"
    rate: float | tf.Tensor = 0.15
    replace: tuple[float, float, float] = (0.8, 0.1, 0.1)
    max_predictions_per_seq: int = 20


class Vocabulary(NamedTuple):
    """What masking must know of the tokenizer.

    Attributes:
        size: V.
        mask_id: id of [MASK].
        never_ids: ids that are never predicted: [PAD], [CLS], [SEP].
        starts_word: whether an id starts a word, bool [V], for rows that do not say it; an unknown
            token is a word of its own.
    """

    size: int
    mask_id: int
    never_ids: tuple[int, ...]
    starts_word: np.ndarray


def vocabulary_of(tokenizer) -> Vocabulary:
    """Takes from a tokenizer what masking must know."""
    never = (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id)
    starts_word = of_vocabulary(tokenizer)
    return Vocabulary(tokenizer.size, tokenizer.mask_id, never, starts_word)


def rate_at(step: tf.Tensor, first: float, last: float, steps: int) -> tf.Tensor:
    """A rate that moves linearly and then stays (Ankner et al. 2023, arXiv:2305.15096).

    >>> [float(rate_at(tf.constant(step), 0.3, 0.15, 100)) for step in (0, 50, 100, 200)]
    [0.3, 0.225, 0.15, 0.15]

    Args:
        step: number of the batch, an integer [].
        first: rate of step 0.
        last: rate of step `steps` and of all behind it.
        steps: above 0.

    Returns:
        float64 [].
    """
    done = tf.minimum(tf.cast(step, tf.float64) / steps, 1.0)
    return first * (1.0 - done) + last * done


def mask_tokens(
    token_ids: tf.Tensor,
    padding_mask: tf.Tensor,
    masking: Masking,
    vocabulary: Vocabulary,
    draw: Draw,
    starts: tf.Tensor | None = None,
    word_starts: tf.Tensor | None = None,
) -> dict[str, tf.Tensor]:
    """Masks a batch.

    With [MASK] = 4 and one prediction a row it turns [[2, 7, 8, 9, 3, 0]] into
    token_ids [[2, 7, 4, 9, 3, 0]], masked_lm_positions [[2]], masked_lm_ids [[8]] and
    masked_lm_weights [[1.0]].

    Args:
        token_ids: int32 [B, L].
        padding_mask: True on tokens, bool [B, L].
        masking: how.
        vocabulary: of the tokenizer.
        draw: the source of chance.
        starts: True where a piece of text starts: no word reaches back over it; bool [B, L].
        word_starts: True where a word starts, bool [B, L]; None takes `vocabulary.starts_word`.

    Returns:
        The masked `token_ids`, and `masked_lm_positions` (ascending), `masked_lm_ids` and
        `masked_lm_weights`, each [B, P] and 0 where unused.
    """
    length = token_ids.shape[1]
    never = tf.reduce_any(token_ids[..., None] == tf.constant(vocabulary.never_ids), axis=-1)
    candidates = padding_mask & ~never
    # float64, as Python computes it: in float32 a half may fall on the other side.
    tokens = tf.math.count_nonzero(padding_mask, axis=1, dtype=tf.float64)
    wanted = tf.cast(tf.round(tokens * masking.rate), tf.int32)
    wanted = tf.clip_by_value(wanted, 1, masking.max_predictions_per_seq)  # [B]
    if masking.strategy == "token":
        positions = _choose_tokens(candidates, wanted, masking.max_predictions_per_seq, draw)
        anchors = positions
    else:
        if word_starts is None:
            word_starts = tf.gather(tf.constant(vocabulary.starts_word), token_ids)
        words = _words(candidates, word_starts, starts, wanted)
        choose = _choose_words if masking.strategy == "whole_word" else _choose_spans
        chosen, anchors = choose(words, candidates, wanted, draw)
        positions = _ascending(chosen, masking.max_predictions_per_seq)
        anchors = tf.gather(anchors, tf.minimum(positions, length - 1), batch_dims=1)
    return _replace(token_ids, positions, anchors, masking, vocabulary, draw)


def _choose_tokens(candidates, wanted, predictions: int, draw: Draw) -> tf.Tensor:
    """Positions of the best-scored candidates, ascending, L where unused: int32 [B, P]."""
    length = candidates.shape[1]
    scores = tf.where(candidates, draw(SCORES, [length]), -1.0)
    best, positions = tf.math.top_k(scores, predictions, sorted=True)
    used = (best >= 0) & (tf.range(predictions) < wanted[:, None])
    return tf.sort(tf.where(used, positions, length), axis=1)


class _WordsOfRows(NamedTuple):
    """Words of a batch; a row has at most L of them.

    Attributes:
        of_token: index of the word that each token belongs to, int32 [B, L].
        lengths: tokens of each word, 0 past the last, int32 [B, L].
        breaks: True on the first word of a piece of text, which no span runs into, bool [B, L].
    """

    of_token: tf.Tensor
    lengths: tf.Tensor
    breaks: tf.Tensor


def _words(candidates, word_starts, starts, wanted) -> _WordsOfRows:
    """Groups candidates into words. No word reaches over a token that is no candidate.

    Tokens of a word longer than the budget are words of their own.
    """
    after_gap = ~tf.pad(candidates, [[0, 0], [1, 0]])[:, :-1]
    if starts is not None:
        after_gap |= starts
    first = candidates & (after_gap | word_starts)
    numbered = _numbered(first, candidates)

    def with_long_words_parted():
        of_token, lengths = numbered
        too_long = tf.gather(lengths, of_token, batch_dims=1) > wanted[:, None]
        parted = first | (candidates & too_long)
        return parted, *_numbered(parted, candidates)

    first, of_token, lengths = tf.cond(  # most batches have none
        tf.reduce_any(numbered[1] > wanted[:, None]),
        with_long_words_parted,
        lambda: (first, *numbered),
    )
    return _WordsOfRows(of_token, lengths, _per_word(first & after_gap, of_token) > 0)


def _numbered(first, candidates):
    """The word of each token and the tokens of each word, [B, L], given where words start."""
    of_token = tf.maximum(tf.cumsum(tf.cast(first, tf.int32), axis=1) - 1, 0)
    return of_token, _per_word(candidates, of_token)


def _per_word(mask, of_token):
    """How many tokens of each word are True in the mask, int32 [B, L]."""
    batch, length = tf.shape(mask)[0], mask.shape[1]
    flat = tf.reshape(of_token + tf.range(batch)[:, None] * length, [-1])
    ones = tf.reshape(tf.cast(mask, tf.int32), [-1])
    return tf.reshape(tf.math.unsorted_segment_sum(ones, flat, batch * length), [-1, length])


def _choose_words(words: _WordsOfRows, candidates, wanted, draw: Draw):
    """Whole words in random order, skipping those that no longer fit: chosen and anchors, [B, L].

    One at a time would take as many steps as there are words. Here a round takes, of the words that
    still fit alone, the longest run (in random order) that fits together. The word that ends the
    run never fits again, so the next round has less room and two or three rounds end it.
    """
    batch, length = tf.shape(candidates)[0], candidates.shape[1]
    exists = words.lengths > 0
    scores = tf.where(exists, draw(SCORES, [length]), 2.0)
    order = tf.argsort(scores, axis=1)
    lengths = tf.gather(words.lengths, order, batch_dims=1)

    def fits(taken):
        room = wanted - tf.reduce_sum(tf.where(taken, lengths, 0), axis=1)
        return ~taken & (lengths > 0) & (lengths <= room[:, None]), room

    def round_(taken):
        fit, room = fits(taken)
        used = tf.cumsum(tf.where(fit, lengths, 0), axis=1)
        return (taken | (fit & (used <= room[:, None])),)

    (taken,) = tf.while_loop(
        lambda taken: tf.reduce_any(fits(taken)[0]), round_, (tf.zeros_like(exists),)
    )
    flat = tf.reshape(order + tf.range(batch)[:, None] * length, [-1, 1])
    chosen_words = tf.scatter_nd(flat, tf.reshape(taken, [-1]), [batch * length])
    taken = tf.reshape(chosen_words, [-1, length])
    where = draw(SPAN_LENGTHS, [length])
    rest, _ = _part_of_a_word(words, candidates, taken, wanted, 1 - scores, where)
    chosen = rest | tf.gather(taken, words.of_token, batch_dims=1)
    # BERT draws what becomes of a token for each token, also within a word.
    anchors = tf.broadcast_to(tf.range(length), tf.shape(chosen))
    return chosen & candidates, anchors


def _choose_spans(words: _WordsOfRows, candidates, wanted, draw: Draw):
    """Spans of whole words until the budget is spent: chosen tokens and their anchors, [B, L].

    A span starts at a random word that is not masked yet and takes words to its right, which may
    be masked already, until it has its length, the text ends or a word does not fit. Words stay
    whole: SpanBERT's code cuts the last one. All tokens of a span share what becomes of them.
    """
    length = candidates.shape[1]
    exists = words.lengths > 0
    column = tf.range(length)
    scores = tf.where(exists, draw(SCORES, [length]), -1.0)
    # Inverse of the geometric distribution function: P(n) = p (1 - p)^(n - 1), clipped.
    uniform = draw(SPAN_LENGTHS, [length])
    spans = 1 + tf.cast(tf.math.log1p(-uniform) / np.log1p(-SPAN_GEOMETRIC), tf.int32)
    spans = tf.minimum(spans, LONGEST_SPAN)
    piece = tf.cumsum(tf.cast(words.breaks, tf.int32), axis=1)

    def room_of(owner):
        return wanted - tf.reduce_sum(tf.where(owner >= 0, words.lengths, 0), axis=1)

    def free(owner):
        return exists & (owner < 0) & (words.lengths <= room_of(owner)[:, None])

    def add_span(owner):
        open_words = free(owner)
        anchor = tf.argmax(tf.where(open_words, scores, -1.0), axis=1, output_type=tf.int32)
        wanted_words = tf.gather(spans, anchor, batch_dims=1)[:, None]
        anchor_piece = tf.gather(piece, anchor, batch_dims=1)[:, None]
        distance = column - anchor[:, None]
        inside = (distance >= 0) & (distance < wanted_words) & (piece == anchor_piece) & exists
        fresh = inside & (owner < 0)
        used = tf.cumsum(tf.where(fresh, words.lengths, 0), axis=1)
        takes = fresh & (used <= room_of(owner)[:, None])
        takes &= tf.reduce_any(open_words, axis=1, keepdims=True)
        return (tf.where(takes, anchor[:, None], owner),)

    (owner,) = tf.while_loop(
        lambda owner: tf.reduce_any(free(owner)), add_span, (tf.fill(tf.shape(exists), -1),)
    )
    rest, word = _part_of_a_word(words, candidates, owner >= 0, wanted, scores, uniform)
    anchors = tf.where(rest, word[:, None], tf.gather(owner, words.of_token, batch_dims=1))
    return (anchors >= 0) & candidates, tf.maximum(anchors, 0)


def _part_of_a_word(words: _WordsOfRows, candidates, taken, wanted, scores, uniform):
    """What fills the room that is left where no word fits: a part of the word of highest score.

    Args:
        words: of the batch.
        candidates: tokens that may be predicted, bool [B, L].
        taken: words that are masked, bool [B, L].
        wanted: tokens to mask in each row, [B].
        scores: of words, [B, L]; what is no word has one below 0.
        uniform: decides for each word where the part lies in it, [B, L] in [0, 1).

    Returns:
        Tokens of the part, bool [B, L], none where there is no room, and the index of the word.
    """
    room = wanted - tf.reduce_sum(tf.where(taken, words.lengths, 0), axis=1)
    scores = tf.where(taken, -1.0, scores)
    room = tf.where(tf.reduce_max(scores, axis=1) >= 0, room, 0)

    def part():
        word = tf.argmax(scores, axis=1, output_type=tf.int32)
        length, number = (tf.gather(x, word, batch_dims=1) for x in (words.lengths, uniform))
        most = length - room
        skipped = tf.minimum(tf.cast(number * tf.cast(most + 1, tf.float32), tf.int32), most)
        inside = candidates & (words.of_token == word[:, None])
        place = tf.cumsum(tf.cast(inside, tf.int32), axis=1) - 1 - skipped[:, None]
        return inside & (place >= 0) & (place < room[:, None]), word

    # Most batches have none.
    nothing = tf.zeros_like(taken), tf.zeros_like(room)
    return tf.cond(tf.reduce_any(room > 0), part, lambda: nothing)


def _ascending(chosen: tf.Tensor, predictions: int) -> tf.Tensor:
    """Positions of the chosen tokens, ascending, L where unused: int32 [B, P]."""
    length = chosen.shape[1]
    keys = tf.where(chosen, length - tf.range(length), 0)
    return length - tf.math.top_k(keys, predictions, sorted=True).values


def _replace(token_ids, positions, anchors, masking: Masking, vocabulary: Vocabulary, draw: Draw):
    """Puts [MASK], a random id or the same id at the positions (BERT, A.1: 80 %, 10 %, 10 %)."""
    length = token_ids.shape[1]
    used = positions < length
    positions = tf.where(used, positions, 0)
    labels = tf.where(used, tf.gather(token_ids, positions, batch_dims=1), 0)
    action = tf.gather(draw(ACTIONS, [length]), tf.minimum(anchors, length - 1), batch_dims=1)
    random_ids = tf.cast(
        draw(RANDOM_IDS, [masking.max_predictions_per_seq]) * vocabulary.size, tf.int32
    )
    to_mask, to_random, _ = masking.replace
    shown = tf.where(
        action < to_mask,
        vocabulary.mask_id,
        tf.where(action < to_mask + to_random, random_ids, labels),
    )
    batch = tf.shape(token_ids)[0]
    rows = tf.broadcast_to(tf.range(batch)[:, None], tf.shape(positions))
    # Unused predictions point past the end, at a column that is cut off again.
    places = tf.stack([rows, tf.where(used, positions, length)], axis=-1)
    padded = tf.pad(token_ids, [[0, 0], [0, 1]])
    return {
        "token_ids": tf.tensor_scatter_nd_update(padded, places, shown)[:, :length],
        "masked_lm_positions": positions,
        "masked_lm_ids": labels,
        "masked_lm_weights": tf.cast(used, tf.float32),
    }

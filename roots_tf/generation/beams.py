"""Beam search with a pool of alive and one of finished beams (Sutskever et al. 2014, section 3.2).

Each step looks at the 2K likeliest ways to go on with K beams, of which at least K do not end: a
beam that ends takes no place from one that lives. An end counts where it is among the K likeliest,
as in fairseq (`search.py`, `BeamSearch.step`) and transformers; what is less likely than K ways to
go on is no end that the model has chosen. Finished beams are ranked by log-probability /
length^penalty, where the length counts the token that ends the text. Log-probabilities only fall,
so that one of an alive beam bounds the scores of all that can become of it: the search ends when
no bound is above the worst of K finished beams, whichever sign the penalty has.
"""

from typing import NamedTuple

import tensorflow as tf

from roots_tf.generation import constraints
from roots_tf.generation.constraints import FORBIDDEN, Ids, Past
from roots_tf.generation.settings import Settings
from roots_tf.generation.state import Generated, State, run

ROOM = 16  # places by which caches grow: each step copies them, for beams change their order
BLOCK = 16  # ids among which only the likeliest is looked at first
FEW = 16  # ids that never come, such as [MASK], which may stand among the likeliest


class Pool(NamedTuple):
    """Texts with their scores, [B, M].

    Attributes:
        scores: float32 [B, M]; `FORBIDDEN` where there is no text.
        ids: int32 [B, M, T], padding behind the end.
        log_probabilities: float32 [B, M, T] of the tokens, by the model's own distribution.
        lengths: int32 [B, M], tokens without the one that ends the text.
        ended: bool [B, M], whether there is such a token.
    """

    scores: tf.Tensor
    ids: tf.Tensor
    log_probabilities: tf.Tensor
    lengths: tf.Tensor
    ended: tf.Tensor

    def chosen(self, index: tf.Tensor) -> "Pool":
        """Texts [B, M'] by their index [B, M']."""
        return Pool(*(tf.gather(part, index, batch_dims=1) for part in self))

    def best(self, others: "Pool", count: int) -> "Pool":
        """The best `count` of this and `others`, best first; of equals, those of this pool."""
        both = Pool(*(tf.concat(parts, 1) for parts in zip(self, others, strict=True)))
        return both.chosen(tf.math.top_k(both.scores, count).indices)


def search(
    model, state: State, settings: Settings, ids: Ids, num_return: int, grows: bool = False
) -> Generated:
    """Searches on from prompts that have run.

    Args:
        model: as for `loop.begin`.
        state: of `loop.begin`, of B rows.
        settings: `num_beams` (K), `length_penalty`, `early_stopping` and the constraints are read.
        ids: with a meaning.
        num_return: R of the K beams are given.
        grows: whether caches are given places as they need them; not in a graph for XLA.

    Returns:
        Rows [B*R]. A row has no tokens and the score `FORBIDDEN` where there are fewer texts.
    """
    count = settings.num_beams
    batch_size, steps = tf.shape(state.logits)[0], state.log_probabilities.shape[1]
    used = tf.reduce_sum(tf.cast(state.padding_mask, tf.int32), 1)  # [B], tokens of the prompt
    longest = tf.minimum(steps, model.config.max_sequence_length - used)  # [B]
    # All beams of a row are the same yet: the first alone counts.
    alive = tf.tile(tf.one_hot([0], count, 0.0, FORBIDDEN), [batch_size, 1])  # [B, K]
    shape = [batch_size, count]
    finished = Pool(
        scores=tf.fill(shape, FORBIDDEN),
        ids=tf.fill([*shape, steps], ids.pad),
        log_probabilities=tf.zeros([*shape, steps]),
        lengths=tf.zeros(shape, tf.int32),
        ended=tf.zeros(shape, tf.bool),
    )
    done = tf.zeros([batch_size], tf.bool)
    rows = tf.repeat(tf.range(batch_size), count)

    def advance(state, alive, finished, done):
        state, alive, finished, done = _take(state, alive, finished, done, longest, settings, ids)
        return (_run_grown if grows else run)(model, state), alive, finished, done

    carried = (_of_rows(state, rows), alive, finished, done)
    _, _, finished, done = tf.while_loop(
        lambda state, alive, finished, done: ~tf.reduce_all(done),
        advance,
        carried,
        shape_invariants=_shapes(carried) if grows else None,
        maximum_iterations=steps,
    )
    finished = Pool(*(tf.reshape(x[:, :num_return], [-1, *x.shape[2:]]) for x in finished))
    limit = tf.repeat(used, num_return) + finished.lengths >= model.config.max_sequence_length
    there = finished.scores > FORBIDDEN / 2
    return Generated(
        ids=finished.ids,
        lengths=finished.lengths,
        log_probabilities=finished.log_probabilities,
        ended=finished.ended,
        full=there & limit & ~finished.ended,
        scores=finished.scores,
    )


def _run_grown(model, state: State) -> State:
    """As `run`, with caches that get places where they have none left, up to those of the ids."""
    # A soft prompt has places in the caches, but no ids.
    prompt, most = model.config.prompt_length, tf.shape(state.token_ids)[1]
    room = tf.shape(state.caches[0].keys)[2] - prompt
    caches = tf.cond(
        state.caches[0].start - prompt < room,
        lambda: state.caches,
        lambda: [cache.grown(tf.minimum(ROOM, most - room)) for cache in state.caches],
    )
    room = tf.shape(caches[0].keys)[2] - prompt
    ids, inside = state.token_ids, state.padding_mask
    given = state._replace(caches=caches, token_ids=ids[:, :room], padding_mask=inside[:, :room])
    return run(model, given)._replace(token_ids=ids, padding_mask=inside)


def _shapes(carried):
    """Shapes of what the loop carries; places of caches are of any number."""
    state, *rest = tf.nest.map_structure(lambda x: x.shape, carried)
    caches = []
    for cache in state.caches:
        rows, heads, _, size = cache.keys
        grown = tf.TensorShape([rows, heads, None, size])
        caches.append(cache._replace(keys=grown, values=grown))
    return state._replace(caches=caches), *rest


def _of_rows(state: State, rows: tf.Tensor) -> State:
    """The state with some of its rows; contexts of caches stay, one for all beams of a prompt."""

    def gathered(x):
        return tf.gather(x, rows) if x.shape.rank else x

    caches = [cache._replace(context=()) for cache in state.caches]
    found = tf.nest.map_structure(gathered, state._replace(caches=caches))
    pairs = zip(found.caches, state.caches, strict=True)
    return found._replace(caches=[new._replace(context=old.context) for new, old in pairs])


def _take(state, alive, finished, done, longest, settings: Settings, ids: Ids):
    """One token more of each beam.

    Args:
        state: of B*K rows.
        alive: float32 [B, K], sums of the log-probabilities of the beams.
        finished: `Pool` of [B, K].
        done: bool [B], whether the search has ended for a prompt.
        longest: int32 [B], tokens a prompt has room for.
        settings: as for `search`.
        ids: likewise.

    Returns:
        The first four, a token later.
    """
    batch_size, beams = tf.shape(alive)[0], settings.num_beams
    steps = state.log_probabilities.shape[1]
    alive, token, parent, own = _candidates(state, alive, settings, ids)  # [B, C]
    source = tf.range(batch_size)[:, None] * beams + parent  # [B, C], of the B*K rows
    now = tf.range(steps) == state.step  # [T]
    generated = state.token_ids[:, state.prompt_length :]
    ends = token == ids.eos
    texts = Pool(
        scores=alive,
        ids=tf.where(
            now, tf.where(ends, ids.pad, token)[..., None], tf.gather(generated, source)
        ),  # [B, C, T]
        log_probabilities=tf.where(now, own[..., None], tf.gather(state.log_probabilities, source)),
        lengths=state.step + tf.cast(~ends, tf.int32),
        ended=ends,
    )
    length = state.step + 1
    last = longest <= length  # [B]
    likely = tf.range(tf.shape(alive)[1]) < beams  # [C]
    final = (ends | last[:, None]) & likely & ~done[:, None] & (alive > FORBIDDEN / 2)
    scores = tf.where(final, _score(alive, length, settings), FORBIDDEN)
    finished = finished.best(texts._replace(scores=scores), beams)
    alive, index = tf.math.top_k(tf.where(ends, FORBIDDEN, alive), beams)  # [B, K]
    source = tf.reshape(tf.gather(source, index, batch_dims=1), [-1])  # [B*K]
    token = tf.reshape(tf.gather(token, index, batch_dims=1), [-1, 1])
    column = state.prompt_length + state.step
    state = _of_rows(state, source)
    here = tf.range(tf.shape(state.token_ids)[1]) == column  # [Lmax]
    state = state._replace(
        token_ids=tf.where(here, token, state.token_ids),
        padding_mask=state.padding_mask | here,
        step=length,
        log_probabilities=tf.reshape(
            tf.gather(texts.log_probabilities, index, batch_dims=1), [-1, steps]
        ),
    )
    done |= last | _settled(alive[:, 0], finished.scores, length, longest, settings)
    return state, alive, finished, done


def _candidates(state: State, alive: tf.Tensor, settings: Settings, ids: Ids):
    """The likeliest ways to go on, C = 2K or all there are.

    Returns:
        Sums of log-probabilities, ids, beams they go on from, and the model's own log-probabilities
        of these ids: [B, C] each.
    """
    past = Past(state.token_ids, state.padding_mask, state.prompt_length + state.step, state.step)
    is_last = state.step == state.log_probabilities.shape[1] - 1
    logits = constraints.penalise(state.logits, past, settings)
    logits = constraints.at_end(logits, is_last, ids)
    never = constraints.never_of(ids, logits.shape[-1])
    if never.sum() <= FEW:  # they are looked for among the likeliest, not in all scores
        allowed = constraints.of_the_past(logits, past, settings, ids)
        best, tokens = _likeliest(allowed, 2 * settings.num_beams + int(never.sum()))
    else:
        allowed = constraints.allow(logits, past, settings, ids)
        best, tokens = _likeliest(allowed, 2 * settings.num_beams)  # [B*K, C'], of each beam
    shares = _log_shares(logits, best[:, :1] if allowed is logits else None)
    best = tf.where(tf.gather(tf.constant(never), tokens), FORBIDDEN, best)
    totals = tf.reshape(alive, [-1, 1]) + shares(best)
    own = tf.gather(state.logits, tokens, batch_dims=1)
    own = (shares if logits is state.logits else _log_shares(state.logits))(own)
    each = best.shape[1]
    count = settings.num_beams * each
    totals, own, tokens = (tf.reshape(x, [-1, count]) for x in (totals, own, tokens))
    totals, places = tf.math.top_k(totals, min(2 * settings.num_beams, count))  # [B, C]
    tokens, own = (tf.gather(x, places, batch_dims=1) for x in (tokens, own))
    return totals, tokens, places // each, own


def _log_shares(logits: tf.Tensor, highest: tf.Tensor | None = None):
    """A function that makes log-probabilities [R, C] of some logits of rows [R, V].

    With the sums of `tf.nn.log_softmax`, which would write all V of them; `highest` [R, 1] are the
    rows' highest, where they are known.
    """
    if highest is None:
        highest = tf.reduce_max(logits, 1, keepdims=True)
    mass = tf.math.log(tf.reduce_sum(tf.exp(logits - highest), 1, keepdims=True))
    return lambda some: (some - highest) - mass


def _likeliest(scores: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The `count` highest scores of each row, or all, with their ids; of equals, lower ids first.

    They are among the blocks whose own highest are highest: of a large vocabulary this takes half
    of the time of looking at all of it.

    Args:
        scores: float32 [R, V].
        count: C.

    Returns:
        float32 and int32, [R, C] each.
    """
    size = scores.shape[-1]
    if size % BLOCK or size < 4 * BLOCK * count:
        return tf.math.top_k(scores, min(count, size))
    blocks = tf.reshape(scores, [-1, size // BLOCK, BLOCK])
    index = tf.math.top_k(tf.reduce_max(blocks, 2), count).indices  # [R, C]
    index = tf.sort(index)  # so that ids rise
    found = tf.reshape(tf.gather(blocks, index, batch_dims=1), [-1, count * BLOCK])
    ids = tf.reshape(index[..., None] * BLOCK + tf.range(BLOCK), [-1, count * BLOCK])
    highest, places = tf.math.top_k(found, count)
    return highest, tf.gather(ids, places, batch_dims=1)


def _score(sums: tf.Tensor, length: tf.Tensor, settings: Settings) -> tf.Tensor:
    """log-probability / length^penalty (after Wu et al. 2016, arXiv:1609.08144, section 7)."""
    return sums / tf.pow(tf.cast(length, tf.float32), settings.length_penalty)


def _settled(best, finished, length, longest, settings: Settings) -> tf.Tensor:
    """Whether no alive beam of a prompt can still come among the finished ones: bool [B].

    Args:
        best: float32 [B], of the likeliest alive beam.
        finished: scores of the finished ones, best first, [B, K].
        length: int32 [], tokens of the alive ones.
        longest: as for `_take`.
        settings: the penalty and `early_stopping`.
    """
    worst = finished[:, -1]
    enough = worst > FORBIDDEN / 2
    # A negative sum over a growing length rises, over a length to a negative power it falls.
    soonest = tf.maximum(length + 1, settings.min_new_tokens + 1)
    at = longest if settings.length_penalty > 0 else tf.minimum(soonest, longest)
    over = enough if settings.early_stopping else enough & (_score(best, at, settings) <= worst)
    return over | (best <= FORBIDDEN / 2)

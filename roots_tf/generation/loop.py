"""The loop: prompts in, one token of every row a step, ids out.

Prompts of different lengths stand right-aligned, so that the next token of every row has the same
place in the caches; the places before a prompt are padding, which no token sees, and positions are
counted from the prompt's first token.

The window does not slide: a row stops when its prompt and what follows fill the model's
`max_sequence_length`, and is then `full`.
"""

import tensorflow as tf

from roots_tf.generation import beams, constraints, samplers
from roots_tf.generation.constraints import Ids, Past
from roots_tf.generation.settings import Settings
from roots_tf.generation.state import Generated, State, new_tokens, run
from roots_tf.storage.files import InputError


def begin(
    model,
    prompts,
    lengths,
    seeds,
    settings: Settings,
    *,
    pad_id: int,
    xla: bool = False,
    room: int | None = None,
) -> State:
    """Runs the prompts through the model.

    Args:
        model: has `config.max_sequence_length`, `caches(Lmax, xla)`, `step(queries, keys,
            caches)` and `logits(hidden_states)`, as `models.CausalLM`.
        prompts: int32 [B, P], padded behind; each with its begin of text, at least one token, and
            shorter than the window (`check_room`). Others stop the graph, but for XLA.
        lengths: int32 [B], tokens of each prompt.
        seeds: int32 [B, 2], of each row: what a row gives depends on no other.
        settings: what is asked for.
        pad_id: of the padding.
        xla: whether the caller compiles this with XLA, whose caches are written by another op.
        room: places of the caches behind the prompts, as whoever lets them grow begins with; None:
            T.
    """
    window, steps = model.config.max_sequence_length, new_tokens(model, settings)
    wanted = f"wanted prompts of 1 to {window - 1} tokens"
    tf.debugging.assert_positive(lengths, f"found an empty prompt; {wanted}")
    tf.debugging.assert_less(lengths, window, f"found a longer prompt; {wanted}")
    batch_size, width = tf.unstack(tf.shape(prompts))
    places = tf.range(width) - (width - lengths[:, None])  # [B, P], below 0 before the prompt
    inside = places >= 0
    ids = tf.where(inside, tf.gather(prompts, tf.maximum(places, 0), batch_dims=1), pad_id)
    token_ids = tf.pad(ids, [[0, 0], [0, steps]], constant_values=pad_id)
    padding_mask = tf.pad(inside, [[0, 0], [0, steps]])
    length = width + min(steps, steps if room is None else room)
    keys = {"token_ids": token_ids[:, :length], "padding_mask": padding_mask[:, :length]}
    queries = {"token_ids": ids, "position_ids": tf.maximum(places, 0)}
    caches = model.caches(length, xla)
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
        log_probabilities=tf.zeros([batch_size, steps]),
        seeds=seeds,
        full=tf.zeros([batch_size], tf.bool),
    )


def advance(
    model,
    state: State,
    settings: Settings,
    *,
    eos_id: int,
    pad_id: int,
    num_tokens: int | None = None,
    forbidden: tuple[int, ...] = (),
    forces_end: bool = False,
    rows: samplers.Draws | None = None,
) -> State:
    """One more token of every row that has not ended.

    Args:
        model: as for `begin`.
        state: of `begin` or of the token before; its `step` is below `new_tokens`.
        settings: as for `begin`; draws or greedy, for beams are not final before they end.
        eos_id: as for `constraints.Ids`, whose constraints hold here.
        pad_id: likewise.
        num_tokens: likewise.
        forbidden: likewise.
        forces_end: likewise.
        rows: as for `samplers.choose`.

    Raises:
        InputError: beams are asked for; or as `constraints.allow`.
    """
    if settings.decoding == "beam":
        raise InputError(
            "flags-conflict",
            "found --decoding=beam token by token; wanted sample or greedy: beams are not final "
            "before all of them end",
        )
    ids = Ids(eos_id, pad_id, num_tokens, forbidden, forces_end)
    return run(model, take(model, state, settings, ids, rows))


def take(
    model, state: State, settings: Settings, ids: Ids, rows: samplers.Draws | None = None
) -> State:
    """Chooses a token of every row and writes it; the caches are those of before.

    Args:
        model: as for `begin`.
        state: as for `advance`.
        settings: likewise.
        ids: with a meaning.
        rows: as for `samplers.choose`.
    """
    column = state.prompt_length + state.step
    past = Past(state.token_ids, state.padding_mask, column, state.step)
    now = tf.range(tf.shape(state.log_probabilities)[1]) == state.step  # [T]
    logits = constraints.at_end(state.logits, now[-1], ids)

    def choose():
        scores = constraints.penalise(logits, past, settings)
        scores = constraints.allow(scores, past, settings, ids)
        return samplers.choose(scores, state.seeds, state.step, settings, rows)

    plain = constraints.likeliest(logits, settings, ids)
    chosen = choose() if plain is None else tf.cond(plain[1], lambda: plain[0], choose)  # [B]
    ended = state.finished | (chosen == ids.eos)
    written = tf.where(ended, ids.pad, chosen)
    chance = tf.where(state.finished, 0.0, _log_probability(state.logits, chosen))
    here = tf.range(tf.shape(state.token_ids)[1]) == column  # [Lmax]
    padding_mask = state.padding_mask | (here & ~ended[:, None])
    tokens = tf.reduce_sum(tf.cast(padding_mask, tf.int32), 1)
    full = ~ended & (tokens >= model.config.max_sequence_length)
    return state._replace(
        token_ids=tf.where(here, written[:, None], state.token_ids),
        padding_mask=padding_mask,
        step=state.step + 1,
        finished=ended | full,
        lengths=state.lengths + tf.cast(~ended, tf.int32),
        log_probabilities=tf.where(now, chance[:, None], state.log_probabilities),
        full=state.full | full,
    )


def _log_probability(logits: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """Of ids [B], by logits [B, V]: float32 [B].

    The probability itself takes one pass where its logarithm takes four; only an id that the model
    all but excludes, as a constraint may leave, has a probability that float32 has no number for.
    """
    chances = tf.gather(tf.nn.softmax(logits), chosen, batch_dims=1)
    return tf.cond(
        tf.reduce_all(chances > 1e-30),
        lambda: tf.math.log(chances),
        lambda: tf.gather(tf.nn.log_softmax(logits), chosen, batch_dims=1),
    )


def proceed(model, state: State, settings: Settings, tokens, most=None, **ids) -> State:
    """Several tokens more of every row, in the graph: fewer where all rows end, or at T.

    Args:
        model: as for `begin`.
        state: as for `advance`.
        settings: likewise.
        tokens: at most.
        most: int32 [B], tokens after which a row ends; None: T.
        **ids: `eos_id` and the other keywords of `advance`.
    """
    last = tf.shape(state.log_probabilities)[1]

    def body(state):
        state = advance(model, state, settings, **ids)
        if most is not None:
            state = state._replace(finished=state.finished | (state.lengths >= most))
        return (state,)

    (state,) = tf.while_loop(
        lambda state: ~tf.reduce_all(state.finished) & (state.step < last),
        body,
        (state,),
        maximum_iterations=tokens,
    )
    return state


def generate(
    model,
    prompts,
    lengths,
    seeds,
    settings: Settings,
    *,
    eos_id: int,
    pad_id: int,
    num_tokens: int | None = None,
    forbidden: tuple[int, ...] = (),
    forces_end: bool = False,
    num_return: int = 1,
    xla: bool = False,
) -> Generated:
    """Continues prompts until each row has ended, has T tokens (`new_tokens`) or fills the window.

    Args:
        model: as for `begin`.
        prompts: likewise.
        lengths: likewise.
        seeds: likewise; beams and greedy decoding draw nothing.
        settings: likewise.
        eos_id: as for `advance`.
        pad_id: likewise.
        num_tokens: likewise.
        forbidden: likewise.
        forces_end: likewise; of rows that the window does not end before T.
        num_return: the best so many beams of each row, best first, one after the other.
        xla: as for `begin`.

    Raises:
        InputError: more is to be returned than there are beams; or as `constraints.allow`.
    """
    beams_asked = settings.num_beams if settings.decoding == "beam" else 1
    if not 1 <= num_return <= beams_asked:
        raise InputError(
            "number-out-of-range",
            f"found {num_return} texts asked of a prompt; wanted 1 to {beams_asked}, the beams of "
            f"--decoding={settings.decoding}",
        )
    grows = settings.decoding == "beam" and not xla
    given = (model, prompts, lengths, seeds, settings)
    state = begin(*given, pad_id=pad_id, xla=xla, room=beams.ROOM if grows else None)
    ids = Ids(eos_id, pad_id, num_tokens, tuple(forbidden), forces_end)
    if settings.decoding == "beam":
        return beams.search(model, state, settings, ids, num_return, grows)
    rest = new_tokens(model, settings) - 1
    state = proceed(
        *(model, state, settings, rest),
        eos_id=eos_id,
        pad_id=pad_id,
        num_tokens=num_tokens,
        forbidden=forbidden,
        forces_end=forces_end,
    )
    state = take(model, state, settings, ids)  # nobody reads the logits behind the last token
    return Generated(
        ids=state.token_ids[:, tf.shape(prompts)[1] :],
        lengths=state.lengths,
        log_probabilities=state.log_probabilities,
        ended=state.finished & ~state.full,
        full=state.full,
        scores=tf.reduce_sum(state.log_probabilities, 1),
    )

"""The loop: company, chunks, the window, XLA; and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import generation
from roots_tf.generation import Settings, loop
from roots_tf.models import CausalLM, EncoderConfig
from roots_tf.serving.allowed_ops import ALLOWED
from roots_tf.storage.files import InputError

PROMPTS = [[3, 4, 5, 6], [7], [8, 9, 3]]
IDS = {"eos_id": 1, "pad_id": 0}
SAMPLED = Settings(max_new_tokens=12, top_p=0.9, no_repeat_ngram=3, repetition_penalty=1.1)


@pytest.fixture(scope="module")
def model():
    return CausalLM(
        EncoderConfig(
            30, 2, 16, 2, 32, max_sequence_length=12, dropout=0.0, num_segments=0, norm="pre",
            embedding_norm=False, initializer_range=0.5,
        )
    )  # fmt: skip


def batch(rows=(0, 1, 2), width=4):
    prompts = [PROMPTS[i] + [0] * (width - len(PROMPTS[i])) for i in rows]
    seeds = [[5, i] for i in rows]
    lengths = [len(PROMPTS[i]) for i in rows]
    return tf.constant(prompts), tf.constant(lengths), tf.constant(seeds)


def by_full_passes(model, row, settings):
    """Greedy text and log-probabilities of one prompt, no cache, no batch."""
    text, chances = list(PROMPTS[row]), []
    while len(chances) < settings.max_new_tokens and len(text) < 12:
        token_ids = tf.constant([text])
        features = {"token_ids": token_ids, "padding_mask": tf.ones_like(token_ids, tf.bool)}
        logits = tf.nn.log_softmax(model.logits(model(features)[:, -1]))[0].numpy()
        logits_allowed = np.where(np.arange(30) == 0, -np.inf, logits)
        text.append(int(logits_allowed.argmax()))
        chances.append(logits[text[-1]])
        if text[-1] == 1:
            break
    return text[len(PROMPTS[row]) :], chances


def test_greedy_text_is_that_of_full_passes(model):
    settings = Settings(decoding="greedy", max_new_tokens=6)
    found = generation.generate(model, *batch(), settings, **IDS)
    for row in range(3):
        text, chances = by_full_passes(model, row, settings)
        assert found.ids[row, : len(text)].numpy().tolist() == [t if t != 1 else 0 for t in text]
        assert int(found.lengths[row]) == len(text) - (1 in text)
        assert bool(found.ended[row]) == (1 in text)
        np.testing.assert_allclose(found.log_probabilities[row, : len(chances)], chances, atol=1e-4)


def test_a_row_gives_the_same_alone_and_in_any_place(model):
    whole = generation.generate(model, *batch(), SAMPLED, **IDS).ids.numpy()
    moved = generation.generate(model, *batch((2, 0, 1)), SAMPLED, **IDS).ids.numpy()
    assert moved.tolist() == whole[[2, 0, 1]].tolist()
    alone = generation.generate(model, *batch((1,), width=1), SAMPLED, **IDS).ids.numpy()
    assert alone.tolist() == whole[1:2].tolist()


def test_token_by_token_and_in_chunks_it_is_the_same(model):
    whole = generation.generate(model, *batch(), SAMPLED, **IDS)
    state = generation.begin(model, *batch(), SAMPLED, pad_id=0)
    state = generation.advance(model, state, SAMPLED, **IDS)
    for _ in range(4):  # of the 11 that have room
        state = generation.proceed(model, state, SAMPLED, 3, **IDS)
    assert state.token_ids[:, 4:].numpy().tolist() == whole.ids.numpy().tolist()
    assert state.lengths.numpy().tolist() == whole.lengths.numpy().tolist()
    assert generation.proceed(model, state, SAMPLED, 3, **IDS).step == state.step


def test_a_caller_ends_rows_between_two_tokens(model):
    state = generation.begin(model, *batch(), SAMPLED, pad_id=0)
    state = generation.proceed(model, state, SAMPLED, 2, **IDS)
    state = state._replace(finished=tf.constant([False, True, False]))
    state = generation.proceed(model, state, SAMPLED, 2, **IDS)
    assert int(state.lengths[1]) == 2 and state.token_ids[1, 6:].numpy().max() == 0


def test_the_window_ends_rows_each_by_its_own_prompt(model):
    settings = Settings(max_new_tokens=1000, min_new_tokens=1000)
    found = generation.generate(model, *batch(), settings, **IDS)
    assert found.ids.shape == [3, 11]  # no more room than the window, whatever is asked for
    assert found.lengths.numpy().tolist() == [8, 11, 9]
    assert found.full.numpy().all() and not found.ended.numpy().any()


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(Settings(max_new_tokens=4, top_p=0.9), id="sample"),
        pytest.param(
            Settings(decoding="beam", max_new_tokens=4), id="beam", marks=pytest.mark.slow
        ),
    ],
)
def test_the_loop_compiles_whole_and_holds_plain_ops(model, settings):
    def run(prompts, lengths, seeds, xla):
        return generation.generate(model, prompts, lengths, seeds, settings, xla=xla, **IDS)

    plain, compiled = tf.function(run), tf.function(run, jit_compile=True)
    found = compiled(*batch(), xla=True)
    wanted = plain(*batch(), xla=False)
    assert found.ids.numpy().tolist() == wanted.ids.numpy().tolist()
    np.testing.assert_allclose(found.log_probabilities, wanted.log_probabilities, atol=1e-4)
    shapes = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)]
    graph = plain.get_concrete_function(*shapes, tf.TensorSpec([None, 2], tf.int32), xla=False)
    graph = graph.graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    assert {node.op for node in nodes} <= ALLOWED


def test_what_cannot_be_continued_is_refused(model):
    for lengths, message in (([0, 1, 1], "empty prompt"), ([12, 1, 1], "longer prompt")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            generation.begin(
                model, tf.ones([3, 12], tf.int32), tf.constant(lengths), tf.zeros([3, 2], tf.int32),
                SAMPLED, pad_id=0,
            )  # fmt: skip
    beams = Settings(decoding="beam")
    state = generation.begin(model, *batch(), beams, pad_id=0)
    with pytest.raises(InputError, match="token by token"):
        generation.advance(model, state, beams, **IDS)
    with pytest.raises(InputError, match="found 2 texts"):
        generation.generate(model, *batch(), SAMPLED, num_return=2, **IDS)


def test_prompts_are_checked_by_number():
    generation.check_prompts([[1] * 11, [0]], 12, 2)
    for prompts, message in (
        ([[1], []], "found prompt 2 without tokens"),
        ([[1] * 12], "found prompt 1 of 12 tokens; wanted at most 11"),
        ([[1, 2]], "found id 2 in prompt 1; wanted ids from 0 to 1"),
        ([[-1]], "found id -1"),
    ):
        with pytest.raises(InputError, match=message):
            generation.check_prompts(prompts, 12, 2)


def test_what_is_all_but_excluded_has_a_log_probability_too():
    logits = tf.constant([[0.0, -200.0], [0.0, 0.0]])
    found = loop._log_probability(logits, tf.constant([1, 0]))
    np.testing.assert_allclose(found, [-200.0, -np.log(2)], rtol=1e-6)

"""Beam search against brute force over all texts of a tiny vocabulary, and a slow search."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import generation
from roots_tf.generation import Settings
from roots_tf.models import CausalLM, EncoderConfig
from roots_tf.storage.files import InputError

V, T, EOS = 4, 4, 3
PROMPTS = [[1, 2, 0], [0], [2, 2]]


@pytest.fixture(scope="module")
def model():
    return CausalLM(
        EncoderConfig(
            V, 2, 8, 2, 16, max_sequence_length=9, dropout=0.0, num_segments=0, norm="pre",
            embedding_norm=False, initializer_range=0.8,
        ),
        seed=5,
    )  # fmt: skip


def search(model, num_return=1, prompts=PROMPTS, pad_id=EOS, **asked):
    """Texts with their scores: a list of (score, ids with the end) for each prompt."""
    settings = Settings(decoding="beam", **{"max_new_tokens": T} | asked)
    width = max(map(len, prompts))
    padded = tf.constant([prompt + [0] * (width - len(prompt)) for prompt in prompts])
    lengths, seeds = tf.constant([len(p) for p in prompts]), tf.zeros([len(prompts), 2], tf.int32)
    found = generation.generate(
        *(model, padded, lengths, seeds, settings),
        eos_id=EOS, pad_id=pad_id, num_return=num_return,
    )  # fmt: skip
    texts = [
        (float(score), tuple(ids[:length].tolist()) + (EOS,) * bool(ended))
        for score, ids, length, ended in zip(
            found.scores, found.ids.numpy(), found.lengths.numpy(), found.ended, strict=True
        )
    ]
    return [texts[i : i + num_return] for i in range(0, len(texts), num_return)], found


def next_log_probabilities(model, rows):
    """Of rows of one length, by full passes without a cache: float64 [R, L, V]."""
    token_ids = tf.constant(rows)
    features = {"token_ids": token_ids, "padding_mask": tf.ones_like(token_ids, tf.bool)}
    return tf.nn.log_softmax(tf.cast(model.logits(model(features)), tf.float64)).numpy()


def texts_by_brute_force(model, prompt, penalty, least=0, steps=T):
    """All texts of a prompt, best first: (score, ids)."""
    rows = [[*prompt, *text] for text in itertools.product(range(V), repeat=steps)]
    after = next_log_probabilities(model, rows)[:, len(prompt) - 1 :]
    scored = {}
    for row, log_probabilities in zip(rows, after, strict=True):
        text = row[len(prompt) :]
        text = text[: text.index(EOS) + 1] if EOS in text else text
        if text[-1] == EOS and len(text) <= least:
            continue
        total = sum(log_probabilities[i, token] for i, token in enumerate(text))
        scored[tuple(text)] = total / len(text) ** penalty
    return sorted(((score, text) for text, score in scored.items()), reverse=True)


@pytest.mark.parametrize("penalty", [-1.5, 0.0, 1.0, 2.0])
@pytest.mark.parametrize("least", [0, 2])
def test_as_many_beams_as_there_are_texts_find_the_best_of_all(model, penalty, least):
    found, _ = search(
        model, 5, num_beams=27, length_penalty=penalty, min_new_tokens=least
    )  # 27 texts of three tokens live
    for prompt, texts in zip(PROMPTS, found, strict=True):
        wanted = texts_by_brute_force(model, prompt, penalty, least)[:5]
        assert [ids for _, ids in texts] == [ids for _, ids in wanted]
        np.testing.assert_allclose(*[[score for score, _ in x] for x in (texts, wanted)], rtol=1e-4)


def slow_search(model, prompt, beams, penalty, steps):
    """The finished beams, best first, of a search that never ends early."""
    alive, finished = [(0.0, ())], []
    for step in range(steps):
        ways = []
        for total, text in alive:
            after = next_log_probabilities(model, [[*prompt, *text]])[0, -1]
            ways += [(total + chance, (*text, token)) for token, chance in enumerate(after)]
        ways = sorted(ways, reverse=True)[: 2 * beams]
        ends = [way for way in ways[:beams] if way[1][-1] == EOS or step == steps - 1]
        finished += [(total / len(text) ** penalty, text) for total, text in ends]
        finished = sorted(finished, reverse=True)[:beams]
        alive = [way for way in ways if way[1][-1] != EOS][:beams]
    return finished


@pytest.mark.parametrize("penalty", [-2.0, 0.0, 3.0])
@pytest.mark.parametrize("beams", [1, 3])
def test_ending_early_changes_no_result_whichever_the_sign(model, penalty, beams):
    found, _ = search(model, beams, num_beams=beams, length_penalty=penalty, max_new_tokens=5)
    for prompt, texts in zip(PROMPTS, found, strict=True):
        wanted = slow_search(model, prompt, beams, penalty, 5)
        assert [ids for _, ids in texts] == [ids for _, ids in wanted]


def test_early_stopping_takes_the_first_that_end(model):
    (texts, *_), _ = search(model, 2, num_beams=2, early_stopping=True, max_new_tokens=6)
    assert all(ids[-1] == EOS for _, ids in texts)


def test_no_ngram_comes_twice_and_ids_that_are_no_tokens_never(model):
    found, _ = search(model, 3, num_beams=3, no_repeat_ngram=1, pad_id=0, max_new_tokens=2)
    for prompt, texts in zip(PROMPTS, found, strict=True):
        for score, ids in texts:
            new = [token for token in ids if token != EOS]
            assert 0 not in new or score < -1e29
            if set(prompt) | {0} < {0, 1, 2}:  # some token is left
                assert len({*prompt, *new}) == len(set(prompt)) + len(new)


def test_the_window_ends_beams(model):
    found, raw = search(model, 2, [[1] * 7, [2]], num_beams=2, min_new_tokens=6, max_new_tokens=30)
    assert [len(ids) for _, ids in found[0]] == [2, 2]
    assert raw.full.numpy()[:2].all() and not raw.ended.numpy()[:2].any()
    assert raw.ids.shape == [4, 8]
    np.testing.assert_allclose(
        raw.scores[:2], tf.reduce_sum(raw.log_probabilities[:2], 1) / 2, rtol=1e-5
    )


def test_where_there_are_fewer_texts_than_beams_the_rest_is_empty(model):
    (texts, *_), raw = search(model, 6, num_beams=6, max_new_tokens=1)
    assert len({ids for _, ids in texts[:4]}) == 4 and texts[3][0] > -100
    assert [(score < -1e29, ids) for score, ids in texts[4:]] == [(True, ())] * 2
    with pytest.raises(InputError, match="found 7 texts asked"):
        search(model, 7, num_beams=6)

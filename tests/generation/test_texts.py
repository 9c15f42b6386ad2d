"""Texts in, texts out: the same answer in any company, ends of texts, batches of few shapes."""

import re

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import models, tokenizers
from roots_tf.generation import Settings, samplers
from roots_tf.generation.samplers import seeds_of as seeds
from roots_tf.generation.texts import Answer, Texts
from roots_tf.storage.files import InputError
from roots_tf.tokenizers.decoding import continuing
from tests.generation import tiny

PROMPTS = ["She opened the", "Ü", "He said that the captain would come", "She opened the"]


@pytest.fixture(scope="module")
def parts(tiny_model):
    tokenizer = tokenizers.load(tiny_model)
    return models.load(tiny_model), tokenizer, continuing(tokenizer)


@pytest.fixture(scope="module")
def drawn(parts):
    return Texts(*parts, Settings(max_new_tokens=12), batch_size=3)


def told(answer):
    return answer.text, answer.tokens, answer.ended, answer.sample


def test_an_answer_depends_on_its_prompt_and_seed_alone(drawn):
    together = drawn.answers(PROMPTS, seed=3, num_samples=2)
    assert [(a.prompt, a.sample) for a in together] == [(p, i) for p in PROMPTS for i in (0, 1)]
    for place in (0, 1, 2):
        alone = drawn.answers([PROMPTS[place]], seed=3, num_samples=2)
        assert [*map(told, alone)] == [*map(told, together[2 * place : 2 * place + 2])]
        chances = [answer.log_probability for answer in together[2 * place : 2 * place + 2]]
        assert [a.log_probability for a in alone] == pytest.approx(chances, abs=1e-3)
    assert [*map(told, together[:2])] == [*map(told, together[6:])]  # of equal prompts
    assert together[0].tokens != together[1].tokens  # of two samples
    assert told(drawn.answers(PROMPTS[:1], seed=4)[0]) != told(together[0])


def test_a_stream_is_the_answer(drawn):
    *pieces, answer = drawn.stream(PROMPTS[0], seed=3, sample=1)
    assert isinstance(answer, Answer)
    assert told(answer) == told(drawn.answers(PROMPTS[:1], seed=3, num_samples=2)[1])
    assert "".join(pieces) == answer.text
    assert len(pieces) == len(answer.tokens) + (answer.ended == "end_of_text") + 1


def test_greedy_is_the_likeliest_token_of_full_passes(parts):
    model, tokenizer, pieces = parts
    [answer] = Texts(*parts, Settings(decoding="greedy", max_new_tokens=6)).answers(PROMPTS[2:3])
    ids, chance = [tokenizer.bos_id, *tokenizer.encode(PROMPTS[2:3])[0].tolist()], 0.0
    hidden = [i for i in tokenizer.special_ids if i != tokenizer.eos_id]
    for token in answer.tokens:
        features = {"token_ids": tf.constant([ids]), "padding_mask": tf.ones([1, len(ids)], bool)}
        logits = model.logits(model(features))[0, -1].numpy()
        chance += float(tf.nn.log_softmax(logits)[token])  # of the model, whatever may come
        logits[hidden] = logits[tokenizer.size :] = -1e9
        assert np.argmax(logits) == token
        ids.append(token)
    assert answer.log_probability == pytest.approx(chance, abs=1e-3)
    assert answer.text == b"".join(pieces[i] for i in answer.tokens).decode("utf-8", "replace")


def test_a_text_ends_where_the_window_does(parts):
    greedy = Settings(decoding="greedy", max_new_tokens=1 << 20, min_new_tokens=0)
    model, tokenizer, _ = parts
    answers = Texts(*parts, greedy).answers(PROMPTS[:3])
    for answer in answers:
        length = 1 + len(tokenizer.encode([answer.prompt])[0])
        if answer.ended == "window":
            assert len(answer.tokens) == tiny.WINDOW - length
        else:
            assert answer.ended == "end_of_text" and len(answer.tokens) < tiny.WINDOW - length
    assert "window" in [answer.ended for answer in answers]


def test_stops_cut_text_and_tokens(parts, drawn):
    [whole] = drawn.answers(PROMPTS[:1], seed=3)
    stop = re.search("[a-zA-Z ]{2}", whole.text[2:])[0]  # no half of a character
    texts = Texts(*parts, Settings(max_new_tokens=12, stop=(stop, "never this")))
    [answer] = texts.answers(PROMPTS[:1], seed=3)
    assert answer.ended == "stop"
    assert answer.text == whole.text[: whole.text.index(stop)]
    assert answer.tokens == whole.tokens[: len(answer.tokens)]
    assert answer.log_probability < 0
    *pieces, streamed = texts.stream(PROMPTS[0], seed=3)
    assert ("".join(pieces), told(streamed)) == (answer.text, told(answer))
    with pytest.raises(InputError, match="empty text to stop at: mend --stop|wanted one char"):
        Texts(*parts, Settings(stop=("",)))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", r"empty prompt, number 2; wanted a text to continue"),
        ("word " * 30, r"found prompt 2 of \d+ tokens; wanted at most 47: the model's window"),
    ],
)
def test_a_prompt_that_cannot_be_continued_is_named(drawn, prompt, message):
    with pytest.raises(InputError, match=message):
        drawn.answers(["fine", prompt])


def test_seeds_are_of_text_seed_and_sample():
    texts = tf.constant(["a", "b", "a", "c"])
    made = seeds(texts, 7).numpy()
    assert made[0].tolist() == made[2].tolist() != made[1].tolist()
    assert made.tolist() == seeds(texts, tf.fill([4], tf.constant(7, tf.int64))).numpy().tolist()
    of = [seeds(texts[:1], *numbers).numpy()[0].tolist() for numbers in ((7, 0), (7, 1), (70, 0))]
    assert of[0] == made[0].tolist() and len({*map(tuple, of)}) == 3
    assert (made >= 0).all() and made.dtype == np.int32


def oracle(logits, temperature, top_k, top_p):
    """Ids that may be drawn, of one row."""
    logits = np.float64(logits) / temperature
    order = np.argsort(-logits, kind="stable")[: top_k or None]
    chances = np.exp(logits[order] - logits[order].max())
    chances /= chances.sum()
    kept, total = [], 0.0
    for token, chance in zip(order, chances, strict=True):
        kept.append(token)
        total += chance
        if total >= top_p:
            break
    return sorted(kept)


def test_each_row_keeps_what_its_own_settings_say():
    logits = np.random.default_rng(0).normal(size=(5, 40), scale=2).astype(np.float32)
    rows = [(1.0, 0, 1.0), (0.5, 3, 1.0), (1.0, 0, 0.7), (2.0, 10, 0.5), (1.0, 1, 0.01)]
    columns = [
        tf.constant([row[i] for row in rows], dtype)[:, None]
        for i, dtype in enumerate((tf.float32, tf.int32, tf.float32))
    ]
    draws = samplers.Draws(*columns)
    filtered = samplers.filtered(tf.constant(logits), Settings(), draws).numpy()
    for row, (temperature, top_k, top_p) in enumerate(rows):
        kept = oracle(logits[row], temperature, top_k, top_p)
        assert np.flatnonzero(filtered[row]).tolist() == kept
        settings = Settings(temperature=temperature, top_k=top_k, top_p=top_p)
        of_all = samplers.filtered(tf.constant(logits[row : row + 1]), settings).numpy()
        assert filtered[row].tolist() == of_all[0].tolist()


@pytest.mark.parametrize("model", ["wordpiece", "unigram", "bpe"])
def test_pieces_spell_a_text(model, tmp_path):
    tokenizer = tokenizers.load(tiny.write(tmp_path, model))
    pieces = continuing(tokenizer)
    text = "she opened the door and looked"
    spelled = b"".join(pieces[i] for i in tokenizer.encode([text])[0]).decode()
    assert spelled.removeprefix(" ") == text
    assert pieces[tokenizer.eos_id] == b""

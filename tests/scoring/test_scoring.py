"""Log-probabilities against slow oracles: one full pass of the model a token."""

import math

import numpy as np
import pytest
import tensorflow as tf

from roots_tf import scoring
from roots_tf.storage.files import InputError
from tests.scoring.conftest import TEXT

DOCUMENTS = ["the cat sat", TEXT, "x", "unhappy ünicode ✓ dogs", " \n", "and the dog"]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())


def next_token(model, before) -> np.ndarray:
    """Log-probabilities of what follows some ids, which are read alone."""
    ids = tf.constant([before], tf.int32)
    features = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": ids >= 0}
    return log_softmax(model.logits(model(features)[:, -1])[0].numpy())


def slow_nats(model, document, room, stride) -> float:
    """Negative log-probability of a document: its tokens one by one, each after its window."""
    nats, count = 0.0, len(document) - 1  # of the places that predict
    for place in range(count):
        if place < room:
            start = 0
        else:  # the window in which the place is new ends at the next multiple of the stride
            end = min(count, room + math.ceil((place + 1 - room) / stride) * stride)
            start = end - room
        nats -= next_token(model, document[start : place + 1])[document[place + 1]]
    return nats


@pytest.mark.parametrize("stride", [1, 5, 12])
def test_perplexity_is_that_of_a_loop_of_one_pass_a_token(causal, tokenizer, stride):
    scorer = scoring.Scorer(causal, tokenizer.pad_id, tokens_at_once=40)
    found = scoring.of_texts(scorer, iter(DOCUMENTS), tokenizer, room=12, stride=stride)
    kept = [text for text in DOCUMENTS if text.strip()]
    nats = tokens = 0
    for text in kept:  # documents apart: each after a begin of text
        ids = [tokenizer.bos_id, *tokenizer.encode([text])[0].tolist(), tokenizer.eos_id]
        nats, tokens = nats + slow_nats(causal, ids, 12, stride), tokens + len(ids) - 1
    assert (found.tokens, found.documents) == (tokens, 5)
    assert found.nats == pytest.approx(nats, rel=1e-5)
    report = found.report()
    size = sum(len(text.encode()) for text in kept)
    assert report["bits_per_byte"] == pytest.approx(nats / math.log(2) / size, rel=1e-5)
    assert report["perplexity"] == pytest.approx(math.exp(nats / tokens), rel=1e-4)


def test_no_text_is_refused(causal, tokenizer):
    scorer = scoring.Scorer(causal, tokenizer.pad_id)
    with pytest.raises(InputError, match="found no text; wanted"):
        scoring.of_texts(scorer, ["", "\n"], tokenizer, room=12, stride=6)


def test_scores_are_in_order_and_do_not_depend_on_the_batch(causal, tokenizer):
    rng = np.random.default_rng(0)
    rows = [
        row
        for text, size in enumerate(rng.integers(2, 30, 50))
        for row in scoring.causal_rows(
            rng.integers(5, tokenizer.size, size).astype(np.int32), 1, 12, 4, text=text
        )
    ]
    one, many = (
        [*scoring.Scorer(causal, 0, tokens_at_once=n).log_probabilities(rows)] for n in (1, 500)
    )
    for (row, chances), (same, others), given in zip(one, many, rows, strict=True):
        assert row is same is given
        np.testing.assert_allclose(chances, others, atol=1e-5)


@pytest.mark.parametrize("within_word", [True, False])
def test_pseudo_likelihood_is_that_of_a_loop(masked, tokenizer, within_word):
    ids = tokenizer.encode(["unhappy cats"])[0]
    starts = tokenizer.starts_word[ids]
    assert not starts[1:].all()  # or the two ways of masking would be one
    special = tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id
    rows = scoring.masked_rows(ids, 0, starts, special, 12, 5, within_word)
    found = [float(x[0]) for _, x in scoring.Scorer(masked, 0).log_probabilities(rows)]
    for place, (id_, value) in enumerate(zip(ids, found, strict=True)):
        row = [special[0], *ids.tolist(), special[1]]
        row[place + 1] = special[2]
        for later in range(place + 1, len(ids)):
            if starts[later] or not within_word:
                break
            row[later + 1] = special[2]
        row = tf.constant([row])
        features = {"token_ids": row, "segment_ids": 0 * row, "padding_mask": row >= 0}
        features["masked_lm_positions"] = tf.constant([[place + 1]])
        logits = masked(features)["masked_lm_logits"].numpy()[0]
        assert value == pytest.approx(log_softmax(logits)[id_], abs=1e-4)


def test_a_long_text_is_scored_once_by_a_masked_model(masked, tokenizer):
    ids = tokenizer.encode([TEXT])[0]
    rows = scoring.masked_rows(ids, 3, tokenizer.starts_word[ids], (2, 3, 4), 12, 5)
    labels = [int(row.labels[0]) for row in rows]
    assert labels == ids[3:].tolist()
    assert len(ids) > 12


def pieces(tokenizer, asked) -> list[str]:
    return [tokenizer.decode([i]) for i in asked.ids[asked.first :]]


def test_a_space_belongs_to_the_continuation(tokenizer):
    for prompt, answer in (("the cat", " sat"), ("the cat ", "sat")):
        (asked,) = scoring.continued(tokenizer, prompt, [answer])
        assert "".join(pieces(tokenizer, asked)) == " sat"
        assert asked.num_bytes == 4
        assert tokenizer.decode(asked.ids) == "the cat sat"
    (asked,) = scoring.continued(tokenizer, "", ["sat"])
    assert (asked.first, asked.start) == (0, 0)


def test_a_token_over_the_boundary_is_scored_for_all_continuations(tokenizer):
    (whole,) = scoring.whole(tokenizer, [" happy"])
    assert len(whole.ids) == 1  # one token, of which the prompt has a part
    cut, other = scoring.continued(tokenizer, "the ha", ["ppy", "t"]), None
    other = scoring.continued(tokenizer, "the ha", ["t"])[0]
    assert [asked.text[asked.start :] for asked in cut] == [" happy", " hat"]
    assert other.text[other.start :] in ("t", "at", "hat", " hat")


def test_a_continuation_without_tokens_is_refused(tokenizer):
    with pytest.raises(InputError, match="has no tokens"):
        scoring.continued(tokenizer, "the cat", [""])


def test_sums_of_continuations_are_differences_of_texts(causal, tokenizer):
    """The chain rule: log p(text) = log p(prompt) + log p(continuation | prompt)."""
    scorer = scoring.Scorer(causal, tokenizer.pad_id)

    def total(asked, first):
        ids = np.concatenate([[tokenizer.bos_id], asked.ids]).astype(np.int32)
        rows = scoring.causal_rows(ids, first + 1, 12, 6)
        return sum(float(x.sum()) for _, x in scorer.log_probabilities(rows))

    (asked,) = scoring.continued(tokenizer, "the cat", [" sat on"])
    before = scoring.Asked(asked.ids[: asked.first], 0, 0, "the cat")
    assert total(asked, 0) == pytest.approx(total(before, 0) + total(asked, asked.first), rel=1e-5)

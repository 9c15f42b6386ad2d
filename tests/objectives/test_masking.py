"""Masking beside a plain-Python oracle on real text, and its proportions."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from roots_tf.objectives import MaskedLM, masking
from roots_tf.objectives.masked_lm import MASKINGS
from tests.examples.test_reading import batches
from tests.objectives import oracle

TOY = masking.Vocabulary(10, 4, (0, 2, 3), np.array([False] * 5 + [True] * 5))


def draws_for(size, length, predictions, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "scores": rng.random((size, length), np.float32),
        "actions": rng.random((size, length), np.float32),
        "random_ids": rng.random((size, predictions), np.float32),
        "spans": rng.random((size, length), np.float32),
    }


def drawer(draws):
    return lambda purpose, shape: tf.constant(list(draws.values())[purpose])


def unmasked(batch):
    """The rows as they were before masking."""
    tokens = batch["token_ids"].copy()
    rows, columns = np.nonzero(batch["masked_lm_weights"])
    tokens[rows, batch["masked_lm_positions"][rows, columns]] = batch["masked_lm_ids"][
        rows, columns
    ]
    return tokens


def test_the_arrays_of_the_docstring():
    draws = draws_for(1, 6, 1)
    draws["scores"][0] = [0.9, 0.9, 0.8, 0.1, 0.9, 0.9]
    draws["scores"][0, 1] = 0.2
    draws["actions"][:] = 0
    tokens = tf.constant([[2, 7, 8, 9, 3, 0]])
    how = masking.Masking(max_predictions_per_seq=1)
    found = masking.mask_tokens(tokens, tokens != 0, how, TOY, drawer(draws))
    assert found["token_ids"].numpy().tolist() == [[2, 7, 4, 9, 3, 0]]
    assert found["masked_lm_positions"].numpy().tolist() == [[2]]
    assert found["masked_lm_ids"].numpy().tolist() == [[8]]
    assert found["masked_lm_weights"].numpy().tolist() == [[1.0]]


@pytest.mark.parametrize("objective", ["nsp", "none"])
@pytest.mark.parametrize("strategy", MASKINGS)
@pytest.mark.parametrize("rate, predictions", [(0.15, 20), (0.4, 8), (0.5, 40)])
def test_real_batches_are_masked_as_the_oracle_masks_them(
    built, objective, strategy, rate, predictions
):
    tokenizer = built.tokenizer
    vocabulary = masking.vocabulary_of(tokenizer)
    how = masking.Masking(strategy, rate, (0.8, 0.1, 0.1), predictions)
    for seed, batch in enumerate(real_batches(built, objective)):
        tokens, attended = unmasked(batch), batch["padding_mask"]
        starts = None
        if objective == "none":
            starts = np.diff(batch["document_ids"], axis=1, prepend=0) != 0
        draws = draws_for(*tokens.shape, predictions, seed)
        found = masking.mask_tokens(
            tf.constant(tokens), tf.constant(attended), how, vocabulary, drawer(draws), starts
        )
        for row in range(len(tokens)):
            wanted = oracle.mask_row(
                tokens[row].tolist(),
                attended[row].tolist(),
                strategy,
                rate,
                how.replace,
                predictions,
                vocabulary._asdict(),
                {name: values[row] for name, values in draws.items()},
                None if starts is None else starts[row],
            )
            used = found["masked_lm_weights"][row].numpy() == 1
            assert used.tolist() == sorted(used.tolist(), reverse=True)
            assert found["token_ids"][row].numpy().tolist() == wanted[0]
            assert found["masked_lm_positions"][row].numpy()[used].tolist() == wanted[1]
            assert found["masked_lm_ids"][row].numpy()[used].tolist() == wanted[2]


_CACHE = {}


def real_batches(built, objective, count=3):
    key = (built.folder, objective)
    if key not in _CACHE:
        _CACHE[key] = batches(built, count, sentence_objective=objective, batch_size=64)
    return _CACHE[key]


@pytest.mark.parametrize("strategy", MASKINGS)
def test_eager_traced_mapped_and_batched_agree(built, strategy):
    batch = real_batches(built, "nsp")[0]
    tokens, attended = unmasked(batch), batch["padding_mask"]
    how = masking.Masking(strategy)
    vocabulary = masking.vocabulary_of(built.tokenizer)
    draws = draws_for(*tokens.shape, 20)

    def mask(tokens, attended, *values):
        values = dict(zip(draws, values, strict=True))
        return masking.mask_tokens(tokens, attended, how, vocabulary, drawer_of(values))

    def drawer_of(values):
        return lambda purpose, shape: list(values.values())[purpose]

    inputs = tuple(map(tf.constant, (tokens, attended, *draws.values())))
    eager = mask(*inputs)
    traced = tf.function(mask)(*inputs)
    whole = tf.data.Dataset.from_tensors(inputs).map(mask).get_single_element()
    rows = tf.data.Dataset.from_tensor_slices(inputs).batch(1, drop_remainder=True).map(mask)
    single = rows.unbatch().batch(len(tokens)).get_single_element()
    for name, values in eager.items():
        for other in (traced, whole, single):
            np.testing.assert_array_equal(values, other[name], err_msg=name)


def assert_share(count, total, wanted, sigmas=4.5):
    """`count` of `total` is what chances of `wanted` give, but once in 100,000 tests."""
    bound = sigmas * math.sqrt(wanted * (1 - wanted) / total)
    assert abs(count / total - wanted) < bound, (count / total, wanted, bound)


def test_proportions_are_those_of_the_paper(built):
    vocabulary_size, mask_id = built.tokenizer.size, built.tokenizer.mask_id
    kept = masked = predicted = tokens = 0
    for batch in batches(built, 60, batch_size=64):
        used = batch["masked_lm_weights"] == 1
        shown = np.take_along_axis(batch["token_ids"], batch["masked_lm_positions"], axis=1)[used]
        predicted += used.sum()
        masked += (shown == mask_id).sum()
        kept += (shown == batch["masked_lm_ids"][used]).sum()
        lengths = batch["padding_mask"].sum(1)
        tokens += lengths.sum()
        wanted = np.maximum(1, np.round(lengths * 0.15))
        np.testing.assert_array_equal(used.sum(1), wanted)
        specials = [built.tokenizer.cls_id, built.tokenizer.sep_id, built.tokenizer.pad_id]
        assert not np.isin(batch["masked_lm_ids"][used], specials).any()
    assert abs(predicted / tokens - 0.15) < 0.01  # 10 of 64 tokens, by rounding
    assert_share(masked, predicted, 0.8 + 0.1 / vocabulary_size)
    assert_share(kept, predicted, 0.1 + 0.1 / vocabulary_size)


def test_other_shares_of_replacement(built):
    class Kept(MaskedLM):
        replace = (0.0, 0.0, 1.0)

    class Masked(MaskedLM):
        replace = (1.0, 0.0, 0.0)

    batch = batches(built, 1, objective=Kept)[0]
    assert not (batch["token_ids"] == built.tokenizer.mask_id).any()
    batch = batches(built, 1, objective=Masked)[0]
    used = batch["masked_lm_weights"] == 1
    assert (batch["token_ids"] == built.tokenizer.mask_id).sum() == used.sum()


def test_positions_are_uniform_over_the_candidates(built):
    """The tokens of a row are predicted equally often, wherever they stand."""
    tokens = np.full((500, 32), 7, np.int32)
    tokens[:, 0], tokens[:, -1] = 2, 3
    counts = np.zeros(32)
    for seed in range(4):
        draws = draws_for(500, 32, 20, seed)
        found = masking.mask_tokens(
            tf.constant(tokens), tf.ones((500, 32), bool), masking.Masking(), TOY, drawer(draws)
        )
        used = found["masked_lm_weights"].numpy() == 1
        counts += np.bincount(found["masked_lm_positions"].numpy()[used], minlength=32)
    assert counts[0] == counts[-1] == 0
    for count in counts[1:-1]:
        assert_share(count, 2000, 5 / 30)


@st.composite
def made_up_rows(draw):
    """Tokens, where words and pieces of text start, the budget, and the draws of a few rows."""
    size, length = 3, draw(st.integers(4, 40))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    share = draw(st.sampled_from([0.0, 0.05, 0.3, 0.8]))  # of tokens that start a word
    tokens = rng.integers(5, 10, (size, length)).astype(np.int32)
    tokens[:, 0] = 2
    tokens[rng.random((size, length)) < 0.05] = 3
    attended = np.arange(length) < rng.integers(1, length + 1, (size, 1))
    begins, starts = (rng.random((size, length)) < each for each in (share, 0.05))
    rate, most = draw(st.sampled_from([0.1, 0.15, 0.5, 0.9])), draw(st.integers(1, length))
    return tokens, attended, begins, starts, rate, most, draws_for(size, length, most, rng)


@pytest.mark.parametrize("strategy", MASKINGS)
@settings(deadline=None, max_examples=40)
@given(rows=made_up_rows())
def test_rows_that_say_where_words_start_are_masked_as_the_oracle_masks_them(strategy, rows):
    """Words of any length, longer than the budget too; and the rate is kept, which it asserts."""
    tokens, attended, begins, starts, rate, most, draws = rows
    how = masking.Masking(strategy, rate, (0.8, 0.1, 0.1), most)
    found = masking.mask_tokens(
        *map(tf.constant, (tokens, attended)), how, TOY, drawer(draws), starts, begins
    )
    for row in range(len(tokens)):
        wanted = oracle.mask_row(
            tokens[row].tolist(), attended[row].tolist(), strategy, rate, how.replace, most,
            TOY._asdict(), {name: values[row] for name, values in draws.items()}, starts[row],
            begins[row],
        )  # fmt: skip
        used = found["masked_lm_weights"][row].numpy() == 1
        assert found["token_ids"][row].numpy().tolist() == wanted[0]
        assert found["masked_lm_positions"][row].numpy()[used].tolist() == wanted[1]


@pytest.mark.parametrize("strategy", MASKINGS)
def test_every_token_of_a_word_longer_than_the_budget_is_predicted_now_and_then(strategy):
    """A clause of 40 tokens and ten words of one: 15 % are predicted, of the clause as well."""
    tokens = np.full((400, 52), 7, np.int32)
    tokens[:, 0], tokens[:, -1] = 2, 3
    begins = np.zeros(tokens.shape, bool)
    begins[:, 1] = begins[:, 41:] = True
    attended, counts = tf.ones(tokens.shape, bool), np.zeros(52)
    how = masking.Masking(strategy)
    for seed in range(4):
        found = masking.mask_tokens(
            tf.constant(tokens), attended, how, TOY, drawer(draws_for(400, 52, 20, seed)),
            word_starts=tf.constant(begins),
        )  # fmt: skip
        used = found["masked_lm_weights"].numpy() == 1
        assert (used.sum(1) == round(52 * 0.15)).all()
        counts += np.bincount(found["masked_lm_positions"].numpy()[used], minlength=52)
    assert counts[0] == counts[-1] == 0
    assert counts[1:-1].min() > 0.3 * 1600 * 0.15  # spans come to the first token least


def test_what_starts_a_word_is_what_the_rows_say_and_not_the_vocabulary():
    """北 京 大 学 with the words 北京 and 大学: no pair over the middle is masked."""
    tokens = np.tile(np.array([[2, 5, 6, 7, 8, 3]], np.int32), (200, 1))
    begins = np.tile([[False, True, False, True, False, False]], (200, 1))
    how = masking.Masking("whole_word", rate=0.34, max_predictions_per_seq=2)
    found = masking.mask_tokens(
        tf.constant(tokens), tokens > 0, how, TOY, drawer(draws_for(200, 6, 2)),
        word_starts=begins,
    )  # fmt: skip
    pairs = {tuple(row[:2]) for row in found["masked_lm_positions"].numpy().tolist()}
    assert pairs == {(1, 2), (3, 4)}


def test_span_lengths_are_geometric():
    tokens = np.full((400, 512), 7, np.int32)
    draws = draws_for(400, 512, 4)
    how = masking.Masking("span", rate=0.008, max_predictions_per_seq=4)
    # Budget of four tokens and room for one span: its length, cut at four.
    found = masking.mask_tokens(
        tf.constant(tokens), tf.ones(tokens.shape, bool), how, TOY, drawer(draws)
    )
    positions = found["masked_lm_positions"].numpy()
    whole = ((positions[:, -1] - positions[:, 0]) == 3).sum()
    # One span of four or more: 0.8 ** 3. Other ways to be adjacent are rare: two spans that meet.
    assert abs(whole / 400 - 0.8**3) < 0.12

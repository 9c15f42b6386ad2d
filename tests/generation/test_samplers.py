"""Filters and draws against literals, slow oracles and keras-hub's samplers."""

import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from roots_tf.generation import Settings, samplers

SHARES = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
ORDER = [3, 0, 4, 1, 2]  # of the ids
LOGITS = np.empty([1, 5], "float32")
LOGITS[0, ORDER] = np.log(SHARES)


def chances(logits, **filters):
    """What a draw gives each id: [B, V]."""
    weights = samplers.filtered(tf.constant(logits, tf.float32), Settings(**filters)).numpy()
    return weights / weights.sum(-1, keepdims=True)


def in_order(logits, **filters):
    return chances(logits, **filters)[0, ORDER]


def test_each_filter_leaves_what_it_says_and_the_rest_is_renormalised():
    np.testing.assert_allclose(in_order(LOGITS), SHARES, atol=1e-6)
    np.testing.assert_allclose(in_order(LOGITS, top_k=2), [4 / 7, 3 / 7, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(in_order(LOGITS, top_p=0.8), SHARES * [1, 1, 1, 0, 0] / 0.85, 1e-5)
    np.testing.assert_allclose(in_order(LOGITS, min_p=0.3), SHARES * [1, 1, 1, 0, 0] / 0.85, 1e-5)
    cooler = SHARES**2 / np.sum(SHARES**2)
    np.testing.assert_allclose(in_order(LOGITS, temperature=0.5), cooler, atol=1e-6)
    # Entropy 1.39 nats; information .92 1.20 1.90 2.30 3.00: the second is nearest, then the first.
    np.testing.assert_allclose(in_order(LOGITS, typical_p=0.5), [4 / 7, 3 / 7, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(in_order(LOGITS, typical_p=0.2), [0, 1, 0, 0, 0], atol=1e-6)


def test_a_later_filter_sees_what_the_one_before_left():
    # Of the two likeliest, 4/7 and 3/7, the first alone reaches a half; of all five it does not.
    np.testing.assert_allclose(in_order(LOGITS, top_k=2, top_p=0.5), [1, 0, 0, 0, 0])
    assert (in_order(LOGITS, top_p=0.5) > 0).sum() == 2


def test_one_token_stays_and_of_equals_those_of_lower_ids():
    equal = np.zeros([2, 600], "float32")
    for filters in ({"top_k": 3}, {"top_p": 3 / 600}, {"top_k": 6, "top_p": 0.5}):
        assert np.flatnonzero(chances(equal, **filters)[1]).tolist() == [0, 1, 2]
    for filters in ({"top_p": 1e-30}, {"min_p": 1.0}, {"typical_p": 1e-30}, {"temperature": 1e-40}):
        assert chances(LOGITS, **filters).sum() == 1
    assert chances(LOGITS, temperature=1e-300)[0, 3] == 1
    assert chances(LOGITS, top_k=1, top_p=1e-9, min_p=1.0, typical_p=1e-9)[0, 3] == 1


def slow_nucleus(logits, share):
    """Ids of the nucleus of a row."""
    shares = np.exp(logits - logits.max())
    order = np.argsort(-shares, kind="stable")
    missing = np.cumsum(shares[order]) < share * shares.sum() * (1 - 1e-7)
    return set(order[: missing.sum() + 1].tolist())


@settings(max_examples=20)
@example(2331, 0.1, 0.01)  # two ids of one chance, of different logits
@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.5, 0.9, 0.99]), st.floats(0.01, 5))
def test_the_nucleus_of_many_ids_is_that_of_a_full_sort(seed, share, spread):
    # A flat distribution needs more than are sorted first, a peaked one fewer; here both at once.
    logits = np.random.default_rng(seed).normal(0, [[spread], [0.01], [8]], [3, 700])
    kept = chances(logits.astype("float32"), top_p=share)
    for row, found in zip(logits.astype("float32"), kept, strict=True):
        difference = set(np.flatnonzero(found).tolist()) ^ slow_nucleus(
            row.astype("float64"), share
        )
        # At the very edge a sum is rounded, or two chances differ by less than float32 tells.
        edge = row[sorted(difference)]
        assert len(difference) <= 2 and (len(difference) < 2 or np.ptp(edge) < 1e-6)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.02, 1), st.sampled_from([3, 40, 10**6]))
def test_counting_by_keys_ends_where_a_sort_does(seed, share, levels):
    """To the id, also where many weigh the same: 3 or 40 different logits among 900 ids."""
    rng = np.random.default_rng(seed)
    logits = (rng.integers(0, levels, [4, 900]) * [[0.1], [3 / levels], [0.0], [60 / levels]]) % 70
    weights = samplers.filtered(tf.constant(logits, tf.float32), Settings())
    for keys in (weights, samplers._nearness(weights)):
        wanted = [max(1, round(share * int(row.sum()))) for row in weights.numpy()]
        found = samplers._counted(weights, keys, tf.constant(wanted, tf.int64)).numpy()
        for row, of_row, least, last in zip(
            weights.numpy(), keys.numpy(), wanted, found, strict=True
        ):
            order = np.argsort(-of_row, kind="stable")
            reached = np.cumsum(row[order])
            assert last == order[np.searchsorted(reached, least)]


def drawn(logits, count, **filters):
    """Ids that `count` rows of the same logits draw, each from a seed of its own."""
    rows = tf.repeat(tf.constant(logits, tf.float32), count, 0)
    seeds = tf.stack([tf.fill([count], 7), tf.range(count)], 1)
    return samplers.choose(rows, seeds, tf.constant(3), Settings(**filters)).numpy()


def test_draws_come_as_often_as_their_probabilities_say():
    ids = drawn(LOGITS, 20_000)
    shares = np.bincount(ids, minlength=5)[ORDER] / 20_000
    np.testing.assert_allclose(shares, SHARES, atol=0.015)  # four standard deviations


def test_draws_over_several_blocks_of_ids_are_uniform_where_logits_are():
    counts = np.bincount(drawn(np.zeros([1, 1000]), 20_000), minlength=1000)
    assert counts.min() > 0 and counts.max() < 50  # 20 expected, deviation 4.5
    assert abs(np.sum((counts - 20) ** 2 / 20) - 999) < 5 * np.sqrt(2 * 999)


def test_a_draw_is_the_inverse_of_the_cumulative_sum():
    weights = tf.constant([[0, 3, 0, 1]] * 5, tf.int64)
    numbers = tf.constant([0, 0.7, 0.75, 0.999, 1 - 2.0**-53], tf.float64)
    assert samplers.draw(weights, numbers).numpy().tolist() == [1, 1, 3, 3, 3]


def test_keras_hub_has_the_same_support_and_probabilities():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, [1, 40]).astype("float32")
    shares = np.exp(logits) / np.exp(logits).sum()
    rows = np.repeat(shares, 8000, 0)
    for sampler, filters in (
        (keras_hub.samplers.GreedySampler(), {"decoding": "greedy"}),
        (keras_hub.samplers.TopKSampler(k=6, seed=1), {"top_k": 6}),
        (keras_hub.samplers.TopPSampler(p=0.7, seed=1), {"top_p": 0.7}),
    ):
        theirs = np.bincount(np.asarray(sampler.get_next_token(rows)), minlength=40) / 8000
        ours = np.bincount(drawn(logits, 8000, **filters), minlength=40) / 8000
        assert set(np.flatnonzero(theirs)) == set(np.flatnonzero(ours))
        np.testing.assert_allclose(ours, theirs, atol=0.03)


@pytest.mark.parametrize(
    "filters", [{}, {"top_k": 20}, {"top_p": 0.9}, {"typical_p": 0.9}], ids=str
)
def test_a_row_draws_the_same_alone_in_any_company_and_under_xla(filters):
    rng = np.random.default_rng(1)
    logits = tf.constant(rng.normal(0, 2, [6, 500]), tf.float32)
    seeds = tf.constant(rng.integers(-(2**31), 2**31, [6, 2]), tf.int32)
    wanted = samplers.choose(logits, seeds, 5, Settings(**filters)).numpy()
    order = [4, 0, 5, 3, 1, 2]
    shuffled = samplers.choose(
        tf.gather(logits, order), tf.gather(seeds, order), 5, Settings(**filters)
    )
    assert shuffled.numpy().tolist() == wanted[order].tolist()
    alone = [
        int(samplers.choose(logits[i : i + 1], seeds[i : i + 1], 5, Settings(**filters))[0])
        for i in range(6)
    ]
    assert alone == wanted.tolist()
    compiled = tf.function(samplers.choose, jit_compile=True)
    assert compiled(logits, seeds, 5, Settings(**filters)).numpy().tolist() == wanted.tolist()


def test_neighbouring_seeds_and_steps_share_no_stream():
    seeds = tf.constant([[a, b] for a in (-1, 0, 1) for b in range(-2, 20)])
    numbers = np.concatenate([samplers.uniforms(seeds, step).numpy() for step in range(20)])
    assert len(set(numbers.tolist())) == numbers.size == 3 * 22 * 20
    assert numbers.min() >= 0 and numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 5 / np.sqrt(12 * numbers.size)


def test_the_hash_is_splitmix64():
    # The first output from state 0, as in the test vectors that are in wide use.
    assert int(samplers._mixed(tf.constant(0x9E3779B97F4A7C15, tf.uint64))) == 0xE220A8397B1DCDAF

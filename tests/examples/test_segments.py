"""BERT's segment algorithm, checked against the plainest way to write it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roots_tf.examples import segments

CAPACITY = 29


def truncate_slowly(a: list, b: list, capacity: int, rng) -> tuple[list, list]:
    """`truncate_seq_pair` of google-research/bert: a token at a time."""
    a, b = list(a), list(b)
    while len(a) + len(b) > capacity:
        longer = a if len(a) > len(b) else b
        longer.pop(0 if rng.random() < 0.5 else -1)
    return a, b


@given(st.integers(1, 60), st.integers(0, 60), st.integers(5, 70), st.integers(0, 99))
def test_truncation_ends_at_the_lengths_of_a_token_at_a_time(length_a, length_b, capacity, seed):
    wanted = truncate_slowly(range(length_a), range(length_b), capacity, random.Random(seed))
    end = length_a + length_b
    pair = segments.truncate(0, length_a, length_a, end, capacity, random.Random(seed))
    assert pair.end_a - pair.start_a == len(wanted[0])
    assert pair.end_b - pair.start_b == len(wanted[1])
    assert 0 <= pair.start_a <= pair.end_a <= length_a
    assert length_a <= pair.start_b <= pair.end_b <= end


def test_truncation_takes_front_and_back_equally():
    rng = random.Random(0)
    fronts = [segments.truncate(0, 40, 40, 50, 30, rng).start_a for _ in range(2000)]
    assert abs(sum(fronts) / len(fronts) - 10) < 4 * (20 * 0.25 / 2000) ** 0.5


lengths = st.lists(st.integers(1, 70), min_size=1, max_size=40)


def ends_of(sentence_lengths):
    return [sum(sentence_lengths[: i + 1]) for i in range(len(sentence_lengths))]


@given(lengths, st.integers(0, 99), st.sampled_from([0.0, 0.1, 1.0]))
def test_pairs_follow_one_another_and_split_at_sentences(sentence_lengths, seed, short_seq_prob):
    ends = ends_of(sentence_lengths)
    pairs = segments.pairs(ends, CAPACITY + 3, short_seq_prob, random.Random(seed))
    pieces = set(segments.cut_long_sentences(ends, CAPACITY))
    last = 0
    for pair in pairs:
        assert last <= pair.start_a < pair.end_a <= pair.start_b <= pair.end_b
        assert pair.end_a - pair.start_a + pair.end_b - pair.start_b <= CAPACITY
        last = pair.end_b
    if all(n <= CAPACITY // 2 for n in sentence_lengths) and short_seq_prob == 0.0:
        # A piece is lost only where the longer side was truncated, less than a sentence a pair.
        kept = sum(p.end_a - p.start_a + p.end_b - p.start_b for p in pairs)
        assert kept > ends[-1] - len(pairs) * CAPACITY // 2
        assert all(p.start_b < p.end_b for p in pairs[:-1])
    assert pieces


def test_a_tenth_of_the_pairs_aims_at_fewer_tokens():
    rng = random.Random(3)
    ends = list(range(5, 200_000, 5))
    pairs = segments.pairs(ends, 128, 0.1, rng)
    short = sum(p.end_b - p.start_a < 115 for p in pairs) / len(pairs)
    # Of the targets from 2 to 125 that a tenth draws, those up to 110 end below 115.
    assert abs(short - 0.1 * 109 / 124) < 4 * (0.1 * 0.9 / len(pairs)) ** 0.5


@pytest.mark.parametrize("ends", [[1], [500], [3, 6]])
def test_small_documents(ends):
    pairs = segments.pairs(ends, 32, 0.0, random.Random(0))
    assert sum(p.end_a - p.start_a + p.end_b - p.start_b for p in pairs) == ends[-1]

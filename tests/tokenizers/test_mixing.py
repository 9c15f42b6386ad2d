"""Counts of sources scaled to a mixture: unbiased, the same every time, nothing made up."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from roots_tf.tokenizers import mixing
from roots_tf.tokenizers.counting import Counted


@given(st.dictionaries(st.text(min_size=1), st.integers(1, 1000)).map(Counter), st.floats(0.01, 20))
def test_a_count_is_scaled_to_one_of_its_neighbours(counts, factor):
    scaled = mixing.scaled(Counted(words=counts), factor).words
    for word, count in counts.items():
        assert abs(scaled[word] - count * factor) < 1
    assert min(scaled.values(), default=1) > 0
    assert scaled.keys() <= counts.keys()


def test_rare_words_lose_by_the_factor_and_not_all():
    counts = Counter({f"word {i}": 1 for i in range(10_000)})
    scaled = mixing.scaled(Counted(words=counts), 0.3).words
    assert 2800 < scaled.total() < 3200
    assert mixing.scaled(Counted(words=counts), 0.3).words == scaled


def test_every_part_of_the_counts_is_scaled():
    part = Counted(*(Counter(a=10) for _ in range(5)))
    whole = mixing.mixed({"x": part, "y": part}, {"x": 1, "y": 2.0})
    assert whole == Counted(*(Counter(a=30) for _ in range(5)))

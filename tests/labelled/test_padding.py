"""Lengths that rows are padded to: no others leave less padding, and each is worth its trace."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roots_tf.labelled import padding
from roots_tf.labelled.padding import best_lengths, padded_lengths


@pytest.mark.parametrize("longest", [1, 8, 9, 96, 100, 512])
def test_padded_lengths_add_at_most_a_quarter(longest):
    lengths = padded_lengths(longest)
    assert lengths == sorted(set(lengths)) and lengths[-1] == longest
    assert all(
        after <= max(before + 1, 1.25 * before) for before, after in itertools.pairwise(lengths)
    )
    assert len(lengths) <= 4 * longest.bit_length()


def cost(lengths, rows, batch_size):
    """Tokens of sorted batches, each padded to the next of the lengths."""
    longest = sorted(rows, reverse=True)[::batch_size]
    return batch_size * sum(min(n for n in lengths if n >= row) for row in longest)


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=40),
    st.integers(1, 6),
    st.integers(0, 12),
    st.integers(1, 4),
)
def test_no_other_lengths_of_that_number_leave_less_padding(rows, batch_size, worth, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(padding, "WORTH", worth)
        patch.setattr(padding, "MOST_LENGTHS", most)
        found = best_lengths(np.array(rows), batch_size, 12)
    assert found == sorted(set(found)) and found[-1] == max(rows) and len(found) <= most
    others = sorted(set(rows) - {max(rows)})

    def least(count):
        choices = itertools.combinations(others, min(count - 1, len(others)))
        return min(cost([*some, max(rows)], rows, batch_size) for some in choices)

    by_number = [least(count) for count in range(1, most + 2)]
    assert cost(found, rows, batch_size) == by_number[len(found) - 1]
    spared = -np.diff(by_number)  # by the second length, by the third ...
    assert (spared[: len(found) - 1] >= worth).all()
    if len(found) < most and len(found) <= len(others):
        assert spared[len(found) - 1] < worth or spared[len(found) - 1] == 0


def test_long_rows_have_lengths_that_matrix_units_like():
    rows = np.random.default_rng(0).integers(1, 9_000, 50_000)
    found = best_lengths(rows, 8, longest=9_001)
    assert len(found) == padding.MOST_LENGTHS
    assert all(length % 8 == 0 for length in found[:-1] if length > 64)
    assert rows.max() <= found[-1] <= 9_001
    assert best_lengths(np.array([99]), 1, longest=100) == [100]  # 104 were beyond the model

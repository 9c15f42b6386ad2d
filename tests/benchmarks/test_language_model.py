"""Kneser-Ney smoothing against its definition, counted in dictionaries."""

import collections

import numpy as np
import pytest

from benchmarks.language_model import KneserNey

BEGIN, SIZE = 0, 6


def slow(order, documents, context, word) -> float:
    """p(word | context) by the definition, over sets and dictionaries."""
    grams = collections.Counter()
    for document in documents:
        padded = [BEGIN] * (order - 1) + list(document)
        for place in range(order - 1, len(padded)):
            grams[tuple(padded[place - order + 1 : place + 1])] += 1
    found = 1 / SIZE
    for length in range(1, order + 1):
        if length == order:
            counts = grams
        else:
            longer = {gram[-length - 1 :] for gram in grams}
            counts = collections.Counter(gram[1:] for gram in longer)
        history = tuple(([BEGIN] * order + list(context))[len(context) + order - length + 1 :])
        total = sum(count for gram, count in counts.items() if gram[:-1] == history)
        kinds = sum(gram[:-1] == history for gram in counts)
        ones, twos = (sum(count == n for count in counts.values()) for n in (1, 2))
        discount = ones / (ones + 2 * twos) if ones + twos else 0.5
        if total:
            count = counts.get((*history, word), 0)
            found = max(count - discount, 0) / total + discount * kinds / total * found
    return found


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_are_those_of_the_definition(order):
    rng = np.random.default_rng(order)
    train = [rng.integers(1, SIZE - 1, size) for size in (9, 1, 14, 6)]  # id 5 does not occur
    model = KneserNey(order, SIZE, train, BEGIN)
    held_out = [np.array([1, 2, 5, 3, 1, 2]), np.array([4]), train[2]]
    expected = [
        slow(order, train, document[:place].tolist(), int(document[place]))
        for document in held_out
        for place in range(len(document))
    ]
    np.testing.assert_allclose(model.probabilities(held_out), expected, rtol=1e-12)


def test_probabilities_of_all_words_add_up():
    rng = np.random.default_rng(0)
    train = [rng.integers(1, SIZE, 40)]
    model = KneserNey(3, SIZE, train, BEGIN)
    for context in ([1, 2], [], [3, 3], [5]):
        every = [np.array([*context, word]) for word in range(SIZE)]
        last = model.probabilities(every).reshape(SIZE, -1)[:, -1]
        assert last.sum() == pytest.approx(1)
        assert (last > 0).all()

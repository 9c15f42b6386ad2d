"""Whether one system is better than another: the examples of a test set, drawn again and again.

Paired bootstrap resampling (Koehn 2004, Statistical Significance Tests for Machine Translation
Evaluation, EMNLP, section 4). What is measured is a function of sums over the examples, as BLEU is
of counts of n-grams, so that a resample costs a product and no text is looked at twice.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np


class Measure(NamedTuple):
    """A measure of the answers of one system.

    Attributes:
        rows: what each example adds to the sums, float64 [examples, K].
        score: of sums [K].
    """

    rows: np.ndarray
    score: Callable[[np.ndarray], float]

    @property
    def value(self) -> float:
        """The score of all examples."""
        return float(self.score(self.rows.sum(0)))


def mean(values: Sequence[float]) -> Measure:
    """The measure that is the mean of a number of each example.

    >>> mean([0, 1, 1, 1]).value
    0.75

    Args:
        values: one an example.
    """
    values = np.asarray(values, np.float64)
    return Measure(np.stack([values, np.ones_like(values)], axis=1), _mean)


def _mean(sums: np.ndarray) -> float:
    return sums[0] / sums[1]


def compare(
    one: Mapping[str, Measure], other: Mapping[str, Measure], resamples: int = 1000, seed: int = 0
) -> dict[str, dict[str, float]]:
    """How much better one system is than another, and how sure that is.

    Each resample draws as many examples as there are, with replacement, the same for both systems
    and all measures.

    Args:
        one: measures of one system.
        other: the same of the other, on the same examples in the same order.
        resamples: how many are drawn.
        seed: of the draws.

    Returns:
        By measure the `score` of one and that of the other, `against`, on all examples;
        `difference`, the first less the second; `lowest` and `highest`, between which lie 95 % of
        the resamples' differences; and `p`, two-sided: twice the share of resamples, with one more
        that is counted on either side, in which the system that is better is not, at most 1.

    Raises:
        ValueError: the systems have different numbers of examples, or none.
    """
    counts = {len(measure.rows) for measure in (*one.values(), *other.values())}
    if len(counts) != 1 or counts == {0}:
        raise ValueError(f"found {sorted(counts)} examples; wanted as many of each, and some")
    differences = _differences(one, other, counts.pop(), resamples, seed)
    found = {}
    for name, drawn in differences.items():
        lowest, highest = np.percentile(drawn, [2.5, 97.5])
        fewest = min(np.sum(drawn <= 0), np.sum(drawn >= 0))
        score, against = one[name].value, other[name].value
        found[name] = {
            "score": score,
            "against": against,
            "difference": score - against,
            "lowest": float(lowest),
            "highest": float(highest),
            "p": min(1.0, float(2 * (fewest + 1) / (resamples + 1))),
        }
    return found


def _differences(one, other, examples: int, resamples: int, seed: int) -> dict[str, np.ndarray]:
    """By measure the difference in each resample, [resamples]."""
    random = np.random.Generator(np.random.Philox(seed % 2**64))
    pairs = {name: (one[name], other[name]) for name in one}
    rows = np.concatenate([measure.rows for pair in pairs.values() for measure in pair], axis=1)
    widths = [measure.rows.shape[1] for pair in pairs.values() for measure in pair]
    found = {name: np.empty(resamples) for name in pairs}
    for number in range(resamples):
        drawn = np.bincount(random.integers(examples, size=examples), minlength=examples)
        sums = iter(np.split(drawn @ rows, np.cumsum(widths)[:-1]))
        for name, (first, second) in pairs.items():
            found[name][number] = first.score(next(sums)) - second.score(next(sums))
    return found

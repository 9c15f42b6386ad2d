"""Counts of words by source, scaled so that a vocabulary learns from a mixture of the sources."""

import dataclasses
import zlib
from collections import Counter
from collections.abc import Mapping

from roots_tf.tokenizers.counting import Counted


def scaled(counted: Counted, factor: float) -> Counted:
    """The counts as if the source were that many times as large.

    A count is rounded up or down by a hash of its word, up in as many of the cases as keep the sum
    of all right: of a thousand words that occur once, a factor of 0.3 leaves about three hundred.

    >>> scaled(Counted(words=Counter(sea=10, ship=4)), 1.5).words
    Counter({'sea': 15, 'ship': 6})

    Args:
        counted: words of one source.
        factor: above 0.
    """
    parts = {field.name: getattr(counted, field.name) for field in dataclasses.fields(counted)}
    return Counted(**{name: _scaled(counts, factor) for name, counts in parts.items()})


def mixed(counted: Mapping[str, Counted], factors: Mapping[str, float]) -> Counted:
    """The counts of all sources, each scaled.

    Args:
        counted: by name of the source.
        factors: likewise.
    """
    whole = Counted()
    for name, part in counted.items():
        whole.update(part if factors[name] == 1 else scaled(part, factors[name]))
    return whole


def _scaled(counts: Counter[str], factor: float) -> Counter[str]:
    found = Counter({word: int(count * factor + _hash(word)) for word, count in counts.items()})
    return +found


def _hash(word: str) -> float:
    """A number in [0, 1) that follows from the word."""
    return zlib.crc32(word.encode("utf-8", "surrogatepass")) / (1 << 32)

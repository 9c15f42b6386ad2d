"""Segment pairs from the sentences of a document, by BERT's algorithm (arXiv:1810.04805, A.2).

Follows `create_instances_from_document` and `truncate_seq_pair` of google-research/bert's
create_pretraining_data.py: sentences fill a chunk up to a target length; the chunk is split into A
and B at a random sentence boundary; while the pair is too long, the longer side loses a token at
its front or its back, by a coin. It differs in four ways, each on purpose:

- B is always the true continuation. What is not is drawn when a batch is made, afresh each epoch.
- A chunk of one sentence has no true B, and B is left empty (there: B is drawn at random).
- The shorter target of 10 % is drawn for each chunk, not once a document: a document may be a
  whole novel.
- A sentence longer than a whole row is first cut into halves of rows, so that its text is not lost.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple


class Pair(NamedTuple):
    """Where A and B begin and end in the ids of a document; B is empty for a chunk of one."""

    start_a: int
    end_a: int
    start_b: int
    end_b: int


def capacity(max_seq_length: int) -> int:
    """Tokens of A and B together: a row without [CLS], [SEP] and [SEP]."""
    return max_seq_length - 3


def cut_long_sentences(ends: Sequence[int], capacity: int) -> list[int]:
    """The `ends` of sentences, where one longer than `capacity` becomes pieces of half of it.

    >>> cut_long_sentences([4, 25], capacity=10)
    [4, 9, 14, 19, 24, 25]
    """
    cut, begin = [], 0
    for end in ends:
        if end - begin > capacity:
            halves = (2 * (end - begin) - 2) // capacity  # that end before the sentence does
            cut.extend(begin + (half * capacity + 1) // 2 for half in range(1, halves + 1))
        cut.append(end)
        begin = end
    return cut


def truncate(start_a: int, end_a: int, start_b: int, end_b: int, capacity: int, rng) -> Pair:
    """Cuts a pair to `capacity` tokens in all: from the longer side, front or back by a coin.

    Removing one token at a time from the longer (from B where they are equal) ends at lengths that
    no coin changes; the coins decide how many of the removed ones stood in front.

    Args:
        start_a, end_a, start_b, end_b: where the two lie in the ids of the document.
        capacity: tokens kept of both together.
        rng: the source of the coins, a `random.Random`.
    """
    length_a, length_b = end_a - start_a, end_b - start_b
    kept_a = min(length_a, max(capacity - length_b, (capacity + 1) // 2))
    kept_b = min(length_b, capacity - kept_a)
    front_a = rng.getrandbits(length_a - kept_a).bit_count() if length_a > kept_a else 0
    front_b = rng.getrandbits(length_b - kept_b).bit_count() if length_b > kept_b else 0
    return Pair(
        start_a + front_a, start_a + front_a + kept_a, start_b + front_b, start_b + front_b + kept_b
    )


def pairs(
    ends: Sequence[int], max_seq_length: int, short_seq_prob: float, rng: random.Random
) -> list[Pair]:
    """Segment pairs of one document.

    >>> pairs([4, 8, 10], max_seq_length=11, short_seq_prob=0.0, rng=random.Random(0))
    [Pair(start_a=0, end_a=4, start_b=4, end_b=8), Pair(start_a=8, end_a=10, start_b=10, end_b=10)]

    Args:
        ends: where each sentence ends in the document's ids, ascending.
        max_seq_length: tokens of a row, [CLS] and two [SEP] among them.
        short_seq_prob: share of chunks that aim at a random shorter length.
        rng: the only source of chance.
    """
    most = capacity(max_seq_length)
    ends = cut_long_sentences(ends, most)
    chosen = []
    first, begin = 0, 0  # sentence and token at which the chunk begins
    target = _target(most, short_seq_prob, rng)
    for last, end in enumerate(ends):
        if end - begin < target and last < len(ends) - 1:
            continue
        boundary = end if last == first else ends[rng.randint(first, last - 1)]
        chosen.append(truncate(begin, boundary, boundary, end, most, rng))
        first, begin = last + 1, end
        target = _target(most, short_seq_prob, rng)
    return chosen


def _target(capacity: int, short_seq_prob: float, rng: random.Random) -> int:
    """Tokens that the next chunk aims at."""
    return rng.randint(2, capacity) if rng.random() < short_seq_prob else capacity

"""To which lengths rows are padded: few, as each is compiled, and near to what the rows have."""

import numpy as np

MOST_LENGTHS = 12  # of training batches
# Padded tokens of an epoch that a further length must spare: compiling one takes two seconds of a
# processor, in which a model of 6 layers of width 384 learns from 2,500 tokens, and three epochs
# spare a third of them each.
WORTH = 800
_CANDIDATES = 512  # lengths that are chosen from
_ALIGNED = 64  # beyond it lengths are multiples of 8, which matrix units of half precision want


def padded_lengths(longest: int) -> list[int]:
    """Lengths for rows of which nothing is known: four a doubling.

    >>> padded_lengths(50)
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 50]
    """
    lengths = range(1, longest)
    return [n for n in lengths if n % max(1, 2 ** (n.bit_length() - 3)) == 0] + [longest]


def best_lengths(lengths: np.ndarray, batch_size: int, longest: int) -> list[int]:
    """The lengths that leave least padding in batches of rows that are sorted by length.

    There are as many as each spare `WORTH` padded tokens, `MOST_LENGTHS` at most. Exact, by dynamic
    programming over the longest row of each batch.

    >>> best_lengths(np.array([5] * 600 + [6] * 200 + [50] * 200), 100, longest=64)
    [6, 50]

    Args:
        lengths: tokens of each row, integers [rows], one at least.
        batch_size: rows of a batch.
        longest: tokens of a row at most; no length is beyond it.

    Returns:
        In order; the last holds every row.
    """
    of_batches = np.sort(lengths)[::-1][::batch_size]
    step = max(1, -(-int(of_batches[0]) // _CANDIDATES))
    grid = np.where(of_batches > _ALIGNED, -(-step // 8) * 8, step)
    of_batches = np.minimum(-(-of_batches // grid) * grid, longest)
    sizes, counts = np.unique(of_batches, return_counts=True)
    up_to = np.concatenate([[0], np.cumsum(counts)]) * batch_size  # rows of the sizes before
    # costs[j]: padded tokens of the rows up to size j, by k lengths of which size j is the last;
    # before[k - 1][j] is the length before that one.
    costs, before, total = up_to[1:] * sizes, [np.full(len(sizes), -1)], []
    while True:
        total.append(costs[-1])
        enough = len(total) > 1 and total[-2] - total[-1] < WORTH
        if enough or len(total) == min(MOST_LENGTHS, len(sizes)):
            break
        further, place = np.full(len(sizes), np.inf), np.full(len(sizes), -1)
        for j in range(len(total), len(sizes)):
            found = costs[:j] + (up_to[j + 1] - up_to[1 : j + 1]) * sizes[j]
            place[j] = np.argmin(found)
            further[j] = found[place[j]]
        costs = further
        before.append(place)
    chosen, at = [], len(sizes) - 1
    for places in reversed(before[: len(total) - enough]):
        chosen.append(int(sizes[at]))
        at = places[at]
    return chosen[::-1]

"""How good vectors of texts are: what is nearest to what, alignment and uniformity.

Wang & Isola 2020, arXiv:2005.10242, section 4: texts that belong together should be near one
another, and all texts should be spread over the sphere.
"""

from typing import NamedTuple

import numpy as np

from roots_tf.metrics import regression

NEAR = 0.8  # of the range of values: pairs above it belong together, STS-B's above 4 of 0 to 5
_CELLS = 1 << 22  # of similarities that are held at once: 16 MB


class Found(NamedTuple):
    """What is found among the positives and negatives of all rows.

    Attributes:
        ranks: int64 [B], of each row's positive, from 1.
        nearest: int64 [B, 2], row and place in it of the text that is nearest.
        count: of different texts that are searched.
    """

    ranks: np.ndarray
    nearest: np.ndarray
    count: int


def search(vectors: np.ndarray, text_numbers: np.ndarray) -> Found:
    """Searches each row's positive among the positives and negatives of all rows.

    Equal texts are one. What is no wrong answer is left out: the row's own text, and the positives
    of rows whose text is equal. Where another text is as near as the positive, the positive comes
    behind it: vectors that are all the same find nothing.

    Args:
        vectors: unit vectors, float [B, G, H], of each row its text, its positive, its negatives.
        text_numbers: integers [B, G]; equal texts have equal numbers, and -1 is no text.
    """
    others = text_numbers[:, 1:].reshape(-1)  # [B * (G - 1)]
    numbers, places = np.unique(others, return_index=True)
    numbers, places = numbers[numbers >= 0], places[numbers >= 0]
    table = vectors[:, 1:].reshape(len(others), -1)[places]  # [M, H]
    positive = np.searchsorted(numbers, text_numbers[:, 1])  # [B]
    also_right: dict[int, list[int]] = {}
    for number, place in zip(text_numbers[:, 0], positive, strict=True):
        also_right.setdefault(int(number), []).append(int(place))
    ranks, nearest = np.zeros(len(vectors), np.int64), np.zeros(len(vectors), np.int64)
    block = max(1, _CELLS // len(numbers))
    for begin in range(0, len(vectors), block):
        rows = np.arange(begin, min(begin + block, len(vectors)))
        cosines = vectors[rows, 0] @ table.T  # [rows, M]
        of_positive = cosines[np.arange(len(rows)), positive[rows]]
        for at, row in enumerate(rows):
            number = text_numbers[row, 0]
            cosines[at, numbers == number] = -np.inf
            cosines[at, also_right[int(number)]] = -np.inf
        cosines[np.arange(len(rows)), positive[rows]] = of_positive
        ranks[rows] = (cosines >= of_positive[:, None]).sum(1)
        nearest[rows] = cosines.argmax(1)
    rows, at = np.divmod(places[nearest], text_numbers.shape[1] - 1)
    return Found(ranks, np.stack([rows, at + 1], 1), len(numbers))


def retrieval(ranks: np.ndarray) -> dict[str, float]:
    """`accuracy`, the share of ranks that are 1, and `mean_reciprocal_rank`.

    Args:
        ranks: integers from 1.
    """
    ranks = np.asarray(ranks, np.float64)
    return {
        "accuracy": float((ranks == 1).mean()),
        "mean_reciprocal_rank": float((1 / ranks).mean()),
    }


def at_random(count: int) -> dict[str, float]:
    """What `retrieval` gives in the mean for a random order of `count` texts.

    >>> at_random(2)
    {'accuracy': 0.5, 'mean_reciprocal_rank': 0.75}
    """
    return {
        "accuracy": 1 / count,
        "mean_reciprocal_rank": float(np.mean(1 / np.arange(1, count + 1))),
    }


def alignment(cosines: np.ndarray) -> float:
    """Mean squared distance of unit vectors that belong together; 0 is best, 4 is worst.

    Args:
        cosines: of each pair.
    """
    return float(np.mean(2 - 2 * np.asarray(cosines, np.float64)))


def of_values(cosines: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """How cosines go with values: `spearman` and `pearson`, see `regression`, and `alignment`.

    Alignment is over the pairs above four fifths of the range of values (SimCSE, section 5).

    Args:
        cosines: of each pair.
        values: how alike its texts are, in any unit.
    """
    found = regression.scores(values, cosines)
    scores = {name: found[name] for name in ("spearman", "pearson")}
    limit = values.min() + NEAR * (values.max() - values.min())
    together = (values > limit) | (values == values.max())
    return scores | {"alignment": alignment(cosines[together])}


def potentials(vectors: np.ndarray, text_numbers: np.ndarray) -> np.ndarray:
    """Mean of exp(-2 d^2) over the distances d to all other texts, float64 [B].

    Args:
        vectors: unit vectors, float [B, H].
        text_numbers: integers [B]; equal texts have equal numbers, and are no others.

    Returns:
        From exp(-8) to 1; 1 where there is no other text.
    """
    sums, counts = np.zeros(len(vectors)), np.zeros(len(vectors))
    block = max(1, _CELLS // max(1, len(vectors)))
    for begin in range(0, len(vectors), block):
        rows = slice(begin, begin + block)
        squares = 2 - 2 * (vectors[rows] @ vectors.T).astype(np.float64)
        is_other = text_numbers[rows, None] != text_numbers
        sums[rows], counts[rows] = (np.exp(-2 * squares) * is_other).sum(1), is_other.sum(1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)


def uniformity(potentials: np.ndarray) -> float:
    """Logarithm of the mean potential: lower is better, 0 is that of vectors that are all the same.

    Args:
        potentials: of each text.
    """
    return float(np.log(np.mean(potentials)))

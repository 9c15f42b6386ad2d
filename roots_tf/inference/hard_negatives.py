"""Texts of a corpus that are near to a query and not what belongs to it: hard negatives.

A model learns more from them than from texts that are far already (Xiong et al. 2021, ANCE,
arXiv:2007.00808). Some of the nearest belong to the query though nobody has said so. Flags leave
them out by their place or by how near they are, under the names that sentence-transformers'
`mine_hard_negatives` gives them; limits below the positive's cosine are those of de Souza P.
Moreira et al. 2024, NV-Retriever, arXiv:2407.15831.
"""

import dataclasses
from typing import Literal

import numpy as np

from roots_tf import program
from roots_tf.storage.files import InputError
from roots_tf.tasks.contrast_flags import MAX_NEGATIVES

_CELLS = 1 << 22  # of cosines that are held at once: 16 MB


@dataclasses.dataclass(frozen=True)
class MiningFlags:
    """Which of the nearest texts are taken."""

    num_negatives: int = program.flag(
        3, help="negatives of each row, at most", minimum=1, maximum=MAX_NEGATIVES
    )
    range_min: int = program.flag(
        0,
        help="nearest texts that are passed over, of those that are no positives: they may belong "
        "to the query, though nobody has said so",
        minimum=0,
        maximum=10_000,
    )
    range_max: int = program.flag(
        100, help="nearest texts that are looked at, those passed over among them", minimum=1,
        maximum=10_000,
    )  # fmt: skip
    absolute_margin: float | None = program.flag(
        None,
        help="how much farther than its row's positive a negative is at least, in cosine; not "
        "given: it may be nearer",
        minimum=0,
        maximum=2,
    )
    relative_margin: float | None = program.flag(
        None, help="the same as a share of the positive's cosine: 0.05", minimum=0, maximum=1
    )
    sampling_strategy: Literal["top", "random"] = program.flag(
        "top", help="which are taken of those that are left: the nearest, or any, by --seed"
    )
    seed: int = program.flag(0, help="of --sampling_strategy=random", **program.SEED)

    def check(self) -> None:
        """Refuses places among which there are fewer texts than are wanted.

        Raises:
            InputError: see above; or a seed is given and nothing is drawn.
        """
        if self.range_max < self.range_min + self.num_negatives:
            raise InputError(
                "flags-conflict",
                f"found range_min={self.range_min} and range_max={self.range_max}; wanted "
                f"range_max={self.range_min + self.num_negatives} at least, for num_negatives="
                f"{self.num_negatives}",
            )
        if self.seed and self.sampling_strategy == "top":
            raise InputError(
                "flags-conflict",
                f"found --seed={self.seed} and --sampling_strategy=top, which draws nothing; "
                "wanted --sampling_strategy=random, or no --seed",
            )


class Nearest:
    """The texts that are nearest to each of some queries, of a corpus that comes block by block.

    Equal texts are one, which stands where the first of them does. Of texts that are as near the
    first is taken. What is held does not grow with the corpus.

    Args:
        queries: unit vectors, float32 [Q, H].
        count: of texts that are kept for each query, K.
        pairs: queries that some texts are none for, integers [E].
        excluded: these texts, as `labelled.equal_texts.digests` gives them, uint64 [E].

    Attributes:
        cosines: float32 [Q, K], the nearest first; -inf where there are no more texts.
        places: int64 [Q, K] in the corpus, from 0; -1 where there are no more.
        seen: texts of the corpus so far.
    """

    def __init__(self, queries: np.ndarray, count: int, pairs: np.ndarray, excluded: np.ndarray):
        self._queries, self._pairs, self._excluded = queries, np.asarray(pairs), excluded
        self.cosines = np.full([len(queries), count], -np.inf, np.float32)
        self.places = np.full([len(queries), count], -1, np.int64)
        self._digests = np.zeros([len(queries), count], np.uint64)
        self.seen = 0

    def add(self, vectors: np.ndarray, digests: np.ndarray) -> None:
        """Takes the next texts of the corpus.

        Args:
            vectors: unit vectors, float32 [B, H].
            digests: of the texts, uint64 [B].
        """
        known, first = np.unique(digests, return_index=True)  # by digest, and where each is first
        places = first + self.seen
        self.seen += len(digests)
        at = np.minimum(np.searchsorted(known, self._excluded), len(known) - 1)
        is_here = known[at] == self._excluded
        pairs, columns = self._pairs[is_here], at[is_here]
        order = np.argsort(first)  # so that places rise along the columns
        column_of = np.argsort(order)
        table = vectors[first[order]].T  # [H, C]
        places, known, columns = places[order], known[order], column_of[columns]
        block = max(1, _CELLS // len(known))
        for begin in range(0, len(self._queries), block):
            rows = slice(begin, begin + block)
            cosines = self._queries[rows] @ table  # [rows, C]
            is_inside = (pairs >= begin) & (pairs < begin + block)
            cosines[pairs[is_inside] - begin, columns[is_inside]] = -np.inf
            near = _largest(cosines, self.cosines.shape[1])  # [rows, <= K]
            cosines = np.take_along_axis(cosines, near, 1)
            self._merge(rows, cosines, places[near], known[near])

    def _merge(self, rows: slice, cosines: np.ndarray, places: np.ndarray, digests: np.ndarray):
        """Keeps the nearest of what was kept and what is new, both [rows, ...]."""
        cosines = np.concatenate([self.cosines[rows], cosines], 1)
        places = np.concatenate([self.places[rows], places], 1)
        digests = np.concatenate([self._digests[rows], digests], 1)
        by_text = np.lexsort((places, digests))  # equal texts side by side, the first one first
        ordered = np.take_along_axis(digests, by_text, 1)
        is_again = np.zeros(ordered.shape, bool)
        is_again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
        again = np.zeros(ordered.shape, bool)
        np.put_along_axis(again, by_text, is_again, 1)
        cosines[again] = -np.inf
        best = np.lexsort((places, -cosines))[:, : self.cosines.shape[1]]
        self.cosines[rows] = np.take_along_axis(cosines, best, 1)
        is_none = np.isneginf(self.cosines[rows])
        self.places[rows] = np.where(is_none, -1, np.take_along_axis(places, best, 1))
        self._digests[rows] = np.where(is_none, 0, np.take_along_axis(digests, best, 1))

    def chosen(self, numbers: np.ndarray, positives: np.ndarray, flags: MiningFlags) -> np.ndarray:
        """Places of the negatives of each row, the nearest first: int64 [R, num_negatives].

        Args:
            numbers: of the query of each row, integers [R].
            positives: cosine of each row's query and positive, float [R].
            flags: which are taken; as many as `range_max` must have been kept.

        Returns:
            -1 where a row has no more.
        """
        found = np.full([len(numbers), flags.num_negatives], -1, np.int64)
        looked_at = slice(flags.range_min, flags.range_max)
        for row, (number, positive) in enumerate(zip(numbers, positives, strict=True)):
            cosines, places = self.cosines[number, looked_at], self.places[number, looked_at]
            limit = np.inf
            if flags.absolute_margin is not None:
                limit = positive - flags.absolute_margin
            if flags.relative_margin is not None:
                limit = min(limit, positive - abs(positive) * flags.relative_margin)
            left = places[(places >= 0) & (cosines <= limit)]
            if flags.sampling_strategy == "random":
                chance = np.random.default_rng([flags.seed % (1 << 64), row])
                left = left[np.sort(chance.permutation(len(left))[: flags.num_negatives])]
            left = left[: flags.num_negatives]
            found[row, : len(left)] = left
        return found


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Columns of the `count` largest of each row, or of all; of equal ones the first.

    >>> _largest(np.array([[3, 1, 3, 2, 3]]), 2)
    array([[0, 2]])

    Args:
        values: [R, C].
        count: of columns.

    Returns:
        int64 [R, count], rising.
    """
    rows, columns = values.shape
    count = min(count, columns)
    limit = np.partition(values, columns - count, 1)[:, columns - count, None]  # [R, 1]
    room = count - (values > limit).sum(1, keepdims=True)
    is_last = values == limit
    chosen = (values > limit) | (is_last & (np.cumsum(is_last, 1, dtype=np.int32) <= room))
    return np.nonzero(chosen)[1].reshape(rows, count)

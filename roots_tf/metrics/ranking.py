"""How far up a search finds what is relevant to a query: recall, reciprocal rank, nDCG."""

from collections.abc import Sequence

import numpy as np

RECALLS = (1, 10, 100)
GAINS = 10  # places that nDCG looks at


def ranks(cosines: np.ndarray, relevant: Sequence[int]) -> np.ndarray:
    """Places of the relevant texts of one query, from 1, the best one first.

    Where another text is as near as a relevant one, the relevant one comes behind it.

    >>> ranks(np.array([0.9, 0.1, 0.5, 0.5]), [2, 0])
    array([1, 3])

    Args:
        cosines: of the query with each text of the corpus, float [texts].
        relevant: places of texts in the corpus, each once, at least one.
    """
    own = np.sort(cosines[list(relevant)])[::-1]
    others = np.sort(np.delete(cosines, list(relevant)))
    nearer = len(others) - np.searchsorted(others, own, side="left")
    return nearer + np.arange(1, len(own) + 1)


def scores(of_queries: Sequence[np.ndarray]) -> dict[str, float]:
    """Means over queries of `recall@1`, `@10`, `@100`, `mean_reciprocal_rank` and `ndcg@10`.

    Recall is the share of a query's relevant texts among the first so many; the reciprocal rank is
    that of the first relevant one; nDCG has gains of 1 (Järvelin & Kekäläinen 2002).

    Args:
        of_queries: of each query what `ranks` gives.
    """
    found = {f"recall@{k}": np.mean([np.mean(r <= k) for r in of_queries]) for k in RECALLS}
    found["mean_reciprocal_rank"] = np.mean([1 / r[0] for r in of_queries])
    discounts = 1 / np.log2(1 + np.arange(1, GAINS + 1))
    gains = [discounts[r[r <= GAINS] - 1].sum() / discounts[: len(r)].sum() for r in of_queries]
    found[f"ndcg@{GAINS}"] = np.mean(gains)
    return {name: float(value) for name, value in found.items()}

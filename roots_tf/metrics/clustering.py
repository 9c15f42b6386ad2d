"""How well groups that vectors fall into go with labels that they were made without."""

import warnings
from collections.abc import Sequence

import numpy as np

STARTS = 10  # of k-means, of which the closest fit is taken


def k_means(vectors: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The cluster of each vector, by k-means (Lloyd 1982) from starts by k-means++.

    Args:
        vectors: float [B, H].
        count: of the clusters, at most B.
        seed: of the starts; one seed gives the same clusters, whatever the number of processors.

    Returns:
        int32 [B], from 0; fewer clusters where fewer vectors differ.
    """
    import threadpoolctl
    from sklearn.cluster import KMeans  # a second, where it is needed
    from sklearn.exceptions import ConvergenceWarning

    # Threads would add up the parts of a mean in the order in which they end.
    with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer vectors differ
        learner = KMeans(count, n_init=STARTS, random_state=seed % (1 << 32))
        return learner.fit_predict(np.asarray(vectors, np.float64))


def scores(labels: Sequence[str], clusters: Sequence[int]) -> dict[str, float]:
    """Purity and V-measure of clusters, all from 0 to 1.

    >>> scores(["a", "a", "b", "b"], [0, 0, 1, 0])["purity"]
    0.75

    `purity` is the share of the texts that have the most frequent label of their cluster (Manning
    et al. 2008, Introduction to Information Retrieval, section 16.3); `most_frequent_label` is the
    purity of one cluster. `v_measure` is the harmonic mean of `homogeneity`, how far a cluster has
    one label, and `completeness`, how far a label is in one cluster (Rosenberg & Hirschberg 2007);
    it is the mutual information of both, normalised by the mean of their entropies.

    Args:
        labels: of each text.
        clusters: of each text.
    """
    from sklearn.metrics import homogeneity_completeness_v_measure

    _, rows = np.unique(np.asarray(labels), return_inverse=True)
    _, columns = np.unique(np.asarray(clusters), return_inverse=True)
    counts = np.zeros([rows.max() + 1, columns.max() + 1], np.int64)  # [labels, clusters]
    np.add.at(counts, (rows, columns), 1)
    homogeneity, completeness, v_measure = homogeneity_completeness_v_measure(rows, columns)
    found = {
        "purity": counts.max(0).sum() / counts.sum(),
        "most_frequent_label": counts.sum(1).max() / counts.sum(),
        "v_measure": v_measure,
        "homogeneity": homogeneity,
        "completeness": completeness,
    }
    return {name: float(value) for name, value in found.items()}

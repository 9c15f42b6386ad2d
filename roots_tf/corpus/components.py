"""Clusters of similar pairs that lie on disk, in bounded memory: who belongs together, who is kept.

Parts are ranges of shards. In a round each part is given all pairs that a document of its own is
in, joins what hangs together there to a star, every document with the smallest of them, and hands
the stars on. Rounds end when none changes: then each star is a component (after Kiveris et al.
2014, "Connected Components in MapReduce and Beyond", where stars are joined likewise). One part, up
to two million pairs, needs one round. `S` stands for a shard, `P` for a part, `R` for a round:

    edges-S       similar pairs both ways, sorted; see `clusters`
    stars-R-P     [document, neighbour] of the stars, both ways, sorted
    described-P   the root, number, length and id of each document of the part, sorted by the root
    gone-P        documents to drop, and whether one of an earlier run is the reason; sorted
    dropped-S, of_earlier-S
"""

import collections
import itertools
from collections.abc import Callable

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

from roots_tf.corpus import exchange, shard_rows, shingles

ROWS_IN_MEMORY = 4_000_000  # pairs both ways that a part is given, at some 60 bytes each
SAMPLES = 20  # clusters for the report
SAMPLE_DOCUMENTS = 4  # of a cluster, the one that is kept first


def find(stage: Callable[..., list], work: str, shards: int, own: int, pairs: int) -> dict:
    """Clusters the pairs of all shards and writes what to drop.

    Args:
        stage: runs a stage: its name, its function and the tasks.
        work: folder of the files in between.
        shards: number of shards.
        own: how many of them are not of earlier runs.
        pairs: number of the edges.

    Returns:
        `clusters` (their number), their `sizes`, `dropped_documents`, `seconds`, and `samples`: a
        few clusters, those of lowest id, each as the numbers of a few documents, the kept one
        first.
    """
    parts = min(max(-(-2 * pairs // ROWS_IN_MEMORY), 1), shards)
    border = _borders(shards)
    stem, way, before, seconds = "edges", exchange.route(shards, parts), None, 0.0
    for number in itertools.count():
        seconds += exchange.merge(stage, work, stem, way, border)
        joined = stage(
            f"join {number}",
            join,
            [(work, stem, list(way), part, shards, f"stars-{number:05d}") for part in range(parts)],
        )
        seconds += sum(result["seconds"] for result in joined)
        stem, way = f"stars-{number:05d}", exchange.route(parts, parts)
        digits = [result["digits"] for result in joined]
        if parts == 1 or digits == before:
            break
        before = digits
    described = stage("describe", describe, [(work, stem, parts, p, shards) for p in range(parts)])
    seconds += exchange.merge(stage, work, "described", way, border)
    chosen = stage("choose", choose, [(work, list(way), p, shards, own) for p in range(parts)])
    back = exchange.route(parts, shards)
    seconds += exchange.merge(stage, work, "gone", back, exchange.by_shard)
    gone = stage("drop", drop, [(work, list(back), shard) for shard in range(own)])
    sizes = collections.Counter()
    for result in chosen:
        sizes.update({int(size): count for size, count in result["sizes"].items()})
    samples = sorted(sample for result in chosen for sample in result["samples"])[:SAMPLES]
    return {
        "clusters": sizes.total(),
        "sizes": {str(size): sizes[size] for size in sorted(sizes)},
        "dropped_documents": sum(result["documents"] for result in gone),
        "samples": [numbers for _, numbers in samples],
        "seconds": seconds + sum(r["seconds"] for r in [*described, *chosen, *gone]),
    }


def _borders(shards: int) -> Callable[[int, int], int]:
    """The lowest number of a document in a part, of a number of parts; of the end 2^64."""
    return lambda part, parts: exchange.by_shard(part * shards // parts, shards)


def connected(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Connected components of a graph.

        [[1, 5, 2], [2, 6, 9]]  ->  [1, 2, 5, 6, 9], [0, 0, 1, 1, 0]

    Args:
        pairs: edges [2, P].

    Returns:
        The numbers that are in a pair, ascending, and for each the label of its component.
    """
    numbers, places = np.unique(pairs, return_inverse=True)
    a, b = places.reshape(pairs.shape)
    graph = scipy.sparse.coo_array((np.ones(len(a), bool), (a, b)), [len(numbers)] * 2)
    return numbers, scipy.sparse.csgraph.connected_components(graph, directed=False)[1]


def stars(pairs: np.ndarray) -> np.ndarray:
    """The fewest pairs that connect the same numbers, each with its component's smallest one.

        [[1, 5, 2], [2, 6, 9]]  ->  [[2, 1], [6, 5], [9, 1]]

    Args:
        pairs: edges [2, P].
    """
    numbers, labels = connected(pairs)
    roots = numbers[np.unique(labels, return_index=True)[1]][labels]
    return np.stack([numbers, roots], axis=1)[roots != numbers]


def both_ways(edges: np.ndarray) -> np.ndarray:
    """Edges [E, 2] and the same turned round, sorted."""
    edges = np.concatenate([edges, edges[:, ::-1]])
    return edges[np.lexsort(edges.T[::-1])]


@shard_rows.timed
def join(work: str, stem: str, way: list, part: int, shards: int, output: str) -> dict:
    """Joins what hangs together among the pairs of a part; a round's task.

    Args:
        work: folder of the files in between.
        stem: the beginning of the names of the pairs' files.
        way: the `exchange.Route` from these to parts.
        part: its number.
        shards: number of shards.
        output: the beginning of the name of the stars' file.

    Returns:
        `digits` that change when the stars do.
    """
    way = exchange.Route(*way)
    ends = [_borders(shards)(end, way.targets) for end in (part, part + 1)]
    edges = stars(exchange.gathered(work, stem, way, way.levels, part, *ends).T)
    shard_rows.save(shard_rows.name(work, output, part), both_ways(edges))
    digits = shingles.mix(edges[:, 0] ^ shingles.mix(edges[:, 1])).sum(dtype=np.uint64)
    return {"digits": int(digits)}


@shard_rows.timed
def describe(work: str, stem: str, parts: int, part: int, shards: int) -> dict:
    """Writes what decides who is kept, of the documents of a part; a stage's task.

    Args:
        work: folder of the files in between.
        stem: the beginning of the names of the stars' files.
        parts: number of parts.
        part: number of this one.
        shards: number of shards.
    """
    low, high = (_borders(shards)(end, parts) for end in (part, part + 1))
    edges = exchange.rows_between(shard_rows.name(work, stem, part), low, high)
    numbers, firsts = np.unique(edges[:, 0], return_index=True)
    roots = np.minimum(
        numbers, np.minimum.reduceat(edges[:, 1], firsts) if len(firsts) else numbers
    )
    rows = np.zeros((len(numbers), 5), np.uint64)
    rows[:, 0], rows[:, 1] = roots, numbers
    for shard in np.unique(numbers >> np.uint64(32)).tolist():
        here = slice(*np.searchsorted(numbers >> np.uint64(32), (shard, shard + 1)))
        known = shard_rows.load(shard_rows.name(work, "numbers", shard))
        members = shard_rows.load(shard_rows.name(work, "members", shard))
        found = members[np.searchsorted(known, numbers[here])]
        rows[here, 2] = found["chars"]
        rows[here, 3:] = [(int(i[:16], 16), int(i[16:], 16)) for i in found["id"].tolist()]
    shard_rows.save(
        shard_rows.name(work, "described", part), rows[np.argsort(roots, kind="stable")]
    )
    return {"documents": len(rows)}


@shard_rows.timed
def choose(work: str, way: list, part: int, shards: int, own: int) -> dict:
    """Chooses whom the clusters keep whose root is in a part; a stage's task.

    Args:
        work: folder of the files in between.
        way: the `exchange.Route` between parts.
        part: number of the part.
        shards: number of shards.
        own: how many of them are not of earlier runs.

    Returns:
        `sizes` of the clusters and their numbers; `samples`: [id, numbers of documents].
    """
    way = exchange.Route(*way)
    ends = [_borders(shards)(end, way.targets) for end in (part, part + 1)]
    rows = exchange.gathered(work, "described", way, way.levels, part, *ends)
    roots, numbers, chars, high, low = rows.T
    is_own = numbers < exchange.by_shard(own, shards)
    order = np.lexsort((low, high, ~chars, is_own, roots))  # of each cluster the kept one first
    rows, is_own = rows[order], is_own[order]
    kept = np.append(True, rows[1:, 0] != rows[:-1, 0])[: len(rows)]
    firsts = np.flatnonzero(kept)
    sizes = np.diff(firsts, append=len(rows))
    of_earlier = np.repeat(~is_own[firsts], sizes)
    goes = ~kept & is_own
    gone = np.stack([rows[:, 1], of_earlier.astype(np.uint64)], axis=1)[goes]
    shard_rows.save(shard_rows.name(work, "gone", part), gone[np.argsort(gone[:, 0])])
    lowest = np.lexsort((rows[firsts, 4], rows[firsts, 3]))[:SAMPLES]  # an id is a hash
    counts = zip(*np.unique(sizes, return_counts=True), strict=True)
    return {
        "sizes": {str(size): int(count) for size, count in counts},
        "samples": [
            [
                f"{rows[first, 3]:016x}{rows[first, 4]:016x}",
                rows[first : first + min(size, SAMPLE_DOCUMENTS), 1].tolist(),
            ]
            for first, size in zip(firsts[lowest], sizes[lowest], strict=True)
        ],
    }


@shard_rows.timed
def drop(work: str, way: list, shard: int) -> dict:
    """Writes which rows of a shard are dropped; a stage's task.

    Args:
        work: folder of the files in between.
        way: the `exchange.Route` from parts to shards.
        shard: number of the shard.
    """
    way = exchange.Route(*way)
    ends = (exchange.by_shard(end, way.targets) for end in (shard, shard + 1))
    gone = exchange.gathered(work, "gone", way, way.levels, shard, *ends)
    rows = gone[:, 0].astype(np.uint32)  # the lower half
    shard_rows.save(shard_rows.name(work, "dropped", shard), rows)
    shard_rows.save(shard_rows.name(work, "of_earlier", shard), rows[gone[:, 1] > 0])
    return {"documents": len(rows)}

"""Candidate pairs verified by exact Jaccard similarity, clustered, and all but one dropped.

Only documents of candidate pairs have their n-grams written; a pair reads those of both from the
files of their shards, by memory map. Files, beside those of `near_duplicates`:

    numbers-S    of the candidates in the shard, ascending
    members-S    of each of them: id, length, where its n-grams are
    sets-S       the n-grams' hashes of one candidate after the other, sorted, each once; raw
    edges-S      similar pairs whose first document is in the shard; no more than are needed to
                 connect the same documents
    dropped-S    the rows of the shard to drop
"""

import bisect
import collections
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

from roots_tf.corpus import shard_rows, shingles
from roots_tf.storage import files

SAMPLES = 20  # clusters for the report
SAMPLE_DOCUMENTS = 4  # of a cluster, the one that is kept first
SAMPLE_CHARS = 2000

_MEMBER = np.dtype([("id", "S32"), ("chars", "<u8"), ("start", "<u8"), ("end", "<u8")])


def find(
    unique: list[str], ngram: int, min_jaccard: float, work: str, stage: Callable[..., list]
) -> dict:
    """Verifies the candidates of `near_duplicates.collect`, clusters them and chooses.

    A cluster is a set of documents connected by similar pairs. Its longest document is kept; of
    several that are longest, the one with the smallest id. Two documents of a cluster need not be
    similar: windows of a book that overlap by half make one cluster of the whole book.

    Args:
        unique: Arrow files of the shards.
        ngram: words in an n-gram.
        min_jaccard: similarity from which two documents are near duplicates.
        work: folder of the files in between.
        stage: runs a stage: its name, its function and the tasks.

    Returns:
        `dropped`: a file a shard. `dropped_documents`, `candidate_pairs`, `verified_pairs`,
        `clusters`, `cluster_sizes` (documents: clusters), `jaccard` (of candidates, hundredths
        rounded down: pairs), `limits` (lowest and highest similarity kept) and `samples`.
    """
    shards = len(unique)
    written = stage(
        "n-grams", write_sets, [(p, s, shards, ngram, work) for s, p in enumerate(unique)]
    )
    verified = stage("verify", verify, [(work, shard, min_jaccard) for shard in range(shards)])
    (clustered,) = stage("cluster", cluster, [(work, shards)])
    (shown,) = stage("samples", show, [(unique, work, clustered["samples"])])
    histogram = collections.Counter()
    for result in verified:
        histogram.update(result["jaccard"])
    return {
        "dropped": [shard_rows.name(work, "dropped", shard) for shard in range(shards)],
        "dropped_documents": clustered["dropped_documents"],
        "candidate_pairs": sum(result["pairs"] for result in verified),
        "verified_pairs": sum(result["verified"] for result in verified),
        "clusters": clustered["clusters"],
        "cluster_sizes": clustered["sizes"],
        "jaccard": dict(sorted(histogram.items())),
        "limits": {"jaccard": [0, min_jaccard]},
        "samples": shown["samples"],
        "seconds": sum(r["seconds"] for r in [*written, *verified, clustered, shown]),
    }


@shard_rows.timed
def write_sets(unique: str, shard: int, shards: int, ngram: int, work: str) -> dict:
    """Writes the n-grams of those documents of a shard that are in a pair; a stage's task.

    Args:
        unique: Arrow file of the shard.
        shard: its number.
        shards: number of all.
        ngram: words in an n-gram.
        work: folder of the files in between.
    """
    start, end = shard_rows.load(shard_rows.name(work, "starts"))[shard : shard + 2]
    wanted = [shard_rows.load(shard_rows.name(work, "candidates", shard))[0]]
    for other in range(shards):
        partners = shard_rows.load(shard_rows.name(work, "partners", other))
        wanted.append(partners[slice(*np.searchsorted(partners, (start, end)))])
    wanted = np.unique(np.concatenate(wanted))
    members, written = np.zeros(len(wanted), _MEMBER), 0
    picked = shard_rows.pick(unique, wanted - start, ["id", "text"])
    with files.atomic_path(_sets(work, shard)) as temporary, temporary.open("wb") as file:
        for places, (identifiers, texts) in picked:
            members["id"][places] = identifiers
            members["chars"][places] = [len(text) for text in texts]
            grams, offsets = shingles.ngram_hashes(*shingles.word_hashes(texts), ngram)
            for place, begin, end in zip(places, offsets, offsets[1:], strict=False):
                once = np.unique(grams[begin:end])
                file.write(once.tobytes())
                members["start"][place] = written
                members["end"][place] = written = written + len(once)
    shard_rows.save(shard_rows.name(work, "numbers", shard), wanted)
    shard_rows.save(shard_rows.name(work, "members", shard), members)
    return {"documents": len(members)}


def _sets(work: str, shard: int) -> Path:
    return Path(work, f"sets-{shard:05d}.u64")


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """Jaccard similarity of two sets: elements in both, over elements in at least one.

    >>> jaccard(np.array([1, 2, 3]), np.array([2, 3, 4]))
    0.5

    Args:
        a: elements, ascending, each once.
        b: likewise.
    """
    small, large = (a, b) if len(a) < len(b) else (b, a)
    places = large.searchsorted(small)
    places[places == len(large)] = 0
    both = int(np.count_nonzero(large[places] == small)) if len(large) else 0
    return both / max(len(a) + len(b) - both, 1)


class _Candidates:
    """The n-grams of candidates, by number of the document."""

    def __init__(self, work: str):
        self._work = work
        self._starts = shard_rows.load(shard_rows.name(work, "starts")).tolist()
        self._open: dict[int, tuple] = {}

    def members(self, shard: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of a shard's candidates: their numbers, their records, and all their n-grams."""
        if shard not in self._open:
            numbers, members = (
                np.asarray(shard_rows.load(shard_rows.name(self._work, stem, shard)))
                for stem in ("numbers", "members")
            )
            sets = np.memmap(_sets(self._work, shard), np.uint64, "r") if len(members) else []
            self._open[shard] = numbers, members, np.asarray(sets, np.uint64)
        return self._open[shard]

    def __getitem__(self, number: int) -> np.ndarray:
        numbers, members, sets = self.members(bisect.bisect_right(self._starts, number) - 1)
        _, _, start, end = members[numbers.searchsorted(np.uint64(number))].item()
        return sets[start:end]


@shard_rows.timed
def verify(work: str, shard: int, min_jaccard: float) -> dict:
    """Keeps the similar pairs among those whose first document is in a shard; a stage's task.

    Args:
        work: folder of the files in between.
        shard: number of the shard.
        min_jaccard: lowest similarity that is kept.

    Returns:
        `pairs`, `verified` (those that are kept) and `jaccard`: number of pairs by similarity.
    """
    pairs = shard_rows.load(shard_rows.name(work, "candidates", shard))
    sets, first, histogram = _Candidates(work), None, collections.Counter()
    similar = np.zeros(pairs.shape[1], bool)
    for index, (a, b) in enumerate(pairs.T.tolist()):
        if a != first:
            first, grams = a, np.array(sets[a])
        similarity = jaccard(grams, sets[b])
        similar[index] = similarity >= min_jaccard
        histogram[f"{int(similarity * 100 + 1e-9) / 100:.2f}"] += 1
    shard_rows.save(shard_rows.name(work, "edges", shard), _forest(pairs[:, similar]))
    return {"pairs": len(similar), "verified": int(similar.sum()), "jaccard": dict(histogram)}


def components(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def _forest(pairs: np.ndarray) -> np.ndarray:
    """The fewest pairs that connect the same numbers: each number with its component's smallest."""
    numbers, labels = components(pairs)
    firsts = numbers[np.unique(labels, return_index=True)[1]][labels]
    return np.stack([firsts, numbers])[:, firsts != numbers]


@shard_rows.timed
def cluster(work: str, shards: int) -> dict:
    """Clusters the similar pairs of all shards and writes what to drop; a stage of one task.

    Holds some 100 bytes for each document that has a near duplicate.

    Args:
        work: folder of the files in between.
        shards: number of shards.

    Returns:
        `clusters` (their number), their `sizes`, `dropped_documents` and `samples`: a few clusters,
        those of lowest hash, each as the numbers of a few documents, the kept one first.
    """
    edges = [shard_rows.load(shard_rows.name(work, "edges", shard)) for shard in range(shards)]
    numbers, labels = components(np.concatenate(edges, axis=1))
    starts, sets = shard_rows.load(shard_rows.name(work, "starts")), _Candidates(work)
    chars, identifiers = np.zeros(len(numbers), np.int64), np.zeros(len(numbers), "S32")
    borders = np.searchsorted(numbers, starts)
    for shard in range(shards):
        here = slice(*borders[shard : shard + 2])
        known, members, _ = sets.members(shard)
        places = np.searchsorted(known, numbers[here])
        chars[here], identifiers[here] = members["chars"][places], members["id"][places]
    order = np.lexsort((identifiers, -chars, labels))  # of each cluster the kept one first
    kept = np.ones(len(order), bool)
    kept[1:] = labels[order][1:] != labels[order][:-1]
    dropped = np.sort(numbers[order][~kept])
    for shard in range(shards):
        begin, end = np.searchsorted(dropped, starts[shard : shard + 2])
        here = (dropped[begin:end] - starts[shard]).astype(np.uint32)
        shard_rows.save(shard_rows.name(work, "dropped", shard), here)
    firsts = np.flatnonzero(kept)
    sizes = np.diff(firsts, append=len(order))
    lowest = np.argsort(identifiers[order][firsts], kind="stable")[:SAMPLES]  # an id is a hash
    samples = [
        numbers[order][firsts[i] : firsts[i] + min(sizes[i], SAMPLE_DOCUMENTS)].tolist()
        for i in lowest
    ]
    counts = zip(*np.unique(sizes, return_counts=True), strict=True)
    return {
        "clusters": len(firsts),
        "sizes": {str(size): int(count) for size, count in counts},
        "dropped_documents": len(dropped),
        "samples": samples,
    }


@shard_rows.timed
def show(unique: list[str], work: str, samples: list[list[int]]) -> dict:
    """Reads the texts of the sampled clusters; a stage of one task.

    Returns:
        `samples`: for each cluster its documents, in the same order, as `id`, `source`, the head of
        `text` and the similarity to the first, `jaccard`.
    """
    sets, starts = _Candidates(work), shard_rows.load(shard_rows.name(work, "starts"))
    wanted = np.array(sorted(number for sample in samples for number in sample), np.uint64)
    shown = {}
    for shard, path in enumerate(unique):
        numbers = wanted[slice(*np.searchsorted(wanted, starts[shard : shard + 2]))]
        for places, columns in shard_rows.pick(
            path, numbers - starts[shard], ["id", "source", "text"]
        ):
            for number, *values, text in zip(numbers[places].tolist(), *columns, strict=True):
                shown[number] = {"id": values[0], "source": values[1], "text": text[:SAMPLE_CHARS]}
    return {
        "samples": [
            [
                {**shown[number], "jaccard": round(jaccard(sets[sample[0]], sets[number]), 3)}
                for number in sample
            ]
            for sample in samples
        ]
    }

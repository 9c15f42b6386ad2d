"""Candidate pairs verified by exact Jaccard similarity, and what `components` makes of them shown.

Only documents of candidate pairs have their n-grams written. Those of a pair's second document are
sent to the shard of the first one, in the order of their numbers, so that nobody opens the files of
many shards (`exchange`). Files, beside those of `near_duplicates`:

    numbers-S    of the candidates in the shard, ascending
    members-S    of each of them: id, length, where its n-grams are
    sets-S       the n-grams' hashes of one candidate after the other, sorted, each once; raw
    sent-S       n-grams of candidates in the shard, for the shards that have a pair of them
    edges-S      similar pairs whose first document is in the shard, both ways, sorted; no more
                 than are needed to connect the same documents
"""

import collections
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.compute

from roots_tf.corpus import components, exchange, shard_rows, shingles
from roots_tf.storage import files

SAMPLE_CHARS = 2000

SENT = pyarrow.schema(
    [("target", pyarrow.uint32()), ("number", pyarrow.uint64()), ("grams", pyarrow.large_binary())]
)
SENT_BYTES = 4_000_000  # of n-grams in a record batch
_MEMBER = np.dtype([("id", "S32"), ("chars", "<u8"), ("start", "<u8"), ("end", "<u8")])


def find(
    unique: list[str],
    own: int,
    ngram: int,
    min_jaccard: float,
    work: str,
    stage: Callable[..., list],
) -> dict:
    """Verifies the candidates of `near_duplicates.collect`, clusters them and chooses.

    A cluster is a set of documents connected by similar pairs. Its longest document is kept; of
    several that are longest, the one with the smallest id. Two documents of a cluster need not be
    similar: windows of a book that overlap by half make one cluster of the whole book. Of a cluster
    with documents of earlier runs all others are dropped.

    Args:
        unique: files of the shards; after the own ones those of earlier runs.
        own: how many are not of earlier runs.
        ngram: words in an n-gram.
        min_jaccard: similarity from which two documents are near duplicates.
        work: folder of the files in between.
        stage: runs a stage: its name, its function and the tasks.

    Returns:
        `dropped` and `of_earlier`: a file a shard. `dropped_documents`, `candidate_pairs`,
        `verified_pairs`, `clusters`, `cluster_sizes` (documents: clusters), `jaccard` (of
        candidates, hundredths rounded down: pairs), `limits` (lowest and highest similarity kept)
        and `samples`.
    """
    shards = len(unique)
    way = exchange.route(shards, shards)
    seconds = exchange.merge(stage, work, "partners", way, exchange.by_shard)
    tasks = [(path, shard, list(way), ngram, work) for shard, path in enumerate(unique)]
    written = stage("n-grams", write_sets, tasks)
    forget = exchange.forgetter(work, "sent", way)
    seconds += exchange.run(stage, exchange.split_batches, way, forget, lambda *_: (work, "sent"))
    tasks = [(work, list(way), shard, min_jaccard) for shard in range(shards)]
    verified = stage("verify", verify, tasks)
    for shard in range(shards):
        forget(way.levels, -1, shard)
    edges = sum(result["edges"] for result in verified) // 2
    clustered = components.find(stage, work, shards, own, edges)
    (shown,) = stage("samples", show, [(unique, work, clustered["samples"])])
    histogram = collections.Counter()
    for result in verified:
        histogram.update(result["jaccard"])
    return {
        "dropped": [shard_rows.name(work, "dropped", shard) for shard in range(own)],
        "of_earlier": [shard_rows.name(work, "of_earlier", shard) for shard in range(own)],
        "dropped_documents": clustered["dropped_documents"],
        "candidate_pairs": sum(result["pairs"] for result in verified),
        "verified_pairs": sum(result["verified"] for result in verified),
        "clusters": clustered["clusters"],
        "cluster_sizes": clustered["sizes"],
        "jaccard": dict(sorted(histogram.items())),
        "limits": {"jaccard": [0, min_jaccard]},
        "samples": shown["samples"],
        "seconds": seconds + sum(r["seconds"] for r in [*written, *verified, clustered, shown]),
    }


@shard_rows.timed
def write_sets(unique: str, shard: int, way: list, ngram: int, work: str) -> dict:
    """Writes the n-grams of those documents of a shard that are in a pair; a stage's task.

    Args:
        unique: Arrow file of the shard.
        shard: its number.
        way: the `exchange.Route` between shards.
        ngram: words in an n-gram.
        work: folder of the files in between.
    """
    way, start = exchange.Route(*way), shard_rows.number_of(shard, 0)
    ends = (exchange.by_shard(end, way.targets) for end in (shard, shard + 1))
    asked = exchange.gathered(work, "partners", way, way.levels, shard, *ends)
    asked = asked[asked[:, 1] != shard]
    firsts, seconds = shard_rows.load(shard_rows.name(work, "candidates", shard))
    own = seconds[seconds >> np.uint64(32) == shard]
    wanted = np.unique(np.concatenate([firsts, own, asked[:, 0]]))
    members, written = np.zeros(len(wanted), _MEMBER), 0
    picked = shard_rows.pick(unique, wanted - np.uint64(start), ["id", "text"])
    with (
        files.atomic_path(_sets(work, shard)) as temporary,
        temporary.open("wb") as file,
        files.atomic_path(exchange.path(work, "sent", ".arrow", shard)) as sent,
        exchange.BatchWriter(sent, SENT, way.buckets(1)) as writer,
    ):
        for places, (identifiers, texts) in picked:
            members["id"][places] = identifiers
            members["chars"][places] = [len(text) for text in texts]
            grams, offsets = shingles.ngram_hashes(*shingles.word_hashes(texts), ngram)
            sets = [
                np.unique(grams[begin:end]).tobytes() for begin, end in itertools.pairwise(offsets)
            ]
            for place, once in zip(places, sets, strict=True):
                file.write(once)
                members["start"][place] = written
                members["end"][place] = written = written + len(once) // 8
            _send(
                writer, asked, dict(zip(wanted[places].tolist(), sets, strict=True)), way.width(1)
            )
    shard_rows.save(shard_rows.name(work, "numbers", shard), wanted)
    shard_rows.save(shard_rows.name(work, "members", shard), members)
    return {"documents": len(members)}


def _send(writer: exchange.BatchWriter, asked: np.ndarray, sets: dict, width: int) -> None:
    """Writes n-grams of some documents for the shards that ask for them.

    Args:
        writer: of the file.
        asked: [document, shard], ascending.
        sets: n-grams as bytes, by document, ascending.
        width: shards of a group.
    """
    begin, end = np.searchsorted(asked[:, 0], (min(sets), max(sets) + 1))
    rows, num_bytes = [], 0
    for number, target in asked[begin:end].tolist():
        rows.append((target, number, sets[number]))
        num_bytes += len(sets[number])
        if num_bytes >= SENT_BYTES:
            _add(writer, rows, width)
            rows, num_bytes = [], 0
    if rows:
        _add(writer, rows, width)


def _add(writer: exchange.BatchWriter, rows: list[tuple], width: int) -> None:
    columns = [
        pyarrow.array(values, field.type)
        for values, field in zip(zip(*rows, strict=True), SENT, strict=True)
    ]
    targets = np.array([target for target, _, _ in rows])
    writer.add(pyarrow.record_batch(columns, schema=SENT), targets // width)


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
    """The n-grams of a shard's candidates, by number of the document."""

    def __init__(self, work: str, shard: int):
        self.numbers, self.members = (
            np.array(shard_rows.load(shard_rows.name(work, stem, shard)))
            for stem in ("numbers", "members")
        )
        sets = np.memmap(_sets(work, shard), np.uint64, "r") if len(self.members) else []
        self._sets = np.asarray(sets, np.uint64)

    def __getitem__(self, number: int) -> np.ndarray:
        _, _, start, end = self.members[self.numbers.searchsorted(np.uint64(number))].item()
        return self._sets[start:end]


@shard_rows.timed
def verify(work: str, way: list, shard: int, min_jaccard: float) -> dict:
    """Keeps the similar pairs among those whose first document is in a shard; a stage's task.

    Args:
        work: folder of the files in between.
        way: the `exchange.Route` between shards.
        shard: number of the shard.
        min_jaccard: lowest similarity that is kept.

    Returns:
        `pairs`, `verified` (those that are kept), `edges` both ways, and `jaccard`: number of
        pairs by similarity.
    """
    pairs = shard_rows.load(shard_rows.name(work, "candidates", shard))
    order = np.lexsort(pairs)  # by the second document: in this order n-grams come
    seconds = np.array(pairs[1])[order]
    firsts, sets = np.array(pairs[0]).tolist(), _Candidates(work, shard)
    similarities = np.full(len(order), -1.0)

    def compare(number: int, grams: np.ndarray) -> None:
        for place in order[slice(*np.searchsorted(seconds, (number, number + 1)))].tolist():
            similarities[place] = jaccard(sets[firsts[place]], grams)

    for number in np.unique(seconds[seconds >> np.uint64(32) == shard]).tolist():
        compare(number, sets[number])
    way = exchange.Route(*way)
    for batch in exchange.batches(work, "sent", way, way.levels, shard):
        batch = batch.filter(pyarrow.compute.equal(batch["target"], shard))
        for number, grams in zip(batch["number"].to_pylist(), batch["grams"], strict=True):
            compare(number, np.frombuffer(grams.as_buffer(), np.uint64))
    if (similarities < 0).any():
        raise RuntimeError(f"n-grams of {(similarities < 0).sum()} pairs did not come to {shard}")
    similar = similarities >= min_jaccard
    hundredths = (similarities * 100 + 1e-9).astype(int)
    histogram = collections.Counter(f"{value / 100:.2f}" for value in hundredths.tolist())
    edges = components.both_ways(components.stars(pairs[:, similar]))
    shard_rows.save(shard_rows.name(work, "edges", shard), edges)
    return {
        "pairs": len(similar),
        "verified": int(similar.sum()),
        "jaccard": dict(histogram),
        "edges": len(edges),
    }


@shard_rows.timed
def show(unique: list[str], work: str, samples: list[list[int]]) -> dict:
    """Reads the texts of the sampled clusters; a stage of one task.

    Returns:
        `samples`: for each cluster its documents, in the same order, as `id`, `source`, the head of
        `text` and the similarity to the first, `jaccard`.
    """
    by_shard = collections.defaultdict(list)
    for number in sorted(number for sample in samples for number in sample):
        by_shard[number >> 32].append(number)
    shown, sets = {}, {}
    for shard, some in by_shard.items():
        numbers, known = np.array(some, np.uint64), _Candidates(work, shard)
        sets |= {number: np.array(known[number]) for number in some}
        rows = numbers - np.uint64(shard_rows.number_of(shard, 0))
        for places, columns in shard_rows.pick(unique[shard], rows, ["id", "source", "text"]):
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

"""Near duplicates: MinHash signatures, cut into bands, grouped through files, and verified.

The signature of a document is, for each of some hash functions, the lowest hash of its word
n-grams; two documents agree in one place of it with the probability of their Jaccard similarity
(Broder 1997, "On the resemblance and containment of documents"). Documents that agree in every
row of a band are candidates (Leskovec et al., "Mining of Massive Datasets", 3.4), whose similarity
is then computed from the n-grams themselves: `clusters`.

Files of one run, each array written once and read by memory map; `S` stands for a shard:

    bands-S            hashes of all bands of the shard's documents, sorted, each with its document
    pairs-P            candidates of a range of hashes: the numbers of two documents, sorted
    candidates-S       the pairs whose first document is in the shard, each once
    partners-S         the second documents of these pairs, and S

Where shards and ranges are many, `exchange` brings the arrays of one to the other.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np

from roots_tf import stages
from roots_tf.corpus import clusters, exchange, shard_rows, shingles
from roots_tf.storage import files

ROWS_IN_MEMORY = 2_000_000  # hashes of bands that a task sorts, at some 60 bytes each
MIN_PARTS = 16  # ranges of hashes, at least, so that there is work for several workers
SLABS = 16  # into which the hashes of a shard are cut before they are sorted
# In a larger bucket each document is paired with the bucket's first one and with the next one only,
# which makes two pairs a document and not a number that grows with the square of the bucket. Other
# bands put the same documents into other buckets, where the remaining pairs are found.
LARGE_BUCKET = 32


@dataclasses.dataclass(frozen=True)
class NearDuplicates:
    """Drops all but one of each cluster of documents that share most of their word n-grams.

    Two documents of similarity J become candidates with probability 1 - (1 - J^rows)^bands:

        J                          0.1    0.2    0.3    0.4    0.5    0.6    0.7    0.8
        40 bands of 4 rows         0.004  0.06   0.28   0.65   0.92   0.996  1      1
        14 bands of 8 rows         0      0      0.001  0.01   0.05   0.21   0.56   0.92

    The second line, with n-grams of 5, is FineWeb's (Penedo et al. 2024, 3.4): it finds copies that
    hardly differ. Where each word of a text of 2,000 characters was changed with probability p, the
    mean J is

        p                          5 %    15 %   30 %
        2-grams                    0.83   0.57   0.34
        3-grams                    0.76   0.45   0.21
        5-grams                    0.64   0.29   0.10

    so that the defaults find all copies of the first kind, 97 % of the second and 40 % of the
    third, before `min_jaccard`. Of two documents of equal length of which a part is shared
    word for word, J is 0.45 where that part is 62 %.

    Raises:
        InputError: a value is out of range.
    """

    ngram: int = 2
    bands: int = 40
    rows: int = 4
    min_jaccard: float = 0.45  # 2-grams of copies with 15 % of words changed: 99.9 % are above
    seed: int = 0  # of the hash functions

    def __post_init__(self):
        if min(self.ngram, self.bands, self.rows) < 1 or not 0 < self.min_jaccard <= 1:
            raise files.InputError(
                "wrong-recipe",
                f"found ngram = {self.ngram}, bands = {self.bands}, rows = {self.rows} and "
                f"min_jaccard = {self.min_jaccard}; wanted ngram, bands and rows of 1 or "
                "more and a min_jaccard above 0, at most 1; correct the step near_duplicates of "
                "the recipe",
            )

    def recall(self, jaccard: float) -> float:
        """The probability that two documents of this similarity become candidates."""
        return 1 - (1 - jaccard**self.rows) ** self.bands


def find(
    unique: Sequence[str],
    parameters: NearDuplicates,
    work: str | Path,
    executor: Executor | None = None,
    progress: Callable[[str], Callable[[int, int], None]] = lambda stage: lambda done, total: None,
    dropped: Sequence[Sequence[str]] = (),
    earlier: Sequence[Sequence[str]] = (),
) -> dict:
    """Finds near duplicates, or goes on with finding them.

    Args:
        unique: Arrow files of the shards, columns `id`, `text`, `source`, each sorted by id.
        parameters: what counts as near.
        work: folder of the files in between; a killed run goes on with what it wrote there.
        executor: where the tasks run; None is the calling process.
        progress: `progress(stage)` returns a function that is called with the number of finished
            tasks and of all tasks of that stage.
        dropped: of each earlier step the files, one a shard, of the rows that it dropped.
        earlier: of each shard of earlier runs the Parquet file of its documents and the file of
            their band hashes. What is near one of these documents is dropped.

    Returns:
        `dropped`: a file a shard, the rows to drop; `of_earlier`: those of them that are near an
        earlier document. For the report: `documents`, `candidate_pairs`, `verified_pairs`,
        `largest_bucket`, `clusters` and the rest of `clusters.find`, `seconds`.
    """
    work, own = str(Path(work, "near_duplicates")), len(unique)
    everything = [*unique, *(path for path, _ in earlier)]
    shards = len(everything)
    how = dataclasses.asdict(parameters)

    def stage(name, function, tasks):
        return stages.run_stage(
            function, tasks, work, executor, progress(f"near duplicates: {name}")
        )

    signed = stage(
        "sign",
        sign,
        [
            (path, [step[shard] for step in dropped], how, work, shard)
            for shard, path in enumerate(unique)
        ],
    )
    tasks = [(e[1], parameters.bands, work, own + n) for n, e in enumerate(earlier)]
    signed += stage("earlier", take_bands, tasks) if tasks else []
    documents = sum(result["documents"] for result in signed)
    parts = max(-(-documents * parameters.bands // ROWS_IN_MEMORY), MIN_PARTS)
    hashes, back = exchange.route(shards, parts), exchange.route(parts, shards)
    seconds = exchange.merge(stage, work, "bands", hashes, exchange.by_hash)
    paired = stage("pair", pair, [(work, list(hashes), part) for part in range(parts)])
    seconds += exchange.merge(stage, work, "pairs", back, exchange.by_shard)
    tasks = [(work, list(back), shard, own) for shard in range(shards)]
    collected = stage("collect", collect, tasks)
    limits = (parameters.ngram, parameters.min_jaccard)
    clustered = clusters.find(everything, own, *limits, work, stage)
    seconds += sum(result["seconds"] for result in [*signed, *paired, *collected])
    return {
        **clustered,
        "documents": documents,
        "largest_bucket": max(result["largest_bucket"] for result in paired),
        "seconds": round(seconds + clustered["seconds"], 3),
    }


@shard_rows.timed
def sign(unique: str, dropped: list[str], how: dict, work: str, shard: int) -> dict:
    """Writes the band hashes of a shard's documents; the first stage's task.

    A document without words has none. Holds 16 bytes a document and band.

    Args:
        unique: Arrow file of the shard.
        dropped: `.npy` files of the rows that earlier steps drop.
        how: the fields of `NearDuplicates`.
        work: folder of the files in between.
        shard: number of the shard.

    Returns:
        `documents` that were signed.
    """
    parameters = NearDuplicates(**how)
    hashes, rows = [np.zeros((0, parameters.bands), np.uint64)], [np.zeros(0, np.uint32)]
    for numbers, (texts,) in shard_rows.read(unique, dropped, ["text"]):
        found, some = bands_of(texts, parameters)
        rows.append(numbers[some].astype(np.uint32))
        hashes.append(found[some])
    hashes, rows = np.concatenate(hashes), np.concatenate(rows)
    _save_bands(shard_rows.name(work, "bands", shard), hashes, rows, shard)
    return {"documents": len(rows)}


def bands_of(texts: Sequence[str], parameters: NearDuplicates) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the bands of texts [texts, bands], and which of these have words at all.

    Args:
        texts: of documents.
        parameters: that decide the hashes.
    """
    grams, offsets = shingles.ngram_hashes(*shingles.word_hashes(texts), parameters.ngram)
    some = np.diff(offsets) > 0
    hashes = np.zeros((len(texts), parameters.bands), np.uint64)
    hashes[some] = _bands(grams, offsets[np.append(some, True)], parameters)
    return hashes, some


@shard_rows.timed
def take_bands(path: str, bands: int, work: str, shard: int) -> dict:
    """Sorts the band hashes that an earlier run has kept of a shard; a task beside `sign`.

    Args:
        path: of the array [documents, bands] of its index.
        bands: how many are wanted.
        work: folder of the files in between.
        shard: number that the shard has here.
    """
    hashes = np.array(shard_rows.load(path)).reshape(-1, bands)
    rows = np.flatnonzero(hashes.any(axis=1)).astype(np.uint32)  # others have no words
    _save_bands(shard_rows.name(work, "bands", shard), hashes[rows], rows, shard)
    return {"documents": len(rows)}


def _save_bands(path: str, hashes: np.ndarray, rows: np.ndarray, shard: int) -> None:
    """Writes [hash, document] of all bands, sorted, a range of hashes after the other.

    Bands have hashes of their own, so that documents meet only in the same band: the number of the
    band, scrambled, is added bit by bit.
    """
    hashes ^= shingles.mix(np.arange(hashes.shape[1], dtype=np.uint64))
    with files.atomic_path(path) as temporary, temporary.open("wb") as file:
        header = {"descr": "<u8", "fortran_order": False, "shape": (hashes.size, 2)}
        np.lib.format.write_array_header_1_0(file, header)
        for slab in range(SLABS):
            places, bands = np.nonzero(hashes >> np.uint64(60) == slab)
            found = hashes[places, bands]
            order = np.argsort(found, kind="stable")
            numbers = rows[places[order]].astype(np.uint64) | np.uint64(shard << 32)
            file.write(np.stack([found[order], numbers], axis=1).tobytes())


def _bands(hashes: np.ndarray, offsets: np.ndarray, parameters: NearDuplicates) -> np.ndarray:
    """Hashes of each band of each document's MinHash signature, [documents, bands]."""
    shape = (len(offsets) - 1, parameters.bands, parameters.rows)
    if not shape[0]:
        return np.zeros(shape[:2], np.uint64)
    digest = _minhash().digest_matrix_from_flat_token_hashes
    matrix = digest(hashes, offsets, parameters.bands * parameters.rows, parameters.seed)
    signatures = np.array(matrix.to_rows(), np.uint64).reshape(shape)
    return shingles.mix((signatures * shingles.powers(parameters.rows)).sum(axis=2))


@functools.cache
def _minhash():
    try:
        import rensa
    except ImportError as error:
        raise files.InputError(
            "missing-extra",
            "found no rensa, which the step near_duplicates needs; "
            "pip install 'roots-tf[curation]'",
        ) from error
    return rensa.RMinHash


@shard_rows.timed
def pair(work: str, way: list, part: int) -> dict:
    """Pairs documents that agree in a band, for a range of hashes; a stage's task.

    Args:
        work: folder of the files in between.
        way: the `exchange.Route` from shards to ranges.
        part: number of the range of hashes.

    Returns:
        `largest_bucket`: the most documents that share a hash; 0 if none do.
    """
    way = exchange.Route(*way)
    ends = (exchange.by_hash(end, way.targets) for end in (part, part + 1))
    rows = exchange.gathered(work, "bands", way, way.levels, part, *ends)
    pairs, largest = pairs_of_equal(rows[:, 0], rows[:, 1])
    shard_rows.save(shard_rows.name(work, "pairs", part), pairs.T)
    return {"largest_bucket": largest}


def pairs_of_equal(hashes: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, int]:
    """Pairs of numbers whose hashes are equal: all of a small bucket, some of a large one.

        [7, 8, 8, 8, 9], [5, 1, 2, 3, 4]  ->  [[1, 1, 2], [2, 3, 3]], 3

    Args:
        hashes: sorted.
        numbers: ascending where the hashes are equal.

    Returns:
        The pairs [2, P], the smaller number first, sorted, each once; and the largest bucket.
    """
    borders = np.flatnonzero(np.diff(hashes, prepend=hashes[:1]) != 0)
    borders = np.concatenate([[0], borders, [len(hashes)]]) if len(hashes) else np.zeros(1, int)
    sizes = np.diff(borders)
    many = sizes > 1
    members = numbers[np.repeat(many, sizes)]
    sizes = sizes[many]
    bucket = np.repeat(np.arange(len(sizes)), sizes)
    small = np.repeat(sizes <= LARGE_BUCKET, sizes)
    firsts = np.repeat(members[np.cumsum(sizes) - sizes], sizes) if len(sizes) else members
    star = ~small & (firsts != members)
    pairs = [np.stack([firsts[star], members[star]])]
    for lag in range(1, min(LARGE_BUCKET, sizes.max(initial=0))):
        together = bucket[lag:] == bucket[:-lag]
        if lag > 1:
            together &= small[lag:]
        pairs.append(np.stack([members[:-lag][together], members[lag:][together]]))
    return sorted_pairs(pairs), int(sizes.max(initial=0))


def sorted_pairs(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Pairs of several arrays [2, P] as one, sorted, each once."""
    pairs = np.concatenate([np.zeros((2, 0), np.uint64), *parts], axis=1)
    pairs = pairs[:, np.lexsort(pairs[::-1])]
    new = np.ones(pairs.shape[1], bool)
    new[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)
    return pairs[:, new]


@shard_rows.timed
def collect(work: str, way: list, shard: int, own: int) -> dict:
    """Merges the pairs whose first document is in a shard; a stage's task.

    Args:
        work: folder of the files in between.
        way: the `exchange.Route` from ranges of hashes to shards.
        shard: number of the shard.
        own: shards that are not of earlier runs, whose pairs among themselves do not matter.
    """
    way = exchange.Route(*way)
    ends = (exchange.by_shard(end, way.targets) for end in (shard, shard + 1))
    pairs = sorted_pairs([exchange.gathered(work, "pairs", way, way.levels, shard, *ends).T])
    pairs = pairs[:, : pairs.shape[1] if shard < own else 0]
    shard_rows.save(shard_rows.name(work, "candidates", shard), pairs)
    partners = np.unique(pairs[1])
    partners = np.stack([partners, np.full_like(partners, shard)], axis=1)
    shard_rows.save(shard_rows.name(work, "partners", shard), partners)
    return {"pairs": pairs.shape[1]}

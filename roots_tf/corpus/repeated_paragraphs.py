"""Paragraphs that many documents share (menus, licences, calls to subscribe) are taken out.

The hashes of all paragraphs go to files, sorted; ranges of hashes are counted one at a time. `S`
stands for a shard, `P` for a range:

    lines-S, owners-S         hashes of each document's paragraphs, and its row
    counts-S                  the same hashes sorted, each once, and in how many documents each is
    repeated-P, documents-P   those of a range that are in too many documents
    repeated, documents       the same of all ranges
"""

import dataclasses
import functools
import hashlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np

from roots_tf import stages
from roots_tf.corpus import exchange, shard_rows, shingles
from roots_tf.storage import files

ROWS_IN_MEMORY = 4_000_000  # paragraphs that a task counts, at some 40 bytes each
MOST_FREQUENT = 20  # paragraphs that the report shows
PARAGRAPH_CHARS = 300  # of each
# Of the normalised paragraph. ROOTS leaves shorter lines alone, whatever their number
# (bigscience-workshop/data-preparation, `dedup_template_soft`): "Yes, sir." is no boilerplate.
MIN_PARAGRAPH_CHARS = 15
_NUMBER = re.compile(r"\d+")


@dataclasses.dataclass(frozen=True)
class RepeatedParagraphs:
    """Takes out paragraphs, that is lines, that are in more than `documents` documents.

    Raises:
        InputError: a value is out of range.
    """

    documents: int = 10  # ROOTS, `dedup_template_soft`: lines that occur ten times
    min_chars: int = 100  # of what is left of a document; else it is dropped

    def __post_init__(self):
        if self.documents < 1 or self.min_chars < 0:
            raise files.InputError(
                "wrong-recipe",
                f"found documents = {self.documents} and min_chars = {self.min_chars}; wanted "
                f"documents of 1 or more and min_chars of 0 or more; correct "
                "the step repeated_paragraphs of the recipe",
            )


def find(
    unique: Sequence[str],
    parameters: RepeatedParagraphs,
    work: str | Path,
    executor: Executor | None = None,
    progress: Callable[[str], Callable[[int, int], None]] = lambda stage: lambda done, total: None,
    dropped: Sequence[Sequence[str]] = (),
) -> dict:
    """Finds the repeated paragraphs of all documents that are left, and what to drop.

    Arguments are as for `near_duplicates.find`.

    Returns:
        `dropped`: a file a shard, the rows of which little would be left. `repeated`: the file for
        `remove`, which takes the paragraphs out. For the report: `paragraphs` and
        `repeated_paragraphs` (different ones), `documents_changed`, `chars_removed`,
        `dropped_documents`, `most_frequent` (with `documents` and `text`), `seconds`.
    """
    work, shards = str(Path(work, "repeated_paragraphs")), len(unique)
    before = [[step[shard] for step in dropped] for shard in range(shards)]

    def stage(name, function, tasks):
        on_done = progress(f"repeated paragraphs: {name}")
        return stages.run_stage(function, tasks, work, executor, on_done)

    counted = stage("count", count, [(unique[s], before[s], work, s) for s in range(shards)])
    partitions = -(-sum(result["hashes"] for result in counted) // ROWS_IN_MEMORY) or 1
    way = exchange.route(shards, partitions)
    seconds = exchange.merge(stage, work, "counts", way, exchange.by_hash)
    tasks = [(work, list(way), part, parameters.documents) for part in range(partitions)]
    added = stage("add", add, tasks)
    (merged,) = stage("merge", merge, [(work, partitions)])
    frequent = merged["most_frequent"]
    tasks = [(unique[s], work, s, parameters.min_chars, frequent) for s in range(shards)]
    applied = stage("apply", apply, tasks)
    texts: dict[int, str] = {}
    for result in applied:
        for index, text in result["texts"].items():
            texts[int(index)] = min(text, texts.get(int(index), text))
    return {
        "dropped": [shard_rows.name(work, "dropped", shard) for shard in range(shards)],
        "repeated": shard_rows.name(work, "repeated"),
        "paragraphs": sum(result["paragraphs"] for result in added),
        "repeated_paragraphs": merged["repeated_paragraphs"],
        "most_frequent": [
            {"documents": documents, "text": texts[index][:PARAGRAPH_CHARS]}
            for index, (documents, _) in enumerate(frequent)
        ],
        **{
            name: sum(result[name] for result in applied)
            for name in ("documents_changed", "chars_removed", "dropped_documents")
        },
        "seconds": round(
            seconds + sum(r["seconds"] for r in [*counted, *added, merged, *applied]), 3
        ),
    }


def paragraph_hashes(text: str) -> list[int]:
    """A 64-bit hash of each line of a text; 0 for one that is too short to be looked at.

    Lines that differ in case, in spaces or in numbers only have the same hash, as in CCNet (Wenzek
    et al. 2020, 3.1).
    """
    hashes = []
    for line in text.split("\n"):
        same = _NUMBER.sub("0", " ".join(line.casefold().split()))
        if len(same) < MIN_PARAGRAPH_CHARS:
            hashes.append(0)
        else:
            digest = hashlib.blake2b(same.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            hashes.append(int.from_bytes(digest, "little") or 1)
    return hashes


def remove(text: str, repeated: str) -> str:
    """A text without its repeated paragraphs.

    Args:
        text: paragraphs, one a line.
        repeated: the file that `find` names.
    """
    hashes = np.array(paragraph_hashes(text), np.uint64)
    among = shingles.among(hashes, _known(repeated))
    if not among.any():
        return text
    lines = zip(text.split("\n"), among.tolist(), strict=True)
    return "\n".join(line for line, is_repeated in lines if not is_repeated)


@functools.lru_cache(1)
def _known(repeated: str) -> np.ndarray:
    return shard_rows.load(repeated)


@shard_rows.timed
def count(unique: str, dropped: list[str], work: str, shard: int) -> dict:
    """Counts in how many documents of a shard each paragraph is; the first stage's task.

    Args:
        unique: Arrow file of the shard.
        dropped: `.npy` files of the rows that earlier steps drop.
        work: folder of the files in between.
        shard: number of the shard.
    """
    lines, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint32)]
    for numbers, (texts,) in shard_rows.read(unique, dropped, ["text"]):
        found = [set(paragraph_hashes(text)) - {0} for text in texts]
        lines.append(np.array([hash_ for once in found for hash_ in once], np.uint64))
        owners.append(np.repeat(numbers.astype(np.uint32), [len(once) for once in found]))
    lines = np.concatenate(lines)
    shard_rows.save(shard_rows.name(work, "lines", shard), lines)
    shard_rows.save(shard_rows.name(work, "owners", shard), np.concatenate(owners))
    hashes, documents = np.unique(lines, return_counts=True)
    counts = np.stack([hashes, documents.astype(np.uint64)], axis=1)
    shard_rows.save(shard_rows.name(work, "counts", shard), counts)
    return {"hashes": len(hashes)}


@shard_rows.timed
def add(work: str, way: list, part: int, limit: int) -> dict:
    """Adds the counts of all shards for a range of hashes; the second stage's task.

    Args:
        work: folder of the files in between.
        way: the `exchange.Route` from shards to ranges.
        part: number of the range of hashes.
        limit: a paragraph in more documents than this is repeated.
    """
    way = exchange.Route(*way)
    ends = (exchange.by_hash(end, way.targets) for end in (part, part + 1))
    hashes, documents = exchange.gathered(work, "counts", way, way.levels, part, *ends).T
    firsts = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)])
    documents = np.add.reduceat(documents.astype(np.int64), firsts) if len(firsts) else firsts
    many = documents > limit
    shard_rows.save(shard_rows.name(work, "repeated-of", part), hashes[firsts][many])
    shard_rows.save(shard_rows.name(work, "documents-of", part), documents[many])
    return {"paragraphs": len(firsts)}


@shard_rows.timed
def merge(work: str, partitions: int) -> dict:
    """Merges the repeated paragraphs of all ranges of hashes; a stage of one task.

    Args:
        work: folder of the files in between.
        partitions: number of ranges.

    Returns:
        `repeated_paragraphs` (their number) and `most_frequent`: [documents, hash] of some.
    """
    parts = range(partitions)
    hashes = np.concatenate(
        [shard_rows.load(shard_rows.name(work, "repeated-of", part)) for part in parts]
    )
    documents = np.concatenate(
        [shard_rows.load(shard_rows.name(work, "documents-of", part)) for part in parts]
    )
    shard_rows.save(shard_rows.name(work, "repeated"), hashes)
    most = np.lexsort((hashes, -documents))[:MOST_FREQUENT]
    return {
        "repeated_paragraphs": len(hashes),
        "most_frequent": [[int(documents[i]), int(hashes[i])] for i in most],
    }


@shard_rows.timed
def apply(unique: str, work: str, shard: int, min_chars: int, frequent: list) -> dict:
    """Counts what is lost in a shard when the repeated paragraphs go; the last stage's task.

    Args:
        unique: Arrow file of the shard.
        work: folder of the files in between.
        shard: number of the shard.
        min_chars: a document that keeps fewer characters is dropped.
        frequent: [documents, hash] of the most frequent paragraphs.

    Returns:
        `documents_changed`, `chars_removed` of those that are kept, `dropped_documents`, and by
        place in `frequent` the `texts` of the most frequent paragraphs.
    """
    repeated = shard_rows.name(work, "repeated")
    changed = removed = 0
    too_short, texts_of = [], {}
    rank = {hash_: place for place, (_, hash_) in enumerate(frequent)}
    among = shingles.among(shard_rows.load(shard_rows.name(work, "lines", shard)), _known(repeated))
    owners = np.unique(shard_rows.load(shard_rows.name(work, "owners", shard))[among])
    for places, (texts,) in shard_rows.pick(unique, owners, ["text"]):
        for number, text in zip(owners[places].tolist(), texts, strict=True):
            rest = remove(text, repeated)
            for hash_, line in zip(paragraph_hashes(text), text.split("\n"), strict=True):
                if hash_ in rank:
                    texts_of[rank[hash_]] = min(line, texts_of.get(rank[hash_], line))
            if len(rest) < min_chars or not rest.strip():
                too_short.append(number)
            else:
                changed += 1
                removed += len(text) - len(rest)
    shard_rows.save(shard_rows.name(work, "dropped", shard), np.array(too_short, np.uint32))
    return {
        "documents_changed": changed,
        "chars_removed": removed,
        "dropped_documents": len(too_short),
        "texts": texts_of,
    }

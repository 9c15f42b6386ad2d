"""A part of the documents, chosen by a hash: by language with a temperature, by source."""

import collections
import dataclasses
import fnmatch
import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np

from roots_tf import stages
from roots_tf.corpus import shard_rows, shingles
from roots_tf.storage import files


@dataclasses.dataclass(frozen=True)
class Sample:
    """Keeps about a share, or a number, of the documents.

    A document of language l, whose source has weight w, is kept with probability

        rate = min(1, c * w * n_l^(alpha - 1))

    where n_l is the number of documents in the language, and c is such that the expected number is
    `keep` of all documents, or `documents`, whichever is less. Without weights, and where no rate
    is 1, the documents of a language are then n_l^alpha of the sum over languages: an alpha below 1
    (a temperature of 1 / alpha above 1) gives rare languages a larger part. XLM takes 0.5 (Lample
    and Conneau 2019, 3.1), multilingual BERT 0.7, XLM-R 0.3 (Conneau et al. 2020, 3.1). No document
    is ever taken twice.

    Whether a document is kept follows from its id and the rate, not from other documents; the
    number kept varies by about its square root.

    Raises:
        InputError: a value is out of range, or nothing would be left out.
    """

    keep: float = 1.0
    documents: int = 0  # 0: no bound
    alpha: float = 1.0
    sources: Mapping[str, float] = dataclasses.field(default_factory=dict)  # first glob that fits
    seed: int = 0

    def __post_init__(self):
        def correct(found, wanted):
            return files.InputError(
                "wrong-recipe",
                f"found {found}; wanted {wanted}; correct the step sample of the recipe",
            )

        if not 0 < self.keep <= 1 or self.documents < 0 or not 0 <= self.alpha <= 1:
            given = f"keep = {self.keep}, documents = {self.documents}, alpha = {self.alpha}"
            raise correct(given, "keep above 0, documents of 0 or more, alpha in 0 to 1")
        if any(weight < 0 for weight in self.sources.values()):
            raise correct(f"sources = {dict(self.sources)}", "weights of 0 or more")
        if self.keep == 1 and not self.documents:
            raise correct("neither keep nor documents", "how much to keep")


def find(
    unique: Sequence[str],
    parameters: Sample,
    work: str | Path,
    executor: Executor | None = None,
    progress: Callable[[str], Callable[[int, int], None]] = lambda stage: lambda done, total: None,
    dropped: Sequence[Sequence[str]] = (),
) -> dict:
    """Chooses the documents to keep.

    Arguments are as for `near_duplicates.find`; the shards have a column `language` too.

    Returns:
        `dropped`: a file a shard, the rows to drop. For the report: `dropped_documents`, `seconds`
        and `groups`: `language`, `source` (the glob, or "" for none), `documents`, `rate`, `kept`.
    """
    work, shards = str(Path(work, "sample")), len(unique)
    before = [[step[shard] for step in dropped] for shard in range(shards)]
    globs = list(parameters.sources)

    def stage(name, function, tasks):
        return stages.run_stage(function, tasks, work, executor, progress(f"sample: {name}"))

    counted = stage("count", count, [(unique[s], before[s], globs, s) for s in range(shards)])
    groups = collections.Counter()
    for result in counted:
        groups.update({tuple(json.loads(group)): n for group, n in result["groups"].items()})
    rate = rates(groups, parameters)
    bounds = [[*group, _bound(rate[group])] for group in sorted(groups)]
    tasks = [(unique[s], before[s], globs, bounds, parameters.seed, work, s) for s in range(shards)]
    chosen = stage("choose", choose, tasks)
    kept = collections.Counter()
    for result in chosen:
        kept.update({tuple(json.loads(group)): n for group, n in result["groups"].items()})
    return {
        "dropped": [shard_rows.name(work, "dropped", shard) for shard in range(shards)],
        "dropped_documents": groups.total() - kept.total(),
        "groups": [
            {
                "language": language,
                "source": globs[place] if place >= 0 else "",
                "documents": groups[language, place],
                "rate": round(rate[language, place], 6),
                "kept": kept[language, place],
            }
            for language, place in sorted(groups)
        ],
        "seconds": round(sum(result["seconds"] for result in [*counted, *chosen]), 3),
    }


def rates(groups: Mapping[tuple[str, int], int], parameters: Sample) -> dict[tuple, float]:
    """The rate of each group, as `Sample` defines it.

    Args:
        groups: documents by language and place of the glob among `sources`, -1 for none.
        parameters: the step.

    Returns:
        The probability that a document of the group is kept.
    """
    weights = [*parameters.sources.values(), 1.0]  # the place -1 is the last
    languages = collections.Counter()
    for (language, _), documents in groups.items():
        languages[language] += documents
    wanted = parameters.keep * sum(groups.values())
    if parameters.documents:
        wanted = min(wanted, parameters.documents)
    parts = {
        (language, place): weights[place] * languages[language] ** (parameters.alpha - 1)
        for language, place in groups
    }
    # The groups of the largest parts are kept whole, as long as c would give them more than that.
    order = sorted((group for group in groups if parts[group]), key=lambda g: (-parts[g], g))
    rest = sum(parts[group] * groups[group] for group in order)
    result = dict.fromkeys(groups, 0.0)
    for place, group in enumerate(order):
        if wanted * parts[group] < rest:
            result |= {other: min(parts[other] / rest * wanted, 1.0) for other in order[place:]}
            break
        result[group] = 1.0
        wanted -= groups[group]
        rest -= parts[group] * groups[group]
    return result


def _bound(rate: float) -> int:
    """Hashes up to this one are kept; -1 for none."""
    return min(int(rate * 2**64), 2**64) - 1


def _place(source: str, globs: tuple[str, ...]) -> int:
    """The place of the first glob that a source matches, -1 for none."""
    for place, pattern in enumerate(_patterns(globs)):
        if pattern.match(source):
            return place
    return -1


@functools.lru_cache(8)
def _patterns(globs: tuple[str, ...]) -> list[re.Pattern]:
    return [re.compile(fnmatch.translate(glob)) for glob in globs]


def order_of(identifiers: Sequence[str], seed: int) -> np.ndarray:
    """Random numbers by which documents are chosen, uint64.

    Args:
        identifiers: ids of the documents, 32 hexadecimal digits each.
        seed: other seeds give other numbers.
    """
    heads = np.array([int(identifier[:16], 16) for identifier in identifiers], np.uint64)
    return shingles.mix(heads ^ shingles.mix(np.array([seed % 2**64], np.uint64)))


@shard_rows.timed
def count(unique: str, dropped: list[str], globs: list[str], shard: int) -> dict:
    """Counts the documents of each group in a shard; the first stage's task.

    Args:
        unique: Arrow file of the shard.
        dropped: `.npy` files of the rows that earlier steps drop.
        globs: of sources; a group is a language and the first glob that fits.
        shard: number of the shard.
    """
    groups = collections.Counter()
    for _, (languages, sources) in shard_rows.read(unique, dropped, ["language", "source"]):
        places = [_place(source, tuple(globs)) for source in sources]
        groups.update(zip(languages, places, strict=True))
    return {"groups": {json.dumps(group): number for group, number in groups.items()}}


@shard_rows.timed
def choose(
    unique: str,
    dropped: list[str],
    globs: list[str],
    bounds: list,
    seed: int,
    work: str,
    shard: int,
) -> dict:
    """Chooses in a shard; the second stage's task.

    Args:
        unique: the shard.
        dropped: `.npy` files of the rows that earlier steps drop.
        globs: of sources.
        bounds: language, place of the glob and greatest hash to keep, of each group.
        seed: of the hash.
        work: folder for the rows to drop.
        shard: number of the shard.
    """
    highest = {(language, place): bound for language, place, bound in bounds}
    not_kept, groups = [np.zeros(0, np.uint32)], collections.Counter()
    columns = ["id", "language", "source"]
    for numbers, (identifiers, languages, sources) in shard_rows.read(unique, dropped, columns):
        places = [_place(source, tuple(globs)) for source in sources]
        group = list(zip(languages, places, strict=True))
        orders = order_of(identifiers, seed).tolist()
        kept = np.array([o <= highest[g] for o, g in zip(orders, group, strict=True)])
        not_kept.append(numbers[~kept].astype(np.uint32))
        groups.update(g for g, keep in zip(group, kept, strict=True) if keep)
    shard_rows.save(shard_rows.name(work, "dropped", shard), np.concatenate(not_kept))
    return {"groups": {json.dumps(group): number for group, number in groups.items()}}

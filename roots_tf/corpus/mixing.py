"""A part of each source, so that the sources have the shares of a mixture; chosen by a hash."""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np

from roots_tf import stages
from roots_tf.corpus import shard_rows
from roots_tf.corpus.sampling import order_of
from roots_tf.corpus.tally import size
from roots_tf.storage import files
from roots_tf.storage.schema import number
from roots_tf.storage.sources import Mixing


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Keeps of each source as much as its share of a mixture allows, and no document twice.

    Shares are of bytes of text, as `storage.sources.Mixing` has them. The mixture is as large as it
    can be: the source that has least for its share is kept whole, the others in part. Whether a
    document is kept follows from its id and the rate of its source; what is kept of a source varies
    by about the square root of its documents.

    Attributes:
        alpha: shares go by (bytes of the source)^alpha.
        weights: shares instead, by source.
        most_bytes: of the mixture; 0: no bound.
        names: of the sources that there must be; none: those that there are.
        seed: of the hash.

    Raises:
        InputError: a value is out of range.
    """

    alpha: float = number(1.0, minimum=0, maximum=1)
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    most_bytes: int = 0
    names: tuple[str, ...] = ()
    seed: int = 0

    def shares(self, sizes: Mapping[str, int]) -> dict[str, float]:
        """The share of each source of these sizes; errors as for `Mixing.shares`."""
        if self.weights:
            weights = tuple(f"{name}={weight}" for name, weight in self.weights.items())
            return Mixing(mixture_weights=weights).shares(sizes)
        return Mixing(mixture_alpha=self.alpha).shares(sizes)


def find(
    unique: Sequence[str],
    parameters: Mixture,
    work: str | Path,
    executor: Executor | None = None,
    progress: Callable[[str], Callable[[int, int], None]] = lambda stage: lambda done, total: None,
    dropped: Sequence[Sequence[str]] = (),
) -> dict:
    """Chooses the documents to keep.

    Arguments are as for `near_duplicates.find`.

    Returns:
        `dropped`: a file a shard, the rows to drop. For the report: `dropped_documents`, `seconds`
        and `sources`: `source`, `documents`, `bytes`, `share`, `rate`, `kept`, `kept_bytes`.

    Raises:
        InputError: as for `Mixing.shares`: a source is empty, or a weight is of no source.
    """
    work, shards = str(Path(work, "mixture")), range(len(unique))
    before = [[step[shard] for step in dropped] for shard in shards]

    def stage(name, function, tasks):
        return stages.run_stage(function, tasks, work, executor, progress(f"mixture: {name}"))

    counted = stage("count", count, [(unique[s], before[s], s) for s in shards])
    found = _together(counted)
    sizes = {name: found.get(name, (0, 0))[1] for name in parameters.names or sorted(found)}
    if others := sorted(found.keys() - sizes.keys()):
        raise files.InputError(
            "wrong-mixture",
            f"found documents of the source {others[0]!r}; wanted those of {', '.join(sizes)}",
        )
    shares = parameters.shares(sizes)
    total = min(sizes[name] / share for name, share in shares.items())
    if parameters.most_bytes:
        total = min(total, parameters.most_bytes)
    rates = {name: min(1.0, shares[name] * total / sizes[name]) for name in sizes}
    chosen = stage(
        "choose",
        choose,
        [(unique[s], before[s], rates, parameters.seed, work, s) for s in shards],
    )
    kept = _together(chosen)
    return {
        "dropped": [shard_rows.name(work, "dropped", shard) for shard in shards],
        "dropped_documents": sum(n for n, _ in found.values()) - sum(n for n, _ in kept.values()),
        "sources": [
            {"source": name, "documents": found[name][0], "bytes": found[name][1]}
            | {"share": round(shares[name], 6), "rate": round(rates[name], 6)}
            | dict(zip(("kept", "kept_bytes"), kept.get(name, (0, 0)), strict=True))
            for name in sizes
        ],
        "seconds": round(sum(result["seconds"] for result in [*counted, *chosen]), 3),
    }


def _together(results: Sequence[dict]) -> dict[str, tuple[int, int]]:
    """Documents and bytes by source, over all shards."""
    documents, sizes = collections.Counter(), collections.Counter()
    for result in results:
        for name, (number_of, num_bytes) in result["sources"].items():
            documents[name] += number_of
            sizes[name] += num_bytes
    return {name: (documents[name], sizes[name]) for name in documents}


@shard_rows.timed
def count(unique: str, dropped: list[str], shard: int) -> dict:
    """Documents and bytes of text by source, in a shard; the first stage's task.

    Args:
        unique: Arrow file of the shard.
        dropped: `.npy` files of the rows that earlier steps drop.
        shard: number of the shard.
    """
    found: dict[str, list[int]] = {}
    for _, (sources, texts) in shard_rows.read(unique, dropped, ["source", "text"]):
        for source, text in zip(sources, texts, strict=True):
            counts = found.setdefault(source, [0, 0])
            counts[0] += 1
            counts[1] += size(text)
    return {"sources": found}


@shard_rows.timed
def choose(
    unique: str, dropped: list[str], rates: dict[str, float], seed: int, work: str, shard: int
) -> dict:
    """Chooses in a shard; the second stage's task.

    Args:
        unique: the shard.
        dropped: `.npy` files of the rows that earlier steps drop.
        rates: which part of each source is kept.
        seed: of the hash.
        work: folder for the rows to drop.
        shard: number of the shard.
    """
    not_kept, found = [np.zeros(0, np.uint32)], {}
    columns = ["id", "source", "text"]
    for numbers, (identifiers, sources, texts) in shard_rows.read(unique, dropped, columns):
        orders = order_of(identifiers, seed).tolist()
        kept = np.array([o < rates[s] * 2**64 for o, s in zip(orders, sources, strict=True)])
        not_kept.append(numbers[~kept].astype(np.uint32))
        for index in np.flatnonzero(kept):
            counts = found.setdefault(sources[index], [0, 0])
            counts[0] += 1
            counts[1] += size(texts[index])
    shard_rows.save(shard_rows.name(work, "dropped", shard), np.concatenate(not_kept))
    return {"sources": found}

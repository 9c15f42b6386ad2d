"""Several examples folders as one: which of them gives each row, from any row on. No TensorFlow.

Row r of a mixture comes from the source in whose part of [0, 1) the number frac(r * a + b) falls.
With a near the golden ratio these numbers are spread as evenly as can be (a Kronecker sequence), so
each batch holds the sources by their shares, to a row or two; b follows from the seed. How many of
the rows before row N fall into a part is a sum of floors, found in some dozen steps whatever N is
(`floor_sum`): a run goes on at any step at once, and each source is read in epochs of its own, in
which every row comes once.

Shares are of tokens, without those that rows are laid out with. A source whose rows hold fewer
tokens gives more rows.
"""

import dataclasses
from collections.abc import Mapping

from absl import logging

from roots_tf.examples import manifest as manifests
from roots_tf.examples import records
from roots_tf.storage import files, sources

BITS = 31  # few enough that stride times row has room in 64 bits
STRIDE = 1_327_217_885  # 2^31 over the golden ratio, and odd: every number comes once in 2^31 rows


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Folders that are read together.

    Attributes:
        folders: by name, in the order of the names.
        manifest: of all of them as one; see `load`.
        row_shares: which share of the rows each gives; they add up to 1.
        rows_an_epoch: rows of an epoch of each.
    """

    folders: Mapping[str, str]
    manifest: dict
    row_shares: Mapping[str, float]
    rows_an_epoch: Mapping[str, int]

    def describe(self, rows: int) -> dict[str, dict]:
        """What each source gives to a number of `rows`: by name `rows`, `tokens`, `epochs` of its
        own and its `token_share`.
        """
        described = {}
        for name, share in self.row_shares.items():
            epochs = share * rows / self.rows_an_epoch[name]
            tokens = round(epochs * self.manifest["sources"][name]["splits"]["train"]["tokens"])
            described[name] = {"rows": round(share * rows), "tokens": tokens, "epochs": epochs}
        total = sum(source["tokens"] for source in described.values())
        for source in described.values():
            source["token_share"] = source["tokens"] / max(total, 1)
        return described


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which source gives each row.

    Attributes:
        ends: where the part of each source ends, of `modulus`, in which the last one ends.
        offset: of the first row.
        stride: from a row to the next.
        modulus: a power of two.
    """

    ends: tuple[int, ...]
    offset: int
    stride: int = STRIDE
    modulus: int = 1 << BITS

    @classmethod
    def of(cls, shares: list[float], seed: int) -> "Choice":
        """The choice by shares that add up to 1.

        Args:
            shares: of the rows, by place of the source.
            seed: of the order.
        """
        modulus = 1 << BITS
        ends = [round(sum(shares[: place + 1]) * modulus) for place in range(len(shares))]
        return cls((*ends[:-1], modulus), records.digest("mixture", seed) % modulus)

    def place(self, row: int) -> int:
        """The place of the source that gives a row.

        >>> choice = Choice.of([0.5, 0.25, 0.25], seed=0)
        >>> [choice.place(row) for row in range(12)]
        [0, 2, 0, 0, 1, 0, 2, 0, 0, 1, 0, 2]

        Args:
            row: its number, from 0.
        """
        value = (row * self.stride + self.offset) % self.modulus
        return sum(value >= end for end in self.ends[:-1])

    def count(self, place: int, row: int) -> int:
        """How many of the rows before a row a source gives.

        >>> Choice.of([0.5, 0.25, 0.25], seed=0).count(0, 12)
        7

        Args:
            place: of the source.
            row: the row.
        """
        begin = self.ends[place - 1] if place else 0
        return self._below(self.ends[place], row) - self._below(begin, row)

    def _below(self, end: int, rows: int) -> int:
        """Of the first `rows`, how many have a number below `end`."""
        # floor((x + M - end) / M) - floor(x / M) is 1 where x mod M is at or above end, else 0.
        first = floor_sum(rows, self.modulus, self.stride, self.offset)
        return (
            rows
            + first
            - floor_sum(rows, self.modulus, self.stride, self.offset + self.modulus - end)
        )


def floor_sum(count: int, modulus: int, stride: int, offset: int) -> int:
    """The sum of floor((stride * i + offset) / modulus) over i below `count`.

    As in Euclid's algorithm modulus and stride fall to nothing, in steps by their logarithm: the
    points of the lattice below a line are counted by columns, then by rows (Graham, Knuth and
    Patashnik, Concrete Mathematics, 3.5).

    >>> floor_sum(4, modulus=10, stride=6, offset=3)
    3

    Args:
        count: how many terms, 0 or more.
        modulus: above 0.
        stride, offset: 0 or more.
    """
    total = 0
    while count > 0:
        total += (count - 1) * count // 2 * (stride // modulus) + count * (offset // modulus)
        stride, offset = stride % modulus, offset % modulus
        height = stride * count + offset
        count, offset = divmod(height, modulus)
        modulus, stride = stride, modulus
    return total


def seed_of(seed: int, name: str) -> int:
    """The seed of the order in one source.

    Args:
        seed: of the run.
        name: of the source.
    """
    return records.digest("source", seed, name) % (1 << 62)


def load(text: str) -> dict:
    """The manifest of an examples folder; or of several named ones, as one.

    That of a mixture has the counts of all of them, the mean of `unigram_entropy`, the worst of
    `unknown_percent`, `padding_percent` and of what is known of words, and by name, in the order of
    the names, `sources` and `folders`.

    Args:
        text: a folder, or `name=folder,name=folder`.

    Raises:
        InputError: as `manifest.load` and `sources.split`; or the sources do not go together.
    """
    folders = sources.split(text)
    if not folders:
        return manifests.load(text)
    found = {name: manifests.load(folder) for name, folder in folders.items()}
    _check_alike(found)
    every = list(found.values())
    entropies = [m["unigram_entropy"] for m in every if m.get("unigram_entropy") is not None]
    lengths = [m["max_seq_length"] for m in every]
    words = {"words": _words_together(every)} if "words" in every[0] else {}
    return (
        every[0]
        | words
        | {
            "build": files.fingerprint([[name, m["build"]] for name, m in found.items()]),
            "max_seq_length": max(lengths),
            "splits": {s: _together([m["splits"][s] for m in every]) for s in manifests.STEMS},
            "unigram_entropy": sum(entropies) / len(entropies) if entropies else None,
            "unknown_percent": max(m.get("unknown_percent", 0.0) for m in every),
            "padding_percent": max(m.get("padding_percent", 0.0) for m in every),
            "sources": found,
            "folders": folders,
        }
    )


def _check_alike(found: Mapping[str, dict]) -> None:
    """Refuses sources whose records one reader cannot take."""
    first = next(iter(found))
    for name, manifest in found.items():
        for what, remedy in ALIKE.items():
            here, there = (_part(m, what) for m in (manifest, found[first]))
            if here != there:
                raise files.InputError(
                    "wrong-mixture",
                    f"found {what.replace('.', ' ')} {_short(here)} in the source {name} and "
                    f"{_short(there)} in {first}; wanted the same in all: {remedy}",
                )


ALIKE = {
    "tokenizer.fingerprint": "build-examples of all with one tokenizer",
    "layout": "build-examples of all with one --layout",
    "word": "build-examples of all with one tokenizer",
    "format": "build-examples of all with one version of roots-tf",
    "word_starts": "build-examples of all with one version of roots-tf",
}


def _part(manifest: dict, place: str):
    """What stands in a manifest at a place such as `tokenizer.fingerprint`."""
    for key in place.split("."):
        manifest = manifest.get(key, manifests.PAIRS if key == "layout" else None)
    return manifest


def _short(value) -> str:
    return str(value)[:16]


def _together(parts: list[dict]) -> dict:
    """One split of all sources."""
    names = ("documents", "examples", "tokens", "sentences", "singles")
    counts = {k: sum(part[k] for part in parts) for k in names if k in parts[0]}
    return counts | {"shards": [shard for part in parts for shard in part["shards"]]}


def _words_together(every: list[dict]) -> dict:
    """What the manifests of all sources say of words, as `manifest.Words`."""
    parts = [manifest["words"] for manifest in every]

    def by_key(what: str) -> dict:
        keys = sorted({key for part in parts for key in part[what]})
        return {key: sum(part[what].get(key, 0) for part in parts) for key in keys}

    return {
        "segmentation": "none"
        if any(part["segmentation"] == "none" for part in parts)
        else parts[0]["segmentation"],
        "segmenters": {name: how for part in parts for name, how in part["segmenters"].items()},
        "remarks": sorted({remark for part in parts for remark in part["remarks"]}),
        **{what: by_key(what) for what in ("languages", "undeclared")},
        **{
            unit: [sum(counts) for counts in zip(*(part[unit] for part in parts), strict=True)]
            for unit in ("tokens", "characters")
        },
        "measured_tokens": sum(part["measured_tokens"] for part in parts),
        "unspaced_percent": max(part["unspaced_percent"] for part in parts),
    }


def of(
    manifest: dict, mixing: sources.Mixing, objective, batch_size: int, length: int
) -> Mixture | None:
    """How the sources of a manifest are mixed; None of a plain folder.

    Args:
        manifest: from `load`.
        mixing: the flags.
        objective: a `roots_tf.objectives.Objective`; it checks each source too.
        batch_size: rows of the global batch, B.
        length: tokens of a row, L.

    Raises:
        InputError: flags, sources or the objective do not go together.
    """
    if "sources" not in manifest:
        mixing.check(())
        objective.check(manifest, batch_size, length)
        return None

    def check(name: str, rows: int) -> None:
        try:
            objective.check(manifest["sources"][name], rows, length)
        except files.InputError as error:
            part = f", of which a batch of {batch_size} may hold {rows}" * (rows < batch_size)
            raise files.InputError(error.id, f"of the source {name}{part}: {error}") from error

    mixing.check(list(manifest["sources"]))
    for name in manifest["sources"]:
        check(name, batch_size)
    tokens = {n: m["splits"]["train"]["tokens"] for n, m in manifest["sources"].items()}
    epoch = {n: objective.rows_an_epoch(m, length) for n, m in manifest["sources"].items()}
    shares = mixing.shares(tokens)
    rows = {name: share * epoch[name] / tokens[name] for name, share in shares.items()}
    row_shares = {name: part / sum(rows.values()) for name, part in rows.items()}
    for name, share in row_shares.items():  # a batch may hold a row less than the share
        check(name, max(1, int(share * batch_size) - 1))
    return Mixture(manifest["folders"], manifest, row_shares, epoch)


def folders(manifest: dict, examples: str) -> dict[str, str]:
    """The folders by name of the source; a plain one is called "".

    Args:
        manifest: from `load`.
        examples: what it was loaded from.
    """
    return manifest.get("folders", {"": examples})


def held_out(manifest: dict, examples: str) -> dict[str, str]:
    """As `folders`, of those that hold something out; a line of the log tells of a source without.

    Args:
        manifest, examples: as there.
    """
    found = folders(manifest, examples)
    for name, source in zip(list(found), manifests.sources_of(manifest), strict=True):
        if not source["splits"]["held_out"]["examples"]:
            found = {other: folder for other, folder in found.items() if other != name}
            if name:
                logging.warning("nothing is held out of the source %s: it has no scores", name)
    return found


def table(described: Mapping[str, dict]) -> str:
    """What each source gives, as lines for people.

    Args:
        described: from `Mixture.describe`.
    """
    lines = [f"  {'source':<16}{'rows':>14}{'tokens':>18}{'of tokens':>11}{'epochs':>10}"]
    for name, source in described.items():
        lines.append(
            f"  {name:<16}{source['rows']:>14,}{source['tokens']:>18,}"
            f"{100 * source['token_share']:>9.2f} %{source['epochs']:>10,.2f}"
        )
    return "\n".join(lines)

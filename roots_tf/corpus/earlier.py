"""What earlier runs kept, as an index by which a later run drops copies of it.

A run with `--keep_index` writes beside its shards, to `_index/`, `S` standing for a shard:

    keys-S       the key of each document, as two numbers of 64 bits, sorted: 16 bytes a document
    bands-S      the band hashes of each, in the order of the rows: 8 bytes a document and band,
                 320 with the 40 bands of `near_duplicates`; not there without that step
    index.json   what the hashes are of, and the digits of each file

Keys are of the documents as they were written. Of equal documents the earlier one stays, whatever
its case or line breaks; of a cluster of near duplicates that has an earlier one nothing new is
kept, however long it is.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet

from roots_tf.corpus import deduplication, exchange, recipe, shard_rows
from roots_tf.storage import files, schema

FOLDER = "_index"  # programs that read the output skip names that begin with "_"
FORMAT = 1
KEYS, BANDS = "earlier", "bands"


@dataclasses.dataclass(frozen=True)
class Index:
    """`index.json`.

    Attributes:
        format: of the files; `FORMAT` is what this version reads.
        near_duplicates: the parameters that decide the band hashes; none: there are no bands.
        documents: in all shards.
        shards: of each the file of its documents, its bytes, and the digits of `keys-S` and of
            `bands-S`, where there are any.
    """

    format: int
    near_duplicates: dict[str, int]
    documents: int
    shards: list[list[str]]


def hashed_by(steps: Sequence[recipe.Step]) -> dict[str, int]:
    """The parameters of `near_duplicates` that decide its hashes; none without that step."""
    for step in steps:
        if step.name == "near_duplicates":
            built = dataclasses.asdict(recipe.build(step))
            return {name: built[name] for name in ("ngram", "bands", "rows", "seed")}
    return {}


def load(folder: str | Path, steps: Sequence[recipe.Step]) -> Index:
    """The index of a finished run, for a run of some steps.

    Args:
        folder: output of the earlier run.
        steps: of the later run.

    Raises:
        InputError: it is no such folder, its index is damaged or of another version, or its hashes
            are others than the steps have.
    """
    path = Path(folder, FOLDER, "index.json")
    if not path.is_file():
        found = "no index" if Path(folder, "report.json").is_file() else "no finished run"
        raise files.InputError(
            "wrong-index",
            f"found {found} of curate in {folder}; wanted the output of a run with --keep_index: "
            "give its folder to --against, or run that one anew with --keep_index",
        )
    version = schema.read_object(path).get("format")
    if version != FORMAT:
        raise files.InputError(
            "wrong-index",
            f"found format {version} of the index in {folder}; wanted {FORMAT}, which this version "
            "of roots-tf reads: run the earlier curation anew with --keep_index",
        )
    index, wanted = schema.read(path, Index), hashed_by(steps)
    if any(len(shard) != 3 + bool(index.near_duplicates) for shard in index.shards):
        raise files.InputError(
            "wrong-index",
            f"found shards in {path} that are not described whole; wanted it as --keep_index has "
            "written it: the index is damaged, run that curation anew",
        )
    if wanted and index.near_duplicates != wanted:
        there, here = (
            ", ".join(f"{name} = {value}" for name, value in values.items()) or "none"
            for values in (index.near_duplicates, wanted)
        )
        raise files.InputError(
            "wrong-index",
            f"found hashes of near_duplicates with {there} in the index of {folder}; wanted "
            f"{here}: give the step these parameters in the recipe, or run that curation anew "
            "with this one",
        )
    return index


def write(
    shards: Sequence[str], steps: Sequence[recipe.Step], output: str | Path, stage: Callable
) -> None:
    """Writes the index of a run that has written its shards.

    Args:
        shards: its Parquet files.
        steps: of its recipe.
        output: its folder.
        stage: runs a stage: its name, its function and the tasks.
    """
    how, folder = hashed_by(steps), str(Path(output, FOLDER))
    tasks = [(path, shard, how, folder) for shard, path in enumerate(shards)]
    results = stage("index", index_shard, tasks)
    digits = [
        [Path(path).name, str(Path(path).stat().st_size), *result["digits"]]
        for path, result in zip(shards, results, strict=True)
    ]
    documents = sum(result["documents"] for result in results)
    index = Index(FORMAT, how, documents, digits)
    files.write_json(Path(folder, "index.json"), dataclasses.asdict(index))


@shard_rows.timed
def index_shard(path: str, shard: int, how: dict, folder: str) -> dict:
    """Writes the keys and band hashes of a shard; a stage's task.

    Args:
        path: its Parquet file.
        shard: its number.
        how: `hashed_by`.
        folder: for the files.

    Returns:
        `documents`, and the `digits` of the files.
    """
    keys, bands = [b""], [np.zeros((0, how.get("bands", 0)), np.uint64)]
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["text"], batch_size=1000):
            texts = batch["text"].to_pylist()
            keys += map(deduplication.key, texts)
            if how:
                bands.append(_bands(texts, how))
    sorted_keys = np.frombuffer(b"".join(sorted(keys)), ">u8").astype(np.uint64).reshape(-1, 2)
    arrays = {"keys": sorted_keys} | ({"bands": np.concatenate(bands)} if how else {})
    names = {stem: shard_rows.name(folder, stem, shard) for stem in arrays}
    for stem, array in arrays.items():
        shard_rows.save(names[stem], array)
    digits = [files.sha256(name) for name in names.values()]
    return {"documents": len(sorted_keys), "digits": digits}


def _bands(texts: list[str], how: dict) -> np.ndarray:
    from roots_tf.corpus import near_duplicates

    return near_duplicates.bands_of(texts, near_duplicates.NearDuplicates(**how))[0]


def keys(
    folders: Sequence[str], indexes: Sequence[Index], num_shards: int, work: str, stage: Callable
) -> int:
    """Brings the keys of earlier runs to the work of a later one; how many shards they had.

    Args:
        folders: outputs of the earlier runs.
        indexes: of these.
        num_shards: of the later run.
        work: folder of the later run's files in between.
        stage: runs a stage: its name, its function and the tasks.

    Raises:
        InputError: a file of an index is damaged.
    """
    if not folders:
        return 0
    tasks = [
        (str(folder), shard, list(digits), number, work)
        for number, (folder, shard, digits) in enumerate(_shards(folders, indexes))
    ]
    stage("earlier keys", take_keys, tasks)
    exchange.merge(stage, work, KEYS, exchange.route(len(tasks), num_shards), exchange.by_key)
    return len(tasks)


def _shards(folders: Sequence[str], indexes: Sequence[Index]) -> list[tuple]:
    return [
        (folder, shard, digits)
        for folder, index in zip(folders, indexes, strict=True)
        for shard, digits in enumerate(index.shards)
    ]


def texts_and_bands(folders: Sequence[str], indexes: Sequence[Index]) -> list[list[str]]:
    """Of each shard of earlier runs the Parquet file of its documents and the file of its bands.

    Args:
        folders: outputs of the earlier runs.
        indexes: of these.
    """
    return [
        [str(Path(folder, digits[0])), shard_rows.name(str(Path(folder, FOLDER)), BANDS, shard)]
        for folder, shard, digits in _shards(folders, indexes)
    ]


@shard_rows.timed
def take_keys(folder: str, shard: int, digits: list[str], number: int, work: str) -> dict:
    """Checks the files of a shard and of its index and copies its keys; a stage's task.

    Args:
        folder: output of the earlier run.
        shard: its number there.
        digits: what `Index.shards` says of it.
        number: of the copy.
        work: folder for the copy.

    Raises:
        InputError: a file is missing or damaged.
    """
    name, size, *digests = digits
    documents, folder = Path(folder, name), str(Path(folder, FOLDER))
    found = {documents: (_size(documents), size)}
    for stem, digest in zip(("keys", BANDS), digests, strict=False):
        path = Path(shard_rows.name(folder, stem, shard))
        found[path] = (files.sha256(path) if path.is_file() else "no file", digest)
    for path, (there, wanted) in found.items():
        if there != wanted:
            raise files.InputError(
                "wrong-index",
                f"found {there[:16]} at {path}; wanted {wanted[:16]}, as the run of --keep_index "
                "has left it: the index is damaged or its documents are others, run that curation "
                "anew",
            )
    shard_rows.save(
        exchange.path(work, KEYS, ".npy", number),
        shard_rows.load(shard_rows.name(folder, "keys", shard)),
    )
    return {}


def _size(path: Path) -> str:
    return str(path.stat().st_size) if path.is_file() else "no file"

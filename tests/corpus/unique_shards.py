"""Shards of unique documents, as they are before the steps that need other documents."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pyarrow.ipc

COLUMNS = ("id", "text", "source", "language", "metadata")
SCHEMA = pyarrow.schema([(name, pyarrow.string()) for name in COLUMNS])


def identifier(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def write_shards(
    folder: Path, documents: Sequence[tuple], num_shards: int = 3, batch: int = 100
) -> list[str]:
    """Writes documents (text, source, language), by their id to a shard and sorted in it."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = [[] for _ in range(num_shards)]
    for text, *rest in documents:
        row = (identifier(text), text, *rest, *[""] * (3 - len(rest)))
        shards[int(row[0][:8], 16) * num_shards >> 32].append(row)
    paths = [str(folder / f"unique-{shard:05d}.arrow") for shard in range(num_shards)]
    for path, rows in zip(paths, shards, strict=True):
        rows.sort()
        with pyarrow.ipc.new_file(path, SCHEMA) as file:
            for first in range(0, len(rows), batch):
                columns = zip(*rows[first : first + batch], strict=True)
                arrays = [pyarrow.array(column, pyarrow.string()) for column in columns]
                file.write_batch(pyarrow.record_batch(arrays, schema=SCHEMA))
    return paths


def texts(path: str) -> list[str]:
    """All texts of a shard."""
    with pyarrow.ipc.open_file(path) as file:
        return file.read_all().column("text").to_pylist()

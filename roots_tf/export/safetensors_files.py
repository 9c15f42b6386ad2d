"""Weights of a Hugging Face folder: `model.safetensors`, or shards that an index lists."""

import dataclasses
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from roots_tf.storage import schema
from roots_tf.storage.files import InputError

NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclasses.dataclass(frozen=True)
class Index:
    """`model.safetensors.index.json`: the file of each weight."""

    weight_map: dict[str, str]


def read(folder: str | Path) -> tuple[dict[str, np.ndarray], str]:
    """Weights by name, and the path of what they were read from.

    As in transformers, the single file comes first where both are there.

    Raises:
        InputError: there are none but pickles; a shard is missing or another than the index says;
            or a file is damaged.
    """
    folder = Path(folder)
    single, index = folder / NAME, folder / INDEX_NAME
    if single.is_file():
        return load(single), str(single)
    if index.is_file():
        return _read_shards(index), str(index)
    shards = sorted(path.name for path in folder.glob("*.safetensors"))
    pickles = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
    if shards:
        raise InputError(
            "no-such-file",
            f"found {shards[0]} in {folder} without {NAME} or {INDEX_NAME}; wanted one of the two: "
            "copy the index that belongs to the shards, or rename a file that holds all weights",
        )
    found = f"no {NAME}"
    if pickles:
        found = f"only {pickles[0]}, a pickle, which can run code as it is read,"
    raise InputError(
        "wrong-format",
        f"found {found} in {folder}; wanted {NAME}: where the model comes from trusted hands, load "
        "it in transformers and save_pretrained(..., safe_serialization=True)",
    )


def _read_shards(index: Path) -> dict[str, np.ndarray]:
    """The weights of all shards, each from the one that the index names."""
    places = schema.read(index, Index, others_may_stand=True).weight_map
    shards = sorted(set(places.values()))
    for shard in shards:
        if Path(shard).name != shard or "\\" in shard or not shard.endswith(".safetensors"):
            raise InputError(
                "wrong-json",
                f"found the shard {shard!r} in {index}; wanted names of .safetensors files of that "
                "folder",
            )
        if not index.with_name(shard).is_file():
            raise InputError(
                "no-such-file",
                f"found no {index.with_name(shard)}, which {index.name} lists; copy it too",
            )
    stored = {shard: load(index.with_name(shard)) for shard in shards}
    found = {(name, shard) for shard, weights in stored.items() for name in weights}
    if missing := sorted(set(places.items()) - found):
        raise InputError(
            "wrong-weights",
            f"found no weight {missing[0][0]} in {index.with_name(missing[0][1])}, where "
            f"{index.name} has it; wanted the shards that belong to the index: copy all "
            "files again",
        )
    if surplus := sorted(found - set(places.items())):
        raise InputError(
            "wrong-weights",
            f"found the weight {surplus[0][0]} in {index.with_name(surplus[0][1])}, where "
            f"{index.name} does not list it; wanted the shards that belong to the index: copy all "
            "files again",
        )
    return {name: stored[shard][name] for name, shard in places.items()}


def load(path: Path) -> dict[str, np.ndarray]:
    """Weights of one file at a `path`, by name.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        return safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            "file-damaged", f"could not read {path}: {error}; copy it again"
        ) from error

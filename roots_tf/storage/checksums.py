"""Checksums of a model folder's files, kept in its `model.json`: what was changed is named.

    "sha256": {
      "model.json": "5d0f...",         of all other keys of `model.json`
      "model.safetensors": "91ab...",
      "tokenizer.json": "c2e7...", "tokenizer_config.json": "08d4...", "vocab.txt": "77fe..."
    }

They tell damage and mix-ups, such as one flipped byte or the vocabulary of another model. They are
no seal: who changes a file on purpose takes its line out. Folders of version 0.2 have none.
"""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

from roots_tf.storage import files, schema

KEY = "sha256"
MODEL, WEIGHTS = "model.json", "model.safetensors"
TOKENIZER = ("tokenizer.json", "target_tokenizer.json", "tokenizer_config.json", "vocab.txt")


@dataclasses.dataclass(frozen=True)
class _Checked:
    """Of `model.json`, what is read here."""

    sha256: dict[str, str] = dataclasses.field(default_factory=dict)


def with_checksums(folder: str | Path, description: dict) -> dict:
    """A model's description with the checksums of it and of the files that stand in the folder.

    Args:
        folder: of the model, whose weights are written already.
        description: what `model.json` is to say.

    Raises:
        InputError: a file cannot be read.
    """
    described = {name: value for name, value in description.items() if name != KEY}
    return described | {KEY: {MODEL: _of_json(described)} | of_content(folder)}


def of_content(folder: str | Path) -> dict[str, str]:
    """The checksums of weights and tokenizer in a `folder`, of the files that stand there.

    Raises:
        InputError: a file cannot be read.
    """
    paths = {name: Path(folder, name) for name in (WEIGHTS, *TOKENIZER)}
    return {name: _of_file(path) for name, path in paths.items() if path.is_file()}


def renew(folder: str | Path) -> None:
    """Writes the checksums again, once files of a model folder are written anew.

    A folder without `model.json`, or one that has no checksums, stays as it is.

    Raises:
        InputError: `model.json` is damaged or cannot be written.
    """
    path = Path(folder, MODEL)
    if path.is_file() and schema.read(path, _Checked, others_may_stand=True).sha256:
        files.write_json(path, with_checksums(folder, files.read_json(path)))


def check(folder: str | Path, names: tuple[str, ...]) -> None:
    """Compares files of a model folder with the checksums in its `model.json`, where it has some.

    Args:
        folder: of the model.
        names: of the files to compare; those without a checksum are passed over.

    Raises:
        InputError: a file is missing or is another one; the message names it.
    """
    path = Path(folder, MODEL)
    if not os.path.lexists(path):
        return
    description = files.read_json(path)
    wanted = schema.check(description, _Checked, str(path), others_may_stand=True).sha256
    for name in names:
        if name not in wanted:
            continue
        if name == MODEL:
            found = _of_json({key: value for key, value in description.items() if key != KEY})
        else:
            found = _of_file(Path(folder, name))
        _compare(folder, name, found, wanted[name], MODEL)


def of_files(folder: str | Path) -> dict[str, str]:
    """The checksums of all files that stand in a `folder`, but not in folders in it.

    Raises:
        InputError: a file cannot be read.
    """
    return {path.name: _of_file(path) for path in sorted(Path(folder).iterdir()) if path.is_file()}


def check_files(folder: str | Path, wanted: dict[str, str], listed_in: str) -> None:
    """Compares files of a folder with checksums.

    Args:
        folder: that the files stand in.
        wanted: checksums by the names of files.
        listed_in: name of the file that lists them, for messages.

    Raises:
        InputError: a file is missing or is another one; the message names it. Or a name is no file
            of the folder.
    """
    for name, checksum in wanted.items():
        if Path(name).name != name:  # which reaches out of the folder
            raise files.InputError(
                "wrong-json", f"found {name!r:.100} in {listed_in}; wanted names of files beside it"
            )
        _compare(folder, name, _of_file(Path(folder, name), listed_in), checksum, listed_in)


def _compare(folder: str | Path, name: str, found: str, wanted: str, listed_in: str) -> None:
    if found != wanted:
        raise files.InputError(
            "file-damaged",
            f"found another {name} in {folder} than was written there (sha256 {found[:8]}..., "
            f"wanted {wanted[:8]}...): copy the folder again or, if the change is meant, "
            f'take {name} out of "{KEY}" in its {listed_in}',
        )


def _of_json(value) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _of_file(path: Path, listed_in: str = MODEL) -> str:
    """The checksum of a regular file, also of a large one; of a FIFO nothing would come."""
    if not path.is_file():
        raise files.InputError(
            "no-such-file",
            f"found no file {path}, which {listed_in} beside it lists; copy the folder again, or "
            f'take {path.name} out of "{KEY}" there',
        )
    try:
        return files.sha256(path)
    except OSError as error:
        raise files.InputError(
            "unreadable-file",
            f"could not read {path}: {error.strerror or error}; make it a file that can be read",
        ) from error

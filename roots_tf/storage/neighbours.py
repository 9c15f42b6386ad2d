"""What stands near a name that is not there, or near a folder that is not the one that is wanted.

Both give the end of a message, "" where nothing is near.
"""

import glob
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

from roots_tf import spelling
from roots_tf.storage import hub_names, urls

_MOST_NAMES = 10_000  # of a folder that are looked at
_MOST_FOLDERS = 200
_DEEP = 3  # folders below one that are looked into
# What tells a folder's kind, and what that is for.
_KINDS = {
    "model.json": "a model, for fill-mask, predict, generate, embed and export",
    "manifest.json": "examples, for pretrain --examples",
    "documents-*.parquet": "documents, for build-examples --input",
    "*/saved_model.pb": "an exported model, for serve",
    "model.onnx": "an exported model, for serve",
    "model.tflite": "an exported model, for serve",
    "metrics.jsonl": "the output of a training",
    "tokenizer.json": "a tokenizer",
    "vocab.txt": "a tokenizer",
}
_MODELS = {"model.json", "tokenizer.json"}  # of folders that import writes
_FOREIGN = "a checkpoint of another library, for import"


def suggestion(name: str | os.PathLike) -> str:
    """The end of a message about a name or pattern that is not there: `"; did you mean novels?"`.

    Args:
        name: of a file or folder, or a glob pattern.
    """
    name = os.fspath(name)
    if urls.is_url(name) or urls.is_model(name):
        return ""
    if urls.is_foreign(name):
        return f"; URLs that are known begin with {'://, '.join(urls.SCHEMES)}://"
    start, parts = ("/", name[1:]) if os.path.isabs(name) else ("", name)
    found = _mended(start, [part for part in parts.split("/") if part])
    return _asked([path for path in itertools.islice(found, spelling.MOST) if path != name])


def instead(folder: str | os.PathLike, *names: str) -> str:
    """The end of a message about a folder that holds none of the files that are wanted.

    Names the folders near it that do, else what the folder is, or where it is not there, what may
    have been meant.

    Args:
        folder: that was given.
        *names: of files, one of which the right folder holds.
    """
    folder = os.fspath(folder)
    if not os.path.exists(folder):
        hub = hub_names.import_command(folder) if _MODELS & set(names) else ""
        return suggestion(folder) or hub
    if near := list(itertools.islice(_holding(Path(folder), names), spelling.MOST)):
        return _asked([os.path.normpath(path) for path in near])
    what = kind(folder)
    return f"; {folder} holds {what}" if what else ""


def kind(folder: str | os.PathLike) -> str:
    """What a folder holds that programs here know, in words; "" of one that nothing is known of."""
    folder = Path(folder)
    for pattern, what in _KINDS.items():
        if any(folder.glob(pattern)):
            is_hugging_face = what == "a tokenizer" and (folder / "model.safetensors").exists()
            return _FOREIGN if is_hugging_face else what
    weights = ("model.safetensors", "pytorch_model.bin", "bert_config.json", "model.weights.h5")
    return _FOREIGN if any((folder / name).exists() for name in weights) else ""


def _asked(paths: list[str]) -> str:
    return f"; did you mean {' or '.join(paths)}?" if paths else ""


def _mended(start: str, parts: list[str]) -> Iterator[str]:
    """Paths that are there or match something, with each part as it is or the nearest name."""
    if not parts:
        yield start
        return
    part, *rest = parts
    path = os.path.join(start, part)
    if glob.has_magic(part):
        pattern = os.path.join(start, *parts)
        if any(glob.iglob(pattern)):
            yield pattern
        elif not rest:
            yield from (os.path.join(start, other) for other in _other_suffixes(start, part))
        return
    if os.path.lexists(os.path.expanduser(path)):
        yield from _mended(path, rest)
        return
    for other in spelling.nearest(part, _names(start)):
        is_shard = re.sub(r"\d+", "0", other) == re.sub(r"\d+", "0", part)  # another one
        is_longer = abs(len(other) - len(part)) > max(len(other), len(part)) // 3
        if not (is_shard or is_longer):
            yield from _mended(os.path.join(start, other), rest)


def _other_suffixes(folder: str, pattern: str) -> list[str]:
    """The pattern with suffixes that files there have: `*.txt` for `*.text`."""
    stem, suffix = os.path.splitext(pattern)
    there = {os.path.splitext(name)[1] for name in _names(folder)} - {""}
    near = spelling.nearest(suffix, sorted(there)) if suffix else []
    return [f"{stem}{end}" for end in near if any(glob.iglob(os.path.join(folder, stem + end)))]


def _names(folder: str) -> list[str]:
    """Names in a folder that are not hidden, sorted."""
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:
            names = [entry.name for entry in itertools.islice(entries, _MOST_NAMES)]
    except OSError:
        return []
    return sorted(name for name in names if not name.startswith("."))


def _holding(folder: Path, names: tuple[str, ...]) -> Iterator[str]:
    """Folders that hold one of the files: below, the nearest first; else the one around or beside.

    Of a run's `checkpoints` that is `model` beside it.
    """
    found, level = False, [folder]
    for _ in range(_DEEP):
        level = [path for above in level for path in _folders(above)][:_MOST_FOLDERS]
        for path in level:
            if _holds(path, names):
                found = True
                yield str(path)
        if found:
            return
    around = Path(os.path.abspath(folder)).parent
    shown = folder.parent if folder.name not in ("", "..") else around
    for near, path in ((around, shown), (around / "model", shown / "model")):
        if _holds(near, names):
            yield str(path)
            return


def _folders(folder: Path) -> list[Path]:
    below = (folder / name for name in _names(str(folder)) if not name.startswith("_"))
    # These of `os` say no where the file may not be looked at; those of `Path` raise.
    return [path for path in below if os.path.isdir(path) and not os.path.islink(path)]


def _holds(folder: Path, names: tuple[str, ...]) -> bool:
    return any(os.path.isfile(folder / name) for name in names)

"""A run is its inputs and the flags that decide what it writes, not the spelling of its paths.

A program that writes a folder claims it: `config.json` holds the program, the flags and, of flags
that name inputs, what their content is. The same command goes on there, also after the run or its
inputs were moved; another program, another deciding flag or another content is refused. A flag's
`role`, where it is declared, says which of these it is (`flags.flag`). Flags that change nothing
that is learned or written may differ; such a change is kept under `changes`.

    claim = claims.of(config)
    if report := claim.finished(output):
        return report
    with claim.held(output):
        claim.begin(output)
        ...
"""

import contextlib
import dataclasses
import datetime
import glob
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from absl import logging

import roots_tf
from roots_tf import flags
from roots_tf.storage import files, listings, locks, places, ranges, schema, sources, urls
from roots_tf.storage.paths import named

NAME, LOCK = "config.json", locks.NAME
WHOLE_BYTES = 1 << 30  # of the inputs of a flag, that are read to tell them from others
_OWN = ("roots_tf", "program", "inputs", "changes")  # keys beside the flags
_MARKS = {"model.json": "a model", "manifest.json": "examples", "saved_model.pb": "a SavedModel"}
_OF_A_MODEL = {".json", ".safetensors", ".txt", ".model"}
_OF_ITS_RUN = {"config.json", "report.json"}  # may stand beside a model


@dataclasses.dataclass(frozen=True)
class _Saved:
    """What stands in `config.json` beside the flags; in older ones the version at most."""

    roots_tf: str = "0.1.x"
    program: str = ""
    inputs: dict[str, object] = dataclasses.field(default_factory=dict)
    changes: list[dict[str, object]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Claim:
    """What makes a run this one.

    Attributes:
        program: name of the program.
        values: all flags, as JSON values.
        inputs: by flag, what counts in place of its value: the content of files, or what the
            program says.
        roles: of the flags, as they are declared.
    """

    program: str
    values: dict
    inputs: dict
    roles: dict[str, flags.Role]

    def finished(self, folder: str | Path) -> dict | None:
        """The report of this run in the folder, which is written last; None where there is none.

        Raises:
            InputError: as for `begin`; or the report is damaged.
        """
        if (saved := self._read(folder)) is None:
            return None
        self._compare(folder, *saved)
        report = Path(folder, "report.json")
        if not report.exists():
            return None
        try:
            return schema.check(files.read_json(report), dict[str, object], str(report))
        except files.InputError as error:
            raise files.InputError(
                error.id, f"{error}; or remove it, and the same command writes it again"
            ) from error

    @staticmethod
    def held(folder: str | Path, is_writer: bool = True) -> contextlib.AbstractContextManager:
        """Context in which no other process writes in the folder; see `locks.held`.

        Args:
            folder: where the program writes.
            is_writer: whether this process does; others of the same run hold no lock.

        Raises:
            InputError: another process writes there.
        """
        return locks.held(folder, is_writer)

    def begin(self, folder: str | Path, replaces: bool = False) -> None:
        """Begins the run in the folder, or goes on with it; `config.json` says so from then on.

        While the folder holds nothing else another config of the program replaces it: a run that
        stopped at a wrong flag does not block the corrected command.

        Args:
            folder: where the program writes; made if missing.
            replaces: whether the program may begin anew where it ran with another config before.

        Raises:
            InputError: another program, another config or another version has claimed the folder,
                or it holds a model, examples or a SavedModel that nobody claims.
        """
        saved, changes = self._read(folder), []
        if saved and not (replaces and self._is_own(*saved)):
            about, before = saved
            self._compare(folder, about, before)
            changes = about.changes
            if changed := self._changed(before):
                logging.info("going on with other flags: %s", _shown(changed))
                now = datetime.datetime.now(datetime.UTC).isoformat(" ", "seconds")
                changes = [*changes, {"time": now, "flags": changed}]
        head = {"roots_tf": roots_tf.__version__, "program": self.program}
        config = (
            head | self.values | {"inputs": self.inputs} | ({"changes": changes} if changes else {})
        )
        path = Path(folder, NAME)
        if not path.exists() or files.read_json(path) != config:
            files.write_json(path, config)

    def _is_own(self, saved: _Saved, before: dict) -> bool:
        """Whether this program wrote what is saved; of older ones the names of the flags tell."""
        if saved.program:
            return saved.program == self.program
        return bool(before) and before.keys() <= self.values.keys()

    def content_changed(self, folder: str | Path) -> bool:
        """Whether this program has claimed the folder with inputs of another content."""
        saved = self._read(folder)
        return bool(saved and saved[0].inputs) and saved[0].inputs != self.inputs

    def _read(self, folder: str | Path) -> tuple[_Saved, dict] | None:
        """What is saved and the flags, where the folder is claimed and holds more than that."""
        path = Path(folder, NAME)
        others = {p.name for p in Path(folder).iterdir()} if Path(folder).is_dir() else set()
        others -= {NAME, locks.NAME}
        if not path.exists():
            for name in sorted(_MARKS.keys() & others):
                raise files.InputError(
                    "folder-taken",
                    f"found {_MARKS[name]} in {folder}; wanted a new folder, or one of "
                    f"{self.program}: choose another --output",
                )
            return None
        content = files.read_json(path)
        saved = schema.check(content, _Saved, str(path), others_may_stand=True)
        before = {name: value for name, value in content.items() if name not in _OWN}
        if saved.program and saved.program != self.program:
            raise files.InputError(
                "folder-taken",
                f"found what {saved.program} has written in {folder}; wanted a new folder, or one "
                f"of {self.program}: choose another --output",
            )
        return (saved, before) if others else None

    def _compare(self, folder: str | Path, saved: _Saved, before: dict) -> None:
        """Refuses what is not this run."""
        version = saved.roots_tf
        free = {name for name, role in self.roles.items() if role == "free"}
        gone, new = before.keys() - self.values.keys(), self.values.keys() - before.keys() - free
        if version != roots_tf.__version__ and (gone or new):
            only_there, only_here = (", ".join(sorted(names)) or "none" for names in (gone, new))
            raise files.InputError(
                "other-version",
                f"{folder} holds a run that version {version} of roots-tf began; this is "
                f"{roots_tf.__version__}, which has other flags: found {only_there} only there; "
                f"wanted {only_here} too. Choose another --output, or finish that run with "
                f"roots-tf {version}",
            )
        decides = {name for name, role in self.roles.items() if role == "decides"}
        if saved.program:
            found, wanted = before | saved.inputs, self.values | self.inputs
            names = decides | saved.inputs.keys() | self.inputs.keys()
        else:  # of before contents were kept: paths are all there is to compare
            found, wanted = _spelled_out(before), _spelled_out(self.values)
            names = decides | {name for name, role in self.roles.items() if role == "input"}
            # A recipe was kept as its steps.
            names = {name for name in names if type(found.get(name)) is type(wanted.get(name))}
        found, wanted = (
            dict(_leaves({name: side.get(name) for name in sorted(names)}))
            for side in (found, wanted)
        )
        names = [k for k in found | wanted if found.get(k) != wanted.get(k)]
        plain = [k for k in names if not _is_content(found.get(k), wanted.get(k))]
        if plain:
            found, wanted = (
                ", ".join(f"{name}={_short(side.get(name))}" for name in plain)
                for side in (found, wanted)
            )
            raise files.InputError(
                "other-run",
                f"{folder} holds a run of another config: found {found}; wanted {wanted}. Choose "
                "another --output, or give the flags of that run",
            )
        if names:
            named = ", ".join(f"--{name}" for name in names)
            raise files.InputError(
                "inputs-changed",
                f"found another content of {named} than the run in {folder} has begun with; wanted "
                "the same: put back what has changed, or choose another --output",
            )

    def _changed(self, before: dict) -> dict[str, list]:
        """Flags that are others than before, with both values; all but where to write."""
        return {
            name: [before.get(name), value]
            for name, value in self.values.items()
            if before.get(name) != value and not self.roles[name].startswith("output")
        }


def of(config, **contents) -> Claim:
    """The claim of a program's config.

    Args:
        config: of the program.
        **contents: by flag, JSON values that count in place of its value, and of the content of its
            files; of a flag that else would not count too.
    """
    known = flags.flags_of(type(config))
    given, contents = files.as_read_back([flags.flat(config), contents])
    values = {name: _without_secrets(value) for name, value in given.items()}
    # An instance that Python gave to a `choice` may have flags that the program does not know.
    roles = {name: known[name].role if name in known else "decides" for name in values}
    inputs = {
        name: content(value)
        for name, value in given.items()
        if roles[name] == "input" and value and name not in contents
    }
    for name in contents.keys() & roles.keys():
        roles[name] = "input" if roles[name] == "decides" else roles[name]
    values = places.as_given(values)
    return Claim(_program(config), values, inputs | contents, roles)


def _without_secrets(value):
    """The value of a flag, in which no URL holds a signed query: it is kept in `config.json`."""
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    return urls.shown(value) if isinstance(value, str) and "://" in value else value


def _program(config) -> str:
    """Name of the program of a config: of its module, which may run as `__main__`."""
    module = sys.modules[type(config).__module__]
    spec = getattr(module, "__spec__", None)
    name = spec.name if spec else Path(getattr(module, "__file__", "") or "program").stem
    return name.rpartition(".")[2].replace("_", "-")


def content(paths: str | Sequence[str]) -> str | dict[str, str]:
    """Digits that stand for what is in files, wherever they are; by name of named sources.

    Examples are told by the checksums in their manifest, a model by its own files, other files by
    their bytes and names; of more than `WHOLE_BYTES` sizes and times stand for the bytes. Of one
    file the name does not count, only what it ends with. Of files behind URLs sizes and what their
    store has for a checksum stand for the bytes.

    Args:
        paths: a file or folder, or several and patterns. What cannot be read gives "": who reads it
            says why.
    """
    try:
        if named_sources := sources.split(paths):
            return {name: content(path) for name, path in named_sources.items()}
        if not isinstance(paths, str):
            return _of_files(files.expand(paths), lambda path: path.name)
        if urls.is_url(paths) and len(named(paths)) == 1:
            return _of_url(paths)
        folder = Path(paths).expanduser()
        if not folder.exists():  # a list or a pattern
            return _of_files(files.expand(named(paths)), lambda path: path.name)
        if not folder.is_dir():
            return _of_files([str(folder)], lambda path: "".join(path.suffixes))
        if (folder / "manifest.json").exists():
            return _of_manifest(folder / "manifest.json")
        inside = files.expand([paths])
        if (folder / "model.json").exists():
            own = [path for path in folder.iterdir() if path.suffix in _OF_A_MODEL]
            inside = [str(path) for path in own if path.name not in _OF_ITS_RUN]
        return _of_files(inside, lambda path: str(path.relative_to(folder)))
    except (ValueError, OSError, KeyError, TypeError, AttributeError):  # of what is damaged
        return ""


def _of_manifest(path: str | Path) -> str:
    """Digits that stand for examples, by their manifest: the same wherever they are."""
    manifest = files.read_json(path)
    splits = [part["shards"] for part in manifest["splits"].values()]
    sums = [[shard["name"], shard["sha256"]] for shards in splits for shard in shards]
    return files.fingerprint([manifest["build"], manifest["tokenizer"], sums])


def _of_url(url: str) -> str:
    """Digits that stand for what a URL names: a file, the files of a folder or of a pattern."""
    if not glob.has_magic(url) and listings.about(url, anew=True).is_folder:
        with contextlib.suppress(files.InputError):
            return _of_manifest(urls.join(url, "manifest.json"))
        start = f"{PurePosixPath(url)}/"
        return _of_files(files.expand(url), lambda path: str(path).removeprefix(start))
    found = files.expand(url)
    one = found == [url]
    return _of_files(found, lambda path: "".join(path.suffixes) if one else path.name)


def _of_files(paths: Sequence[str], name) -> str:
    """Digits that stand for files, each called by what `name` makes of its path."""
    remote = list(filter(urls.is_url, paths))
    paths = [Path(path) for path in paths if not urls.is_url(path)]
    whole = sum(os.path.getsize(path) for path in paths) <= WHOLE_BYTES
    parts = [[name(PurePosixPath(urls.plain(url))), *ranges.state(url)] for url in remote]
    for path in paths:
        if not path.is_file():  # of a pipe nothing is to be taken before its reader comes
            parts.append([name(path), str(path)])
        elif whole:
            parts.append([name(path), files.sha256(path)])
        else:
            about = path.stat()
            parts.append([name(path), about.st_size, about.st_mtime_ns])
    return files.fingerprint(sorted(parts))


def _spelled_out(values: dict) -> dict:
    """Values in which a relative path and an absolute one are the same."""
    return {
        name: os.path.abspath(value) if isinstance(value, str) and os.path.exists(value) else value
        for name, value in values.items()
    }


def _leaves(value, place: str = "") -> Iterator[tuple[str, object]]:
    """What is in objects and in lists of objects, by its place: `phases[0].batch_size`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}.{key}" if place else key)
    elif isinstance(value, list) and value and all(isinstance(inner, dict) for inner in value):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{place}[{index}]")
    else:
        yield place, value


def _is_content(*values) -> bool:
    """Whether values are digits that stand for files, or for none; they tell a reader nothing."""
    return all(value is None or re.fullmatch(r"[0-9a-f]{16}|", str(value)) for value in values)


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}..."


def _shown(changed: dict[str, list]) -> str:
    return ", ".join(f"{name}={before!r} -> {after!r}" for name, (before, after) in changed.items())

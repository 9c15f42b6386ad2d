"""Where a program is told to write: refused before anything is read, where it cannot be right.

A flag whose `role` begins with "output" (`flags.flag`) names a place that can be written, and that
is no part of what the flags of the role "input" name.
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from roots_tf import flags
from roots_tf.storage import files, objects, paths, sources, urls

# What programs put into their folder under a fixed name, so that an input there would be lost.
WRITTEN = (
    *("model", "config.json", "report.json", "plan.json", "metrics.jsonl", "manifest.json"),
    *("tokenizer.json", "target_tokenizer.json", "tokenizer_config.json", "vocab.txt"),
    "report.html",
)
# What stands in a folder that is read as one: a model, examples, a vocabulary.
_OF_ONE_INPUT = (
    *("model.json", "manifest.json", "config.json", "bert_config.json"),
    *("tokenizer.json", "vocab.txt"),
)


def check(config) -> None:
    """Refuses places that a program cannot write, or must not.

    Args:
        config: of a program.

    Raises:
        InputError: such a place is no file or no folder, as is wanted; cannot be written; is an
            input or in one; or is a folder in which an input would be replaced.
    """
    known, values = flags.flags_of(type(config)), flags.flat(config)
    roles = {name: about.role for name, about in known.items() if name in values}
    inputs = {name: values[name] for name in roles if roles[name] == "input" and values[name]}
    for name, value in inputs.items():
        _check_known(name, value)
    for name, role in roles.items():
        value = values[name]
        if role.startswith("output") and urls.is_url(value):
            _check_url(f"--{name}={urls.shown(value)}", role, value, inputs)
        elif role.startswith("output") and (value or known[name].default):
            _check_place(name, value, role != "output_file")
            for input_name, given in inputs.items():
                _check_apart(f"--{name}={value}", role, f"--{input_name}", value, given)


def _check_known(flag: str, value: str | Sequence[str]) -> None:
    """Refuses an input whose name begins as a URL of no store that is known, such as file://."""
    for name in names_in(value):
        if urls.is_foreign(name) and not os.path.lexists(name):
            raise files.InputError(
                "no-such-file",
                f"found --{flag}={urls.shown(name)}; wanted a path here, or a URL; URLs that are "
                f"known begin with {'://, '.join(urls.SCHEMES)}://",
            )


def _check_place(name: str, value: str, is_folder: bool) -> None:
    """Refuses what is no such place, or cannot be written: it tries."""
    given, wanted = f"found --{name}={value}", "a folder" if is_folder else "a file"
    if not value.strip():
        raise files.InputError("cannot-write", f"{given} without a name; wanted {wanted} to write")
    if urls.is_foreign(value) or urls.is_model(value):
        schemes = ", ".join(f"{scheme}://" for scheme in objects.WRITABLE)
        raise files.InputError(
            "cannot-write", f"{given}; wanted {wanted} here, or a URL that begins with {schemes}"
        )
    path = Path(value)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode, folder = None, _nearest(path, f"{given}; wanted {wanted} to write")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise files.InputError(
            "cannot-write", f"{given} ({why}); wanted {wanted} to write: choose another place"
        ) from error
    if mode is not None and path.is_symlink() and path.absolute().is_relative_to("/dev"):
        mode = 0  # such as /dev/stdout, whatever it leads to: the link itself would be replaced
    if mode is not None and not (stat.S_ISDIR(mode) if is_folder else stat.S_ISREG(mode)):
        what = "a folder" if stat.S_ISDIR(mode) else "a file" if stat.S_ISREG(mode) else "no file"
        raise files.InputError(
            "cannot-write",
            f"{given}, which is {what}; wanted {wanted} to write: choose another place",
        )
    if is_folder and (path / "report.json").exists():
        return  # a finished run, which may stand where nobody writes any more
    if mode is not None:
        folder = path if is_folder else path.absolute().parent
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\n")
    except OSError as error:
        is_full = files.full_disk(error)
        room = "make room or choose" if is_full else "choose"
        raise files.InputError(
            "no-room" if is_full else "cannot-write",
            f"{given}, and could not write in {folder}: {error.strerror}; wanted {wanted} to "
            f"write: {room} another place",
        ) from error


def _check_url(given: str, role: str, url: str, inputs: dict) -> None:
    """Refuses a URL that nothing can be written to, or that is or is in an input."""
    scheme, _, rest = url.rstrip("/").partition("://")
    if scheme.lower() not in objects.WRITABLE:
        raise files.InputError(
            "cannot-write",
            f"found {given}; wanted a place that can be written: a folder here, or a URL of "
            f"{', '.join(f'{name}://' for name in objects.WRITABLE)}",
        )
    parts = rest.split("/")
    if not all(parts) or {".", ".."} & set(parts) or len(parts) < 1 + (role == "output_file"):
        wanted = f"wanted {scheme}://BUCKET/NAME, each name between slashes of at least a letter"
        raise files.InputError("cannot-write", f"found {given}; {wanted}")
    place = f"{scheme.lower()}://{rest}"
    for name, value in inputs.items():
        for path in filter(urls.is_url, names_in(value)):
            whole = path.rstrip("/")
            is_walked = not isinstance(value, str) and place.startswith(f"{whole}/")
            inside = whole.startswith(f"{place}/") and whole.removeprefix(f"{place}/").split("/")
            is_lost = role == "output_folder" and inside and inside[0] in WRITTEN
            if place == whole or is_walked or is_lost:
                raise files.InputError(
                    "output-over-input",
                    f"found {given}, and --{name} at {urls.shown(path)}; wanted what is written "
                    "apart from what is read: choose another place",
                )


def _nearest(path: Path, mistake: str) -> Path:
    """The folder that exists in which the path, or what it is in, is to be made.

    Raises:
        InputError: with the `mistake`, where a link on the way leads nowhere.
    """
    for folder in (path.absolute(), *path.absolute().parents):
        if folder.exists():
            break
        if folder.is_symlink():
            raise files.InputError(
                "cannot-write",
                f"{mistake}, but {folder} is a link to {os.readlink(folder)}, which is not there: "
                "remove the link, or choose another place",
            )
    return folder


def _is_one_input(folder: str) -> bool:
    return any(os.path.exists(os.path.join(folder, name)) for name in _OF_ONE_INPUT)


def _check_apart(given: str, role: str, named: str, output: str, value) -> None:
    """Refuses an output that is, or is in, an input; and a folder in which one would be lost.

    A folder among several inputs is walked, so nothing may be written in it; one that is none, such
    as `--init_from=work` without a model there, is for its reader to tell.
    """
    is_walked, names = not isinstance(value, str), names_in(value)
    place = os.path.realpath(output)
    for path in _existing(names):
        whole = os.path.realpath(path)
        below = os.path.isdir(whole) and Path(place).is_relative_to(whole)
        if below and (place == whole or is_walked or _is_one_input(whole)):
            where = "the folder of" if place == whole else "in the folder of"
            raise files.InputError(
                "output-over-input",
                f"found {given}, {where} {named}; wanted what is written apart from what is read: "
                "choose another place",
            )
        inside = Path(whole).is_relative_to(place) and Path(whole).relative_to(place).parts
        if role == "output_folder" and inside and inside[0] in WRITTEN:
            raise files.InputError(
                "output-over-input",
                f"found {named} at {path}, which is replaced in {given}; wanted what is written "
                "apart from what is read: choose another --output",
            )
    if role == "output_file" and os.path.exists(place):
        for path in _files(names):
            if os.path.samefile(path, place):
                raise files.InputError(
                    "output-over-input",
                    f"found {given}, which is a file of {named} ({path}); wanted another file to "
                    "write: nothing was changed",
                )


def names_in(value: str | Sequence[str]) -> Sequence[str]:
    """The names in the value of a flag; one text may be a list, as of a file a label."""
    with contextlib.suppress(ValueError):  # who reads it says why, or takes one source alone
        if named := sources.split(value):
            return tuple(named.values())
    return tuple(sources.url_in(text) or text for text in texts_in(value))


def texts_in(value: str | Sequence[str]) -> Sequence[str]:
    """The parts of the value of a flag, which may be `name=path` each; one text may be a list."""
    try:
        return paths.named(value) if isinstance(value, str) else value
    except ValueError:  # who reads it says why
        return (value,)


def _existing(names: Sequence[str]) -> Iterator[str]:
    """Files and folders that are there under these names or patterns."""
    for name in names:
        if name and not urls.is_url(name):
            yield from filter(os.path.exists, paths.matching(name))


def _files(names: Sequence[str]) -> Iterator[str]:
    """Files that are there under these names or patterns, and in these folders, links followed."""
    for path in _existing(names):
        if os.path.isdir(path):
            with contextlib.suppress(OSError):  # of what cannot be read; who reads it says so
                yield from paths.files_under(path)
        else:
            yield path

"""The programs by name: `roots NAME --flags`, and the same from Python.

A program is a module of `pipelines`, which is imported when it is asked for.
"""

import ast
import dataclasses
import importlib
import importlib.util
import numbers
import os
import pkgutil
import sys
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from roots_tf import completion, program, spelling, topics
from roots_tf.storage import paths

_PARTS = str | os.PathLike | int | float  # of a list


def programs() -> dict[str, str]:
    """Name of every program and the first line of its docstring, without importing any."""
    package = importlib.util.find_spec("pipelines").submodule_search_locations
    first_lines = {}
    for module in sorted(pkgutil.iter_modules(package), key=lambda module: module.name):
        source = Path(module.module_finder.path, f"{module.name}.py").read_text("utf-8")
        first_lines[module.name] = ast.get_docstring(ast.parse(source)).splitlines()[0]
    return first_lines


def load(name: str) -> ModuleType:
    """The program's module, which has `Config` and `main`.

    Args:
        name: as `roots` lists it, with `-` or `_`.
    """
    return importlib.import_module(f"pipelines.{name.replace('-', '_')}")


def flags_of(name: str) -> dict[str, program.Flag]:
    """The flags of a program.

    Args:
        name: of the program.

    Raises:
        FlagError: there is no such program.
    """
    _check_name(name)
    return program.flags_of(load(name).Config)


def read(name: str, arguments: Sequence[str]):
    """The config that the words behind a program's name mean.

    Args:
        name: of the program.
        arguments: its flags.

    Raises:
        FlagError: there is no such program, or see `program.read`.
    """
    _check_name(name)
    return program.read(load(name).Config, arguments)


def _check_name(name: str) -> None:
    if name.replace("-", "_") not in programs():
        raise program.FlagError("no-such-program", f"found no program {name!r}; {_meant(name)}")


def call(name: str, **values):
    """Runs a program in this process; returns what its `main` does, most often its report.

    >>> call("pretrain", examples="work/examples", output="work/pretrained", size="tiny")

    Args:
        name: of the program.
        **values: by flag, as Python has them: lists, paths, whole numbers for `--duration`; None is
            a flag that is not given.

    Raises:
        FlagError: there is no such program, a value is of another type than the flag, or see
            `program.make`, `program.check`.
        InputError: a mistake that the program found.
    """
    _check_name(name)
    module = load(name)
    known = program.flags_of(module.Config)
    given = {
        flag: as_flag(flag, known[flag].hint, value) if flag in known else value
        for flag, value in values.items()
        if value is not None
    }
    missing = [flag for flag, about in known.items() if about.is_required and flag not in given]
    if missing and given.keys() <= known.keys():
        raise program.FlagError("missing-flag", f"found no --{missing[0]}; wanted one")
    config = program.make(module.Config, **given)
    program.check(config)
    return module.main(config)


def _meant(name: str, *further: str) -> str:
    """The end of the message that there is no such program: the nearest, or all."""
    names = [*(known.replace("_", "-") for known in programs()), *further]
    meant = spelling.suggestion(name, names).removeprefix("; ")
    return meant or f"there are: {', '.join(names)}"


def as_flag(name: str, hint, value):
    """A value as Python has it as the flag has it.

    >>> as_flag("duration", str, 500), as_flag("input", tuple[str, ...], [Path("a"), "b"])
    ('500', ('a', 'b'))
    >>> as_flag("examples", str, {"zh": "work/zh", "en": "work/en"})
    'zh=work/zh,en=work/en'

    Args:
        name: of the flag.
        hint: its type, as for `flags.flag`.
        value: that somebody gave.

    Raises:
        FlagError: the value is of another type.
    """
    value = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(value, Mapping):  # named sources
        value = [f"{source}={of_source}" for source, of_source in value.items()]
        value = value if hint == tuple[str, ...] else ",".join(value)
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    wanted = "a text"
    if hint == tuple[str, ...]:
        wanted, parts = "a list of texts", value
        if isinstance(value, str):
            try:
                parts = paths.split_list(value)
            except ValueError as error:
                raise program.FlagError(
                    "wrong-value", f"found --{name}={value}: {error}"
                ) from error
        if isinstance(parts, Iterable) and all(isinstance(p, _PARTS) for p in parts):
            return tuple(map(str, parts))
    elif hint is bool:
        wanted = "True or False"
        if isinstance(value, bool):
            return value
    elif hint in (int, float):
        wanted = "a whole number" if hint is int else "a number"
        if is_number and hint(value) == value:
            return hint(value)
    elif isinstance(value, bool):
        if str(value).lower() in typing.get_args(hint):
            return str(value).lower()
    elif is_number and hint is str:
        return str(value)
    elif isinstance(value, str) or dataclasses.is_dataclass(value):  # of a `choice`
        return value
    raise program.FlagError("wrong-value", f"found --{name}={value!r:.80}; wanted {wanted}")


def call_line(name: str, arguments: Sequence[str]):
    """As `call`, from a command line.

    Args:
        name: of the program.
        arguments: the words behind its name.

    Raises:
        FlagError: see `program.read` and `program.check`.
        InputError: a mistake that the program found.
    """
    module = load(name)
    config = program.read(module.Config, arguments)
    program.check(config)
    return module.main(config)


def roots() -> None:
    """The console script `roots`: `roots` lists the programs, `roots NAME --flags` runs one."""
    known = programs()
    name, arguments = (sys.argv[1] if len(sys.argv) > 1 else "help"), sys.argv[2:]
    if name in ("-h", "--help", "help"):
        topics.main(arguments, known, load)
    elif name in ("version", "--version"):
        from roots_tf import versions

        print(versions.text(), end="")
    elif name == "completion":
        _print_completion(arguments, known)
    elif name.replace("-", "_") in known:
        sys.argv[:2] = [f"roots {name}"]
        try:
            program.stop_in_one_line()
            module = load(name)
        except program.Stopped as stopped:
            program.leave(stopped, stopped.exit_status)
        program.run(module.main, module.Config)
    else:
        sys.argv[0] = "roots"
        meant = _meant(name, *completion.FURTHER)
        error = program.FlagError("no-such-program", f"found no program {name!r}; {meant}")
        program.leave(error, error.exit_status)


def _print_completion(arguments: list[str], known: dict[str, str]) -> None:
    """`roots completion SHELL`."""
    try:
        print(completion.script(" ".join(arguments), known, load), end="")
    except program.FlagError as error:
        sys.argv[0] = "roots"
        program.leave(error, error.exit_status)

"""The programs by name: `roots NAME --flags`, and the same from Python.

A program is a module of `pipelines`, which is imported when it is asked for.
"""

import ast
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from roots_tf import completion, program, spelling, topics


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


def call(name: str, **values):
    """Runs a program in this process; returns what its `main` does, most often its report.

    >>> call("pretrain", examples="work/examples", output="work/pretrained", size="tiny")

    Args:
        name: of the program.
        **values: by flag.

    Raises:
        FlagError: see `program.make` and `program.check`.
        InputError: a mistake that the program found.
    """
    module = load(name)
    config = program.make(module.Config, **values)
    program.check(config)
    return module.main(config)


def call_line(name: str, arguments: Sequence[str]):
    """As `call`, from the words of a command line behind the program's name."""
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
        names = [*(listed.replace("_", "-") for listed in known), *completion.FURTHER]
        meant = spelling.suggestion(name, names) or f"; there are: {', '.join(names)}"
        sys.argv[0] = "roots"
        error = program.FlagError("no-such-program", f"found no program {name!r}{meant}")
        program.leave(error, error.exit_status)


def _print_completion(arguments: list[str], known: dict[str, str]) -> None:
    """`roots completion SHELL`."""
    try:
        print(completion.script(" ".join(arguments), known, load), end="")
    except program.FlagError as error:
        sys.argv[0] = "roots"
        program.leave(error, error.exit_status)

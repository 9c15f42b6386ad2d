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

from roots_tf import program


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
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help", "help"):
        print("usage: roots PROGRAM [--flags]     (roots PROGRAM --help shows the flags)\n")
        for listed, line in known.items():
            print(f"  {listed.replace('_', '-'):<18} {line}")
        return
    if name.replace("-", "_") not in known:
        names = ", ".join(listed.replace("_", "-") for listed in known)
        sys.argv[0] = "roots"
        program.leave(
            program.FlagError("no-such-program", f"found no program {name!r}; there are: {names}"),
            2,
        )
    sys.argv[:2] = [f"roots {name}"]
    try:
        program.stop_in_one_line()
        module = load(name)
    except program.Stopped as stopped:
        program.leave(stopped, stopped.exit_status)
    program.run(module.main, module.Config)

"""Programs: one flag a field of a frozen dataclass, one line for a user's mistake.

A program is a module of `pipelines` with a docstring, a frozen dataclass `Config` whose fields are
made by `flag()`, and `main(config)`. `roots NAME --flags` and `python -m pipelines.NAME --flags`
run it; tests and notebooks call `main(Config(...))`.
"""

import ast
import dataclasses
import errno
import importlib
import importlib.util
import json
import pkgutil
import signal
import sys
import time
import typing
from pathlib import Path

from absl import app, flags, logging

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def flag(default=dataclasses.MISSING, *, help: str):
    """A field of a `Config`: without a default the flag is required.

    Args:
        default: value of the flag when it is not given; its type is the field's annotation, one of
            `str`, `int`, `float`, `bool`, `tuple[str, ...]` (comma-separated) or `Literal[...]`.
        help: what `--help` prints.

    A field that ends in "_", such as `from_`, makes the flag without it, `--from`.
    """
    return dataclasses.field(default=default, metadata={"help": help})


def to_json(config) -> str:
    """The config as JSON, as it is saved beside a program's output."""
    return json.dumps(dataclasses.asdict(config), indent=2, ensure_ascii=False) + "\n"


def from_json(config_class, text: str):
    """The inverse of `to_json`.

    Raises:
        ValueError: the text holds a key that `config_class` has no field for.
    """
    values = json.loads(text)
    known = {field.name for field in dataclasses.fields(config_class)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"{config_class.__name__} has no field {unknown}; it has {sorted(known)}")
    return config_class(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def run(main, config_class) -> typing.NoReturn:
    """Parses the command line into a `config_class` and calls `main` with it, then exits.

    An exception that carries an integer `exit_status` is addressed to the user: its text is
    printed on one line and the process exits with that status; so is a full disk, with status 2.
    Any other is a bug and keeps its traceback. Ctrl-C, where `main` does not handle it, ends in one
    line too.
    """
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        _define(field, hints[field.name])

    def call_main(arguments):
        if rest := arguments[1:]:
            _leave(f"found {rest} beside the flags; wanted --flag=value (quote patterns)", 2)
        fields = dataclasses.fields(config_class)
        values = {field.name: flags.FLAGS[_flag_name(field)].value for field in fields}
        config = config_class(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        )
        try:
            main(config)
        except Exception as error:
            if getattr(error, "errno", None) in _DISK_FULL:
                where = f" writing {error.filename}" if error.filename else ""
                _leave(f"{error.strerror}{where}: make room, then run the same command again", 2)
            status = getattr(error, "exit_status", None)
            if status is None:
                raise
            _leave(error, status)
        except KeyboardInterrupt:
            _leave("interrupted", 128 + signal.SIGINT)

    logging.set_verbosity(logging.INFO)
    # TensorFlow writes its notices to the same log, and they are not for the user of a program.
    logging.get_absl_handler().addFilter(
        lambda record: (
            record.levelno > logging.converter.STANDARD_INFO
            if "/tensorflow/" in record.pathname
            else True
        )
    )
    # absl shows the docstring and key flags of `__main__`, which under a console script is not the
    # program's own module.
    sys.modules["__main__"].__doc__ = sys.modules[config_class.__module__].__doc__
    app.run(call_main)


def progress(stage: str):
    """Shows how many tasks of a stage are finished: on a line of a terminal, else every 10 s."""
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{stage}: {done}/{total} tasks", end=end, file=sys.stderr, flush=True)
        elif time.monotonic() - last >= 10:
            last = time.monotonic()
            logging.info("%s: %d/%d tasks", stage, done, total)

    return report


def _leave(message, status: int) -> typing.NoReturn:
    """Prints one line for the user and exits."""
    logging.flush()
    line = " ".join(str(message).split())
    print(f"{Path(sys.argv[0]).name}: {line}", file=sys.stderr, flush=True)
    sys.exit(status)


def _flag_name(field: dataclasses.Field) -> str:
    """The field's name; without the underscore of one that else were a keyword, such as `from_`."""
    return field.name.removesuffix("_")


def _define(field: dataclasses.Field, hint) -> None:
    """Defines the absl flag of one field, and shows it under `--help`."""
    name, required = _flag_name(field), field.default is dataclasses.MISSING
    default = None if required else field.default
    text = field.metadata["help"]
    if typing.get_origin(hint) is typing.Literal:
        flags.DEFINE_enum(name, default, typing.get_args(hint), text)
    elif hint == tuple[str, ...]:
        flags.DEFINE_list(name, None if required else list(default), text)
    else:
        define = {
            str: flags.DEFINE_string,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            bool: flags.DEFINE_bool,
        }[hint]
        define(name, default, text)
    if required:
        flags.mark_flag_as_required(name)
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])


def programs() -> dict[str, str]:
    """Name of every program and the first line of its docstring, without importing any."""
    package = importlib.util.find_spec("pipelines").submodule_search_locations
    first_lines = {}
    for module in sorted(pkgutil.iter_modules(package), key=lambda module: module.name):
        source = Path(module.module_finder.path, f"{module.name}.py").read_text("utf-8")
        first_lines[module.name] = ast.get_docstring(ast.parse(source)).splitlines()[0]
    return first_lines


def roots() -> None:
    """The console script `roots`: `roots` lists the programs, `roots NAME --flags` runs one."""
    known = programs()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help", "help"):
        print("usage: roots PROGRAM [--flags]     (roots PROGRAM --help shows the flags)\n")
        for program, line in known.items():
            print(f"  {program.replace('_', '-'):<18} {line}")
        return
    if name.replace("-", "_") not in known:
        names = ", ".join(program.replace("_", "-") for program in known)
        print(f"roots: found no program {name!r}; there are: {names}", file=sys.stderr)
        sys.exit(2)
    sys.argv[:2] = [f"roots {name}"]
    module = importlib.import_module(f"pipelines.{name.replace('-', '_')}")
    run(module.main, module.Config)

"""Programs: one flag a field of a frozen dataclass, one line for a user's mistake.

A program is a module of `pipelines` with a docstring, a frozen dataclass `Config` and a function
`main(config)`. `roots NAME --flags` and `python -m pipelines.NAME --flags` run it; tests and
notebooks call `main(Config(...))`. What declares flags stands in `roots_tf.flags`, and is here too
under the same names: `program.flag`, `program.group`, `program.make` and the others.
"""

import contextlib
import os
import re
import select
import signal
import sys
import textwrap
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import app
from absl import flags as absl_flags

from roots_tf import flags, heartbeat, messages, spelling
from roots_tf import progress as progress_bars
from roots_tf.flags import (
    DROPOUT,
    LAYERS,
    ROWS,
    SEED,
    STEPS,
    TOKENS,
    WEIGHT,
    WIDTH,
    WORKERS,
    Flag,
    FlagError,
    check_value,
    choice,
    flag,
    flags_of,
    flat,
    from_text,
    group,
    make,
    replace,
    to_json,
)
from roots_tf.mistakes import Identified
from roots_tf.progress import of_tasks as progress
from roots_tf.storage import files, outputs, paths
from roots_tf.storage.places import takes_urls

__all__ = [
    "DROPOUT",
    "LAYERS",
    "MESSAGES",
    "ROWS",
    "SEED",
    "STEPS",
    "TOKENS",
    "WEIGHT",
    "WIDTH",
    "WORKERS",
    "FlagError",
    "Stopped",
    "check",
    "check_value",
    "choice",
    "flag",
    "flags_of",
    "flat",
    "from_text",
    "group",
    "help_lines",
    "help_page",
    "leave",
    "make",
    "progress",
    "read",
    "replace",
    "run",
    "stop_in_one_line",
    "takes_urls",
    "to_json",
]

# Of batch systems before they end a job, of a terminal that closes, and of `kill`.
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_HELP = {"--help", "-help", "-h", "--helpshort", "-?"}
# Of every program, and of no config: they change nothing of what is written.
_OF_ALL = "of every program"
MESSAGES = {
    "quiet": flags.Flag(
        bool, False, "say nothing but warnings, errors and the result", _OF_ALL, role="free"
    ),
    "json_logs": flags.Flag(
        bool, False, "each line of stderr is a JSON object", _OF_ALL, role="free"
    ),
}


class Stopped(Identified, BaseException):  # noqa: N818  (no error, and no library is to handle it)
    """One of `SIGNALS` came, where nothing is to be saved.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int):
        super().__init__(
            "stopped",
            f"stopped by {signal.Signals(number).name}; nothing is left half-written: run the same "
            "command again",
        )
        self.exit_status = 128 + number


def check(config) -> None:
    """Refuses what can be seen from flags alone; `main` calls it before anything is read.

    Args:
        config: of a program.

    Raises:
        FlagError: see `flags.check`.
        InputError: see `outputs.check`.
    """
    flags.check(config)
    outputs.check(config)


def run(main, config_class: type) -> typing.NoReturn:
    """Parses the command line into a `config_class` and calls `main` with it, then exits.

    An exception that carries an integer `exit_status` is addressed to the user: its text is
    printed on one line and the process exits with that status; so is a full disk, with status 2,
    whichever library met it. Any other is a bug and keeps its traceback. Ctrl-C and `SIGNALS`,
    where `main` does not handle them, end in one line too.

    Args:
        main: takes a config.
        config_class: a frozen dataclass whose fields `flag`, `group` and `choice` made.
    """
    heartbeat.begin()
    known = flags_of(config_class)
    docstring = sys.modules[config_class.__module__].__doc__
    sys.argv[1:] = _parted(sys.argv[1:], config_class, known)
    own = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    if _HELP & set(own):
        print(help_page(docstring, known), end="")
        sys.exit(0)
    _define(known | MESSAGES, absl_flags.FLAGS)
    name = Path(sys.argv[0]).name
    is_json = any(word in ("--json_logs", "--json_logs=true") for word in own)
    messages.begin(messages.Messages(name, json=is_json))  # also for a flag that is refused
    stop_in_one_line()

    def call_main(arguments):
        values = absl_flags.FLAGS
        messages.begin(messages.Messages(name, bool(values.quiet), bool(values.json_logs)))
        try:
            config = _config(config_class, known, values, arguments[1:])
            check(config)
            main(config)
            _flush()
        except (Exception, Stopped) as error:
            _leave_for(error)
            if values.json_logs:
                messages.bug(error)
                sys.exit(1)
            raise
        except KeyboardInterrupt:
            leave(files.InputError("stopped", "interrupted"), 128 + signal.SIGINT)

    sys.modules["__main__"].__doc__ = docstring  # absl shows it where it refuses a flag
    app.run(call_main, flags_parser=lambda arguments: _parse(arguments, known))


def _leave_for(error: BaseException) -> None:
    """Exits for what is addressed to the user; comes back of a bug."""
    progress_bars.close_all()
    if isinstance(error, MemoryError):
        advice = "give less input at once, or take a larger machine"
        leave(files.InputError("no-memory", f"found no more memory; {advice}"), 2)
    status = getattr(error, "exit_status", None)
    if status is not None:
        leave(error, status)
    if isinstance(error, BrokenPipeError) and not _is_read():
        _flush()
        sys.exit(0)
    if full := files.full_disk(error):
        name = getattr(error, "filename", None)
        where = f" writing {name}" if name else ""
        advice = "make room, then run the same command again"
        leave(files.InputError("no-room", f"{full}{where}: {advice}"), 2)


def read(config_class: type, arguments: Sequence[str]):
    """The config that a command line means, in a process that goes on to others.

    Args:
        config_class: of the program.
        arguments: what stands behind the program's name; `--flagfile=FILE` may be among them.

    Raises:
        FlagError: absl refuses a flag, something stands beside the flags, or see `make`.
    """
    known, values = flags_of(config_class), absl_flags.FlagValues()
    absl_flags.DEFINE_string("flagfile", "", "a file of flags", flag_values=values)
    _define(known | MESSAGES, values)
    try:
        rest = values(["", *_parted(arguments, config_class, known)])[1:]
    except absl_flags.Error as error:
        raise _refused(error, known) from error
    return _config(config_class, known, values, rest)


def _config(
    config_class: type, known: Mapping[str, Flag], values: absl_flags.FlagValues, rest: list[str]
):
    given = {name: values[name].value for name in known if values[name].present}
    # A program that starts others takes what stands beside its flags as the value of one of them.
    beside = getattr(config_class, "beside", None)
    if rest and (beside is None or beside in given):
        raise _beside(rest)
    given |= {beside: rest} if rest else {}
    return make(
        config_class, **{n: tuple(v) if isinstance(v, list) else v for n, v in given.items()}
    )


def _parted(arguments: Sequence[str], config_class: type, known: Mapping[str, Flag]) -> list[str]:
    """The words of a command line, with -- before those of a program that it starts."""
    takes_value = False
    for place, word in enumerate(arguments if hasattr(config_class, "beside") else ()):
        if word == "--":
            break
        if not word.startswith("-") and not takes_value:
            return [*arguments[:place], "--", *arguments[place:]]
        name = word.lstrip("-")
        takes_value = word.startswith("-") and name in known and known[name].hint is not bool
    return list(arguments)


def _beside(rest: list[str]) -> FlagError:
    return FlagError(
        "stray-argument", f"found {rest} beside the flags; wanted --flag=value (quote patterns)"
    )


def stop_in_one_line() -> None:
    """Has `SIGNALS` raise `Stopped`; a second one of a kind ends the process at once.

    One that is ignored, as SIGHUP is under `nohup`, stays so.
    """

    def stop(number, _):
        signal.signal(number, signal.SIG_DFL)
        raise Stopped(number)

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def help_page(docstring: str, known: Mapping[str, Flag]) -> str:
    """What `--help` prints: the docstring, then the flags by group.

    Args:
        docstring: of the program.
        known: its flags, by name.
    """
    lines, known = [docstring.strip()], known | MESSAGES
    for title in dict.fromkeys(about.group for about in known.values()):
        lines += ["", f"{title}:"]
        for name, about in known.items():
            if about.group == title:
                lines += help_lines(name, about)
    return "\n".join([*lines, ""])


def help_lines(name: str, about: Flag) -> list[str]:
    """What help says of one flag.

    Args:
        name: of the flag.
        about: what is known of it.
    """
    start = f"--[no]{name}: " if about.hint is bool else f"--{name}: "
    if about.choices:
        start += f"<{'|'.join(about.choices)}>: "
    rest = {"subsequent_indent": "    ", "break_on_hyphens": False}
    lines = textwrap.wrap(f"{start}{about.help}", 98, **rest)
    notes = [f"a number {about.bounds}"] if str(about.bounds) else []
    if about.is_required:
        notes.append("required")
    elif about.default not in ("", (), None):
        default = about.default
        default = ",".join(default) if isinstance(default, tuple) else default
        default = str(default).lower() if isinstance(default, bool) else default
        notes.append(f"default: '{default}'")
    lines += [f"    ({'; '.join(notes)})"] if notes else []
    return [f"  {line}" for line in lines]


def leave(message, status: int) -> typing.NoReturn:
    """Prints one line for the user and exits.

    Args:
        message: an exception, whose `id` stands at the end of the line if it has one, or a text.
        status: of the process.
    """
    messages.mistake(message, status, Path(sys.argv[0]).name)
    with contextlib.suppress(OSError):
        _flush()
    sys.exit(status)


def _flush() -> None:
    """Writes out what was printed; what cannot be is given up, or Python would try at its exit."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise


def _is_read() -> bool:
    """Whether anybody reads what is printed; `head` stops when it has had enough."""
    poll = select.poll()
    poll.register(sys.stdout, select.POLLOUT)
    return not any(event & select.POLLERR for _, event in poll.poll(0))


def _parse(arguments: list[str], known: Mapping[str, Flag]) -> list[str]:
    """What stands beside the flags; a flag that absl refuses is one line, as any other mistake."""
    try:
        return absl_flags.FLAGS(arguments)
    except absl_flags.Error as error:
        leave(_refused(error, known), 2)


def _refused(error: absl_flags.Error, known: Mapping[str, Flag]) -> FlagError:
    """The mistake for which absl refuses a command line, and what may have been meant."""
    if isinstance(error, absl_flags.UnrecognizedFlagError):
        name, names = error.flagname, [*known, *MESSAGES, "flagfile", "help"]
        names += [f"no{other}" for other, about in known.items() if about.hint is bool]
        meant = spelling.suggestion(f"--{name}", [f"--{other}" for other in names])
        meant = meant.removeprefix("; ") or "--help shows the flags"
        return FlagError("no-such-flag", f"found a flag --{name}; {meant}")
    found = re.match(r"flag --(\w+)=(.*): value should be one of", str(error))
    if found and found[1] in known:
        meant = spelling.suggestion(found[2], known[found[1]].choices)
        return FlagError("no-such-choice", f"{error}{meant or '; --help shows the flags'}")
    if required := re.match(r"flag --(\w+)=None: Flag --\w+ must have a value", str(error)):
        wanted = "wanted one, which this program cannot do without"
        return FlagError("missing-flag", f"found no --{required[1]}; {wanted}")
    text = f"{error}; --help shows the flags"
    if isinstance(error, absl_flags.CantOpenFlagFileError):
        return FlagError("no-such-file", text)
    return FlagError("missing-flag" if "Missing value" in text else "wrong-value", text)


class _Names(absl_flags.ArgumentParser):
    """Reads a list that commas part; see `paths.split_list`."""

    def parse(self, argument):
        """The list; Python may give one."""
        return argument if isinstance(argument, list) else list(paths.split_list(argument))

    def flag_type(self):
        """What messages call it."""
        return "comma separated list of strings"


def _define(known: Mapping[str, Flag], values: absl_flags.FlagValues) -> None:
    """Defines absl flags; what one is where it is not given is the config's to say."""
    define = {
        str: absl_flags.DEFINE_string,
        int: absl_flags.DEFINE_integer,
        float: absl_flags.DEFINE_float,
        bool: absl_flags.DEFINE_bool,
    }
    for name, about in known.items():
        if about.choices:
            absl_flags.DEFINE_enum(name, None, about.choices, about.help, flag_values=values)
        elif about.hint == tuple[str, ...]:
            commas = absl_flags.CsvListSerializer(",")
            absl_flags.DEFINE(
                _Names(), name, None, about.help, flag_values=values, serializer=commas
            )
        else:
            define[about.hint](name, None, about.help, flag_values=values)
        if about.is_required:
            absl_flags.mark_flag_as_required(name, flag_values=values)

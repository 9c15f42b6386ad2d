"""Programs as commands: what a test starts in a process of its own."""

import sys

from roots_tf import program


def command(config) -> list[str]:
    """The command that runs the program of a `config` with the same flags."""
    flags = []
    for name, value in program.flat(config).items():
        if value is None:  # a flag that is not given
            continue
        value = ",".join(value) if isinstance(value, tuple) else value
        flags.append(
            f"--{'' if value else 'no'}{name}" if isinstance(value, bool) else f"--{name}={value}"
        )
    return [sys.executable, "-m", type(config).__module__, *flags]

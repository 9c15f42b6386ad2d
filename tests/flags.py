"""Flags of all programs as lines of text, which `tests/flags.txt` freezes.

A flag that goes, or takes other values, breaks somebody's command: the test shows it, CHANGELOG.md
says it. After a change that is meant:

    python -m tests.flags
"""

import typing
from pathlib import Path

from roots_tf import commands, program

FROZEN = Path(__file__).with_name("flags.txt")


def lines() -> list[str]:
    """One line a flag: program, name, type or choices, and whether it must be given."""
    found = []
    for name in commands.programs():
        shown = name.replace("_", "-")
        for flag, about in program.flags_of(commands.load(name).Config).items():
            if about.choices:
                kind = "|".join(about.choices)
            else:
                kind = "list" if typing.get_origin(about.hint) is tuple else about.hint.__name__
            found.append(f"{shown} --{flag} {kind}" + " required" * about.is_required)
    return sorted(found)


if __name__ == "__main__":
    FROZEN.write_text("".join(f"{line}\n" for line in lines()))

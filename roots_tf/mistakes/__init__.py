"""Kinds of mistakes that are told to the user, each under an id: one registry.

Every error that a program prints on one line carries the id of its kind, and the line ends in it:

    roots curate: found no file that matches 'novel/*.txt'; wanted at least one input [no-such-file]

An error's class inherits `Identified` before its built-in base, and is raised with the id first:
`InputError("no-such-file", "found no file ...")`. A new kind is an entry of the module of its
subject; `tests/test_mistakes.py` asks that every error has a kind and every kind an error.
"""

from roots_tf.mistakes import (
    command_line,
    data,
    files,
    folders,
    hubs,
    machines,
    models,
    stores,
    tokenizers,
)
from roots_tf.mistakes.mistake import Mistake

__all__ = ["MISTAKES", "Identified", "Mistake"]

_SUBJECTS = (command_line, files, folders, data, tokenizers, models, hubs, machines, stores)
MISTAKES: dict[str, Mistake] = {}
for _subject in _SUBJECTS:
    MISTAKES |= _subject.MISTAKES


class Identified:
    """What makes an exception one that is addressed to the user: its message, and its kind's id.

    The text of the error is the message alone. Copies of it, and those that travel between
    processes, have the id too.

    Args:
        id: a key of `MISTAKES`.
        message: one line: what was found, what was wanted, what to do.

    Raises:
        KeyError: there is no such kind.
    """

    def __init__(self, id: str, message: str):
        if id not in MISTAKES:
            raise KeyError(f"{id!r} is no kind of mistake; roots_tf/mistakes has them all")
        super().__init__(message)
        self.id = id

    def __reduce__(self):
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type, arguments: tuple, attributes: dict) -> BaseException:
    """An error as it was, whatever its class takes to be made of."""
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(attributes)
    return error

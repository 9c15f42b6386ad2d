"""The error of storage that is addressed to the user; `files.InputError` is its usual name."""

import re

from roots_tf.mistakes import Identified

_ADDRESS = re.compile(r"\b([a-z][a-z0-9+.-]*://)([^\s'\"<>]*)", re.IGNORECASE)


class InputError(Identified, ValueError):
    """A user's mistake: says what was found, what was wanted and what to do.

    A program prints its text on one line, without a traceback, and exits with `exit_status`.
    `id` is the kind of mistake, a key of `mistakes.MISTAKES`. URLs in the text are as `shown`
    leaves them, whoever wrote it.
    """

    exit_status = 2

    def __init__(self, id: str, message: str):
        super().__init__(id, shown(message))


def shown(text: str) -> str:
    """A text, such as a message or a flag, in which URLs have no user, password or signed query.

    >>> shown("could not read https://me:secret@host/a.txt?signature=0a1b: 403")
    'could not read https://host/a.txt: 403'
    """
    return _ADDRESS.sub(lambda found: found[1] + _without_secrets(found[1], found[2]), text)


def _without_secrets(start: str, rest: str) -> str:
    ends = re.search(r"[:.,;)\]]*$", rest)[0]  # of the sentence
    address = rest[: len(rest) - len(ends)]
    host, slash, path = address.partition("/")
    if start.lower() in ("http://", "https://"):
        path, host = re.split(r"[?#]", path, maxsplit=1)[0], re.split(r"[?#]", host, maxsplit=1)[0]
    return host.rpartition("@")[2] + slash + path + ends

"""Texts without what names a person, a machine or a folder, for a report that goes to strangers."""

import contextlib
import getpass
import os
import re
import socket
import sys
import tempfile
from collections.abc import Iterable

# Of two parts at least, so that "/job:localhost/replica:0" and "1/2" stay. Devices of the system
# are the same everywhere, and what a report of them is about.
_PATH = re.compile(r"(?<![\w.>])(?:~|[A-Za-z]:)?/(?!dev/|proc/)[\w.+@%~-]+(?:/[\w.+@%~-]*)+")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"]+", re.IGNORECASE)
_ADDRESS = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?(?![\w.])")
_ADDRESS_6 = re.compile(r"(?<![\w:])(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{1,4}(?![\w:])", re.IGNORECASE)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*")
_SERIAL = re.compile(r"\b(?:GPU|MIG)-[0-9a-f]{8}-[0-9a-f-]{20,}", re.IGNORECASE)
# Long words of both letters and digits, as keys and tokens of services are, and "token=...".
_TOKEN = re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[A-Za-z0-9_-]{32,}\b")
_SECRET = re.compile(
    r"((?:token|secret|password|passwd|key|credential)s?\w*['\"]?\s*[=:]\s*)[^\s,;]+", re.IGNORECASE
)
_COMMON = {"localhost", "root", "user"}  # which name nobody


def names() -> dict[str, str]:
    """Folders, names of the machine and of the user, each with what stands for it."""
    folders = {os.getcwd(), tempfile.gettempdir(), sys.prefix, os.path.expanduser("~")}
    found = {folder: "<path>" for folder in folders if folder.count("/") > 1 or len(folder) > 4}
    host = socket.gethostname()
    found |= dict.fromkeys((host, host.partition(".")[0], os.environ.get("HOSTNAME", "")), "<host>")
    with contextlib.suppress(Exception):  # a user of a container may have no name
        found[getpass.getuser()] = "<user>"
    found |= {os.environ.get(name, ""): "<user>" for name in ("USER", "LOGNAME")}
    return {name: stands for name, stands in found.items() if name and name not in _COMMON}


def without(text: str, known: Iterable[tuple[str, str]]) -> str:
    """A text in which nothing of that kind stands.

    >>> without("/home/ada/run: no room on 10.0.0.7", {}.items())
    '<path>: no room on <address>'

    Args:
        text: of a message or a log.
        known: names and what stands for each, the items of `names`.
    """
    known = sorted(known, key=lambda pair: -len(pair[0]))
    for name, stands in known:
        if "/" in name:  # with what follows it; it may hold spaces
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)(?:/[^\s'\",:;)]*)?", stands, text)
    for pattern, stands in (
        (_SECRET, r"\1<secret>"),
        *((_URL, "<url>"), (_MAIL, "<mail>"), (_PATH, "<path>"), (_SERIAL, "<serial>")),
        *((_TOKEN, "<secret>"), (_ADDRESS, "<address>"), (_ADDRESS_6, "<address>")),
    ):
        text = pattern.sub(stands, text)
    for name, stands in known:
        if "/" not in name:
            text = re.sub(rf"(?<![\w<]){re.escape(name)}(?![\w>])", stands, text)
    return text


def all_without(value, known: Iterable[tuple[str, str]]):
    """A JSON value whose texts, and keys, are as `without` gives them; arguments likewise."""
    known = list(known)
    if isinstance(value, str):
        return without(value, known)
    if isinstance(value, dict):
        return {without(key, known): all_without(inner, known) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [all_without(inner, known) for inner in value]
    return value

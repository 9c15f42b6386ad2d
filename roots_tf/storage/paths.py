"""Names of files: lists of them in one text, patterns, and what stands in a folder.

Linked folders are followed, each folder is entered once, so that links in a circle end; names that
start with `.` or `_` are hidden.
"""

import csv
import fnmatch
import glob
import os
from collections.abc import Iterator

from roots_tf.storage import listings, urls

_HIDDEN = (".", "_")
_LONGEST_NAME = 32  # commas in a file's name, at most


def split_list(text: str) -> tuple[str, ...]:
    """The names in a list that commas part; a name that holds commas may stand in quotes.

    >>> split_list('a.txt, b.txt'), split_list('"Austen, Jane.txt",b.txt')
    (('a.txt', 'b.txt'), ('Austen, Jane.txt', 'b.txt'))

    Without quotes, names in a row that name no file one by one, but do with the commas between
    them, are that file: `Austen, Jane.txt,b.txt` gives the same where there is such a file.

    Raises:
        ValueError: quotes are not closed; or the whole text names a file, and so do its parts.
    """
    if not text:
        return ()
    if '"' in text and not _is_there(text):
        try:
            return tuple(part.strip() for part in next(csv.reader([text], strict=True)))
        except csv.Error as error:
            raise ValueError(f"{text!r} has quotes that are not closed ({error})") from error
    parts, names = text.split(","), []
    if len(parts) > 1 and _is_there(text):
        if all(_is_there(part.strip()) for part in parts):
            several = ",".join(f'"{part.strip()}"' for part in parts)
            raise ValueError(f"{text!r} is a file, and so are its parts; write '{several}' or one")
        return (text,)
    while parts:
        length = 1
        if not _is_there(parts[0].strip()):
            longest = min(len(parts), _LONGEST_NAME)
            joined = (n for n in range(longest, 1, -1) if _is_there(",".join(parts[:n]).strip()))
            length = next(joined, 1)
        names.append(",".join(parts[:length]).strip())
        del parts[:length]
    return tuple(names)


def named(text: str) -> tuple[str, ...]:
    """The names in one text: itself where it is there, else those of a list; error as there."""
    if not urls.is_url(text) and os.path.lexists(os.path.expanduser(text)):
        return (text,)
    return split_list(text)


def matching(pattern: str) -> list[str]:
    """Files and folders that a glob pattern matches; one that exists is no pattern.

    Raises:
        InputError: a store cannot be asked for what a URL names.
    """
    if urls.is_url(pattern):
        return listings.matching(pattern)
    pattern = os.path.expanduser(pattern)
    if os.path.lexists(pattern):  # its name may hold "[" or "*"
        return [pattern]
    parts = pattern.split(os.sep)
    if "**" not in parts:
        return sorted(glob.glob(pattern))
    at = parts.index("**")
    roots = sorted(glob.glob(os.sep.join(parts[:at]) or os.sep)) if at else [os.curdir]
    return [
        path if at else os.path.relpath(path)
        for root in roots
        for path in _walk(root)
        if _matches(os.path.relpath(path, root).split(os.sep), parts[at:])
    ]


def files_under(folder: str) -> list[str]:
    """Paths of the files in a folder and in those below it, in order of their names.

    Raises:
        OSError: a folder cannot be read, or a link leads nowhere; its `filename` says which.
    """
    return [path for path in _walk(folder) if not os.path.isdir(path)]


def real_names(paths: list[str]) -> dict[str, str]:
    """The first of the paths to each file, by where the file is once links are followed."""
    folders: dict[str, str] = {}
    real: dict[str, str] = {}
    for path in paths:
        if urls.is_url(path):
            real.setdefault(path, path)
            continue
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        place = os.path.realpath(path) if os.path.islink(path) else f"{folders[folder]}/{name}"
        real.setdefault(place, path)
    return real


def is_there(name: str) -> bool:
    """Whether a `name` is that of a file or folder, or a pattern that matches one.

    Of a URL nobody asks: what follows it after a comma is another name.
    """
    if urls.is_url(name):
        return False
    name = os.path.expanduser(name)
    return os.path.lexists(name) or (glob.has_magic(name) and bool(glob.glob(name)))


def _is_there(name: str) -> bool:
    """Whether a name, or what follows `name=` in it, is there: `zh=Lu, Xun.txt` is one source."""
    _, equals, path = name.partition("=")
    return is_there(name) or bool(equals and path and is_there(path.strip()))


def _walk(folder: str) -> Iterator[str]:
    """Everything below a folder that is not hidden, a folder before what it holds."""
    entered, left = {os.path.realpath(folder)}, _entries(folder)
    while left:
        path = left.pop()
        if os.path.isdir(path):
            if (real := os.path.realpath(path)) not in entered:
                entered.add(real)
                yield path
                left += _entries(path)
        elif os.path.isfile(path):
            yield path
        elif os.path.islink(path):
            raise FileNotFoundError(None, f"it leads nowhere, to {os.readlink(path)}", path)


def _entries(folder: str) -> list[str]:
    """Paths of what a folder holds and does not hide, the last one first."""
    names = (name for name in os.listdir(folder) if not name.startswith(_HIDDEN))
    return [os.path.join(folder, name) for name in sorted(names, reverse=True)]


def _matches(names: list[str], patterns: list[str]) -> bool:
    """Whether a path's names match the patterns, of which `**` stands for any number of names."""
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_matches(names[skip:], patterns[1:]) for skip in range(len(names) + 1))
    if not names or not fnmatch.fnmatchcase(names[0], patterns[0]):
        return False
    return _matches(names[1:], patterns[1:])

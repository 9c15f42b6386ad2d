"""Where a program reads and writes, whatever its flags name: URLs become local paths, and back.

    @takes_urls
    def main(config): ...

An input that is a URL is fetched into the cache first, unless the program reads it piece by piece
itself (`flags.flag`, `streams`). An output that is one is a folder of the cache while the program
works, which the store mirrors (`mirror`). The config that `main` gets has the local paths.
"""

import contextlib
import csv
import functools
import io
import json
import logging as python_logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import logging

from roots_tf import flags
from roots_tf.mistakes import Identified
from roots_tf.storage import downloads, files, locks, mirrored, objects, outputs, sources, urls
from roots_tf.storage.files import InputError

_urls: dict[str, str] = {}  # by local path, of the programs that run in this process


def takes_urls(main: Callable) -> Callable:
    """A program's `main` that takes URLs wherever its flags name files or folders.

    Args:
        main: takes a config whose paths are local, but for inputs that stream.

    Raises:
        InputError: as `downloads.local` and `mirror.mirrored`; the program's own tell of URLs
            where they told of the local paths of outputs.
    """

    @functools.wraps(main)
    def with_urls(config):
        known, values = flags.flags_of(type(config)), flags.flat(config)
        given = {
            name: about
            for name, about in known.items()
            if name in values and _names_urls(about, values[name])
        }
        with contextlib.ExitStack() as stack:
            changed = {}
            for name, about in given.items():
                if about.role.startswith("output"):
                    changed[name] = stack.enter_context(_output(config, name, about, values[name]))
            for name, about in given.items():
                if about.role == "input":
                    changed[name] = local_input(values[name])
            if not changed:
                return main(config)
            with _told():
                return as_given(main(flags.replace(config, **changed)))

    return with_urls


def _names_urls(about: flags.Flag, value) -> bool:
    """Whether a flag names URLs that are for this module."""
    if about.role.startswith("output"):
        return isinstance(value, str) and urls.is_url(value)
    if about.role != "input" or about.streams or not value:
        return False
    return any(map(urls.is_url, outputs.names_in(value)))


def local_input(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """The value of an input flag with local paths in place of URLs, which are fetched.

    Args:
        value: names or patterns, a list of them in one text, or named sources.

    Raises:
        InputError: as `downloads.local`.
    """
    parts = [_fetched(part) for part in outputs.texts_in(value)]
    if not isinstance(value, str):
        return tuple(parts)
    if len(parts) == 1:
        return parts[0]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(parts)
    return line.getvalue()


def _fetched(path: str) -> str:
    """The local path in place of a URL, with the name in front of it that it has in a mixture."""
    if url := sources.url_in(path):
        return f"{path.partition('=')[0]}={_fetched(url)}"
    if not urls.is_url(path):
        return path
    fetched = downloads.local(path)
    _urls[fetched] = urls.shown(path)
    return fetched


@contextlib.contextmanager
def _output(config, name: str, about: flags.Flag, url: str) -> Iterator[str]:
    """The local path of an output, which is in the store when the context ends."""
    start, _, rest = url.partition("://")
    url = f"{start.lower()}://{rest.rstrip('/')}"
    _refuse_several_hosts(config, name, url)
    with _file(url) if about.role == "output_file" else folder(url) as path:
        _urls[str(path)] = urls.shown(url)
        try:
            yield str(path)
        finally:
            _urls.pop(str(path), None)


def _refuse_several_hosts(config, name: str, url: str) -> None:
    """Refuses to write a store from several processes of one run, which see one folder else."""
    if "strategy" not in flags.flags_of(type(config)):
        return
    workers = 0
    with contextlib.suppress(ValueError, AttributeError, TypeError):  # who reads it says why
        cluster = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {})
        workers = len(cluster.get("worker", [])) + len(cluster.get("chief", []))
    if workers > 1:
        raise InputError(
            "flags-conflict",
            f"found --{name}={urls.shown(url)} and {workers} workers in TF_CONFIG; wanted a folder "
            "that all of them see: choose one on a shared file system",
        )


@contextlib.contextmanager
def folder(url: str) -> Iterator[Path]:
    """A folder that the store mirrors, always the same one of a URL."""
    place = downloads.root() / "outputs" / files.fingerprint(url)
    path = place / (urls.split(url)[1] or url.partition("://")[2])
    downloads.check_writable()
    try:
        with _locked(place, url):
            with files.writing(path):
                path.mkdir(exist_ok=True)
            _urls[str(place)] = urls.shown(url)
            try:
                with mirrored.mirrored(path, url):
                    yield path
            finally:
                with contextlib.suppress(OSError):  # of a program that wrote nothing
                    path.rmdir()
                    (place / mirrored.TOKEN).unlink()
    finally:
        _urls.pop(str(place), None)


@contextlib.contextmanager
def _locked(place: Path, url: str) -> Iterator[None]:
    """Context in which no other process of this machine writes a URL, of which errors tell."""
    try:
        with locks.held(place):
            yield
    except InputError as error:
        error.args = (str(error).replace(f" in {place} (", f" in {urls.shown(url)} ("),)
        raise


@contextlib.contextmanager
def _file(url: str) -> Iterator[Path]:
    """A file of a folder of its own, which is uploaded with what is written beside it.

    It is always the same folder of a URL, where a program finds the parts of a file that one before
    it did not finish (`mirror.PARTS`).
    """
    folder = downloads.root() / "outputs" / files.fingerprint(url)
    objects.try_to_write(url)
    downloads.check_writable()
    with _locked(folder, url), mirrored.uploaded(folder, url):
        yield folder / urls.split(url)[1]


def as_given(value):
    """A text, or texts in lists, tuples and values of a dict, as the user knows their places.

    Args:
        value: in which URLs take the place of local paths that stand for them.
    """
    if isinstance(value, str):
        for path in sorted(_urls, key=len, reverse=True):
            value = value.replace(path, _urls[path])
    elif type(value) in (list, tuple):
        value = type(value)(map(as_given, value))
    elif type(value) is dict:
        value = {name: as_given(inner) for name, inner in value.items()}
    return value


def _tell_as_given(record: python_logging.LogRecord) -> bool:
    """Has a line of the log name URLs; it is a filter that lets all lines pass."""
    record.msg, record.args = as_given(record.getMessage()), ()
    return True


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Context in which lines of the log, and mistakes, name URLs in place of local paths."""
    logger = logging.get_absl_logger()
    logger.addFilter(_tell_as_given)
    try:
        yield
    except Exception as error:
        if isinstance(error, Identified):
            error.args = (as_given(str(error)),)
        raise
    finally:
        logger.removeFilter(_tell_as_given)

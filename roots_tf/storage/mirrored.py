"""A local folder under a URL, for as long as a program works; see `mirror` for how.

Which copy is right? The lock in the store (`url_locks`) holds the token of the local folder that it
was last written from. If that is this folder's, what is here is newer, such as after a kill or an
upload that was refused; else the store is right, and the folder becomes what the store holds.
"""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

from absl import logging

from roots_tf.storage import files, leftovers, url_locks, urls
from roots_tf.storage.files import InputError
from roots_tf.storage.mirror import Mirror, is_hidden

TOKEN = ".mirror"  # file beside the local folder
_DONE = " done"  # behind a token: all was up when the program ended


@contextlib.contextmanager
def mirrored(folder: Path, url: str) -> Iterator[None]:
    """Context in which a local folder and a URL are one, and no other process writes there.

    At its end all is up, also of a program that ends in an error.

    Args:
        folder: of this machine; it is made.
        url: of a folder of a store.

    Raises:
        InputError: another process writes there; or the store refuses or cannot be reached: then
            the folder stays, and who comes next goes on with it.
    """
    token, new = folder.with_name(TOKEN), uuid.uuid4().hex
    there = token.read_text() if token.exists() and any(folder.iterdir()) else ""
    mine = there.removesuffix(_DONE)
    with url_locks.held(url, lambda before: before if before and before == mine else new) as lease:
        mirror = Mirror(folder, url, lease)
        lease.leaves_nothing = lease.is_first
        if lease.is_first:
            mirror.check_free()
        is_same = lease.token == mine
        if not is_same:
            token.unlink(missing_ok=True)  # after a kill from here on the store is right
        mirror.bring_down(is_same and not there.endswith(_DONE), is_same)
        files.write_text(token, lease.token)
        logging.info("%s is written by way of %s", urls.shown(url), folder)
        mirror.start()
        try:
            with _finishing(mirror, folder, url, "the same command goes on from there"):
                yield
        finally:
            mirror.stop()
            lease.leaves_nothing = mirror.is_empty
            if mirror.is_done:  # what is removed here from now on stays there
                files.write_text(token, lease.token + _DONE)


@contextlib.contextmanager
def uploaded(folder: Path, url: str) -> Iterator[None]:
    """Context at whose end a file, and what is written beside it, is in a folder of a store.

    Args:
        folder: of this machine, which this process holds. What a process before this one left in it
            is removed, and what is up at the end too, but for parts of a file that is not finished.
        url: of the file; files beside it of other names are left alone.

    Raises:
        InputError: the store refuses or cannot be reached; then the local folder stays.
    """
    _clear(folder)
    mirror = Mirror(folder, urls.split(url)[0])
    try:
        with _finishing(mirror, folder, url, "copy it from there; the same command makes it anew"):
            yield
    finally:
        if mirror.is_done:
            _clear(folder)


def _clear(folder: Path) -> None:
    """Removes what is in a folder, but for hidden files and parts of a file under way."""
    for path in [path for path in folder.iterdir() if not is_hidden(path.name)]:
        leftovers.remove(path)


@contextlib.contextmanager
def _finishing(mirror: Mirror, folder: Path, url: str, advice: str) -> Iterator[None]:
    """Context at whose end all is up, also where it ends in an error: then that is what is told.

    Args:
        mirror: of the folder.
        folder: of this machine.
        url: that is to hold the same.
        advice: what to do with the folder where the store did not take all of it.
    """
    try:
        yield
    except BaseException:
        try:
            _finish(mirror, folder, url, advice, in_error=True)
        except InputError as error:
            logging.error("%s", error)
        raise
    _finish(mirror, folder, url, advice)


def _finish(mirror: Mirror, folder: Path, url: str, advice: str, in_error: bool = False) -> None:
    """Uploads the rest, and says where everything is."""
    try:
        size = mirror.finish()
    except InputError as error:
        raise InputError(
            error.id,
            f"{error}. Not everything is in {urls.shown(url)} yet; what was written is kept in "
            f"{folder}: {advice}",
        ) from error
    if mirror.uploads or not in_error:
        logging.info("%s holds all of it, %.1f MB, compared", urls.shown(url), size / 1e6)

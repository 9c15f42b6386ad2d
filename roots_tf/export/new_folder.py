"""A folder that appears whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from roots_tf.storage import files, leftovers
from roots_tf.storage.files import InputError


@contextlib.contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """Gives an empty temporary folder beside `folder`; on success it is renamed to it.

    Raises:
        InputError: something stands under that name already, or it cannot be written.
    """
    folder = Path(os.path.abspath(folder))
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(
            "folder-taken", f"found {folder}; wanted a new folder: remove it or choose another name"
        )
    temporary = leftovers.temporary_path(folder)
    leftovers.sweep_once(folder.parent)
    try:
        with files.writing(folder):
            temporary.mkdir(parents=True)
            yield temporary
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

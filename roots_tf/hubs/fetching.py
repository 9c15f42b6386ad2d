"""A model of the Hugging Face hub as a folder: the snapshot of one commit in the hub's own cache.

    revision -> commit           asked of the hub; without a network, as it was when last asked
    commit -> list of files      with the size and the git hash of each
    settings, then weights       only what the import reads; weights last

A commit says what each file holds: each is compared with it before anything is read, since what
breaks off on the way, or was damaged in the cache, would else be another model.
"""

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import huggingface_hub
from absl import logging
from huggingface_hub import HfApi, constants
from huggingface_hub.hf_api import RepoFile, ResolvedRevision

from roots_tf import progress
from roots_tf.hubs import import_files
from roots_tf.hubs.refusals import patiently, quietly
from roots_tf.storage.files import InputError

_BLOCK = 1 << 22
_REVISION = re.compile(r"(\w[\w./+-]*)?")


class Fetched(NamedTuple):
    """A snapshot.

    Attributes:
        folder: in the cache; nothing may be written there.
        source: what `model.json` says of it: hub, name, revision, commit, and the SHA-256 of each
            file of weights.
    """

    folder: str
    source: dict


class _Repository:
    """A repository at one commit.

    Attributes:
        commit: the hash of it.
        listed: what its files are, by name.
        folder: of the snapshot, once a file is there.
        sums: SHA-256 of the files that are there.

    Args:
        name: of the repository.
        revision: branch, tag or commit; "": the default branch.

    Raises:
        InputError: there is none of that name or revision, or the hub cannot be reached and its
            cache does not have the list of files.
    """

    def __init__(self, name: str, revision: str):
        if not _REVISION.fullmatch(revision) or ".." in revision:  # it is a path in the cache
            raise InputError(
                "wrong-value",
                f"found --revision={revision}; wanted a branch, a tag or a commit of {name}",
            )
        self._name, self._revision = name, revision
        self._api = HfApi(library_name="roots_tf")  # which looks up now where the hub is
        resolved = self._resolved()
        self.commit, self.folder, self.sums = resolved.resolved, Path(), {}

        def read_list():
            cache = Path(constants.HF_HUB_CACHE)
            cache.mkdir(parents=True, exist_ok=True)
            # The pattern matches no file, so that the list of files alone comes, and is kept.
            self._api.snapshot_download(name, revision=resolved, allow_patterns=["/"])
            try:
                return huggingface_hub.get_cached_repo_tree(name, revision=resolved)
            except huggingface_hub.errors.CachedRepoTreeNotFoundError:
                if os.access(cache, os.W_OK):
                    raise
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(cache)) from None

        found = self._ask(read_list)
        self.listed = {file.path: file for file in found if ".." not in file.path.split("/")}
        logging.info("%s at %s: commit %s", name, revision or "main", self.commit)

    def _resolved(self) -> ResolvedRevision:
        """The commit of the revision, as the hub says, or as it last said where it is silent."""
        asked = {"repo_id": self._name, "revision": self._revision or None}
        try:
            self._ask(lambda: self._api.model_info(**asked, timeout=constants.HF_HUB_ETAG_TIMEOUT))
            # Which asks again, and keeps what it hears for when there is no answer.
            return self._ask(lambda: self._api.resolve_revision(**asked))
        except InputError as error:
            if error.id != "hub-unreachable":
                raise
            try:
                resolved = self._api.resolve_revision(**asked, local_files_only=True)
            except Exception:
                raise error from None
            if not constants.HF_HUB_OFFLINE:
                logging.warning("no answer of the hub; %s is taken as it was cached", self._name)
            return resolved

    def get(self, names: Iterable[str]) -> None:
        """Has the files in the cache, each as the commit lists it.

        Raises:
            InputError: the hub cannot be reached or does not have them; or they are damaged.
        """
        for name in names:
            path = self._download(name)
            found = _sha256_of_listed(path, self.listed[name])
            if not found and not constants.HF_HUB_OFFLINE:
                # The library takes whatever stands in its cache for whole, so it would stay there.
                logging.warning("%s of %s is damaged; it is fetched again", name, self._name)
                path = self._download(name, anew=True)
                found = _sha256_of_listed(path, self.listed[name])
                if not found:
                    with contextlib.suppress(OSError):
                        path.resolve().unlink()
                        path.unlink()
            if not found:
                raise InputError(
                    "file-damaged",
                    f"found another {name} of {self._name} in {path.parent} than commit "
                    f"{self.commit[:12]} lists; wanted the bytes of that commit: run the same "
                    "command again where there is a network, and it is fetched anew",
                )
            self.folder, self.sums[name] = path.parents[name.count("/")], found

    def _download(self, name: str, anew: bool = False) -> Path:
        def download() -> str:
            return self._api.hf_hub_download(
                *(self._name, name),
                **{"revision": self.commit, "force_download": anew, "tqdm_class": _Bar},
            )

        return Path(self._ask(download))

    def _ask(self, do: Callable):
        """What a function gives that asks the hub."""
        return patiently(self._name, do, self._revision)


def fetch(name: str, revision: str = "") -> Fetched:
    """Fetches what the import reads of a model, or finds it in the cache.

    Args:
        name: of the repository, `"owner/name"`.
        revision: branch, tag or commit; "": the default branch.

    Raises:
        InputError: there is no such repository or revision, or it is not to be read by you; it
            holds no weights that are read; the hub cannot be reached and the cache lacks a file; or
            what came is not what the commit lists.
    """
    with quietly():
        found = _Repository(name, revision)
        found.get(import_files.first(found.listed, name))
        found.get(import_files.second(found.folder, found.listed))
        weights = import_files.weights(found.folder, found.listed, name)
        found.get(weights)
    source = {"hub": "huggingface", "name": name, "revision": revision or "main"}
    sums = {each: found.sums[each] for each in weights}
    return Fetched(str(found.folder), source | {"commit": found.commit, "sha256": sums})


def _sha256_of_listed(path: Path, listed: RepoFile) -> str:
    """SHA-256 of a file whose bytes are those that the commit lists; "" of another.

    Of a large file git has a pointer: github.com/git-lfs/git-lfs/blob/main/docs/spec.md.
    """
    size = path.stat().st_size
    if size != listed.size:
        return ""
    git, sha256 = hashlib.sha1(b"blob %d\0" % size), hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            git.update(block)
            sha256.update(block)
    oid = sha256.hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n"
    of_pointer = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer.encode())
    return oid if listed.blob_id in (git.hexdigest(), of_pointer.hexdigest()) else ""


class _Bar:
    """How far a file is, in the manner of a program here; with the methods that the hub asks for.

    Args:
        total: bytes; None is not known.
        initial: bytes that were there.
        desc: name of the file.
        **_: how the hub would show it.
    """

    def __init__(self, *, total: int | None = None, initial: int = 0, desc: str = "", **_):
        self._shown = progress.Progress(f"fetch {desc}", total, "bytes", initial)
        self.total = total

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def update(self, count: float = 1) -> None:
        """Some more bytes are there; less than 0 where it begins again."""
        self._shown.add(int(count))

    def update_transfer(self, _count: float = 1) -> None:
        """Bytes on the way, which are counted as they arrive."""

    def set_postfix_str(self, *_args, **_options) -> None:
        """A rate, which is told already."""

    set_transfer_postfix_str = refresh = set_postfix_str

    @property
    def format_dict(self) -> dict:
        """Nothing of what a bar of tqdm would show."""
        return {}

    def close(self) -> None:
        """Ends it."""
        self._shown.close()

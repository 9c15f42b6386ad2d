"""A folder as one commit of a repository of the Hugging Face hub.

What is asked first costs no work: is there a token, may it write, and does the repository hold a
model already. One that does is left alone, unless `--push_over` says that its files are to make
room; they stay in its history. The commit names the one it was made upon, so that what somebody
else has pushed meanwhile is never covered.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
from absl import logging
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants

from roots_tf.hubs.push_flags import PushFlags
from roots_tf.hubs.refusals import patiently, quietly
from roots_tf.storage import files, hub_names
from roots_tf.storage.files import InputError

_CARD = "README.md"
# What stays where a model makes room: who wrote it meant the repository, not one of its models.
_STAYS = (".gitattributes", ".gitignore", "LICENSE*", "NOTICE*", "*.md")
_OF_MODELS = (
    *("*.safetensors", "*.bin", "*.pt", "*.pth", "*.h5", "*.msgpack", "*.onnx", "*.gguf"),
    *("*.pb", "*.tflite", "config.json", "adapter_config.json", "tokenizer.json"),
)


class Target:
    """A repository that may be written, as it was when it was looked at.

    Args:
        flags: that name it.

    Raises:
        InputError: it is no name; there is no token, or none that may write; the hub cannot be
            reached; or the repository holds a model, and nobody said that it may be replaced.
    """

    def __init__(self, flags: PushFlags):
        self.name, self._private, self._over = flags.push_to, flags.private, flags.push_over
        if "/" not in self.name or hub_names.repository(hub_names.HUGGING_FACE + self.name) == "":
            raise InputError(
                "wrong-value",
                f"found --push_to={self.name}; wanted owner/name, of letters, digits, '-', '_' and "
                "'.', the owner being you or an organisation of yours",
            )
        if not huggingface_hub.get_token():
            raise InputError(
                "hub-refuses",
                f"found --push_to={self.name} and no token; wanted one that may write: `hf auth "
                "login` or HF_TOKEN gives it",
            )
        self._api = HfApi(library_name="roots_tf")
        with quietly():
            self._ask(self._api.whoami)
            self._commit, self._listed = self._state()
        self._check_free()

    def _check_free(self) -> None:
        """Refuses to cover a model, where that was not asked for."""
        if (held := self._models()) and not self._over:
            raise InputError(
                "folder-taken",
                f"found a model in {self.name} ({', '.join(held[:3])}, commit {self._commit[:12]});"
                " wanted a repository without one: choose another name, or give --push_over, which"
                " commits this model in its place and leaves that one in the history",
            )

    def push(self, folder: str | Path) -> str:
        """Uploads a folder, and returns the URL of the commit.

        Args:
            folder: with `README.md`, the model card.

        Raises:
            InputError: the hub refuses something, or breaks off; the folder stays where it is.
        """
        folder = Path(folder)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        size = sum(path.stat().st_size for path in paths)
        logging.info("%s: %d files, %.1f MB on the way", self.name, len(paths), size / 1e6)
        with quietly():
            if not self._commit:
                make = {"private": True} if self._private else {}
                self._ask(lambda: self._api.create_repo(self.name, exist_ok=True, **make))
                self._commit, self._listed = self._state()
                self._check_free()
            new = {str(path.relative_to(folder)): path for path in paths}
            if _CARD in self._listed and _CARD in new and not self._over:
                logging.warning("%s of %s stays as it is there", _CARD, self.name)
                del new[_CARD]
            return self._ask(lambda: self._commit_of(new, folder))

    def _commit_of(self, new: dict[str, Path], folder: Path) -> str:
        """Makes the commit, where an attempt before, whose answer was lost, has not."""
        commit, listed = self._state()
        if all(name in listed and _is_there(new[name], listed[name]) for name in new):
            return f"{constants.ENDPOINT}/{self.name}/commit/{commit}"
        operations = [CommitOperationAdd(name, path) for name, path in new.items()]
        for name in self._listed if self._models() else ():
            if name not in new and not _matches(name, _STAYS):
                operations.append(CommitOperationDelete(name, is_folder=False))
        try:
            made = self._api.create_commit(
                *(self.name, operations),
                commit_message="Model written by roots export",
                parent_commit=self._commit,
            )
        except ValueError as error:  # of the head of the card
            reason = " ".join(str(error).split())
            raise InputError(
                "wrong-value",
                f"found that the hub refuses the head of {folder / _CARD}: {reason}; wanted one "
                "that it takes: give another --license, --language or --datasets",
            ) from None
        except huggingface_hub.errors.HfHubHTTPError as error:
            if error.response.status_code not in (409, 412):
                raise
            raise InputError(
                "inputs-changed",
                f"found a commit in {self.name} that came meanwhile; wanted it as it was, so that "
                f"nothing of others is covered: look at it and run the command again ({folder} "
                "is written)",
            ) from None
        return made.commit_url

    def _state(self) -> tuple[str, dict]:
        """Commit and files of the repository; "" and none where there is none."""

        def look():
            try:
                return self._api.model_info(self.name, files_metadata=True)
            except huggingface_hub.errors.GatedRepoError:
                raise
            except huggingface_hub.errors.RepositoryNotFoundError:
                return None

        found = self._ask(look)
        if found is None:
            return "", {}
        return found.sha, {file.rfilename: file for file in found.siblings or ()}

    def _ask(self, do: Callable):
        """What a function gives that asks the hub."""
        return patiently(self.name, do, sends=True)

    def _models(self) -> list[str]:
        """Files of the repository that are of a model."""
        return [name for name in sorted(self._listed) if _matches(name, _OF_MODELS)]


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(Path(name).match(pattern) for pattern in patterns)


def _is_there(path: Path, listed) -> bool:
    """Whether the hub has these bytes."""
    if listed.size != path.stat().st_size:
        return False
    if listed.lfs:
        return listed.lfs.sha256 == files.sha256(path)
    content = path.read_bytes()  # small: large files are of the other kind
    return listed.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

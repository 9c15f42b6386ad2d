"""Checkpoints of explicit, named variables, so that nothing is dropped in silence.

Keras models handed to `tf.train.Checkpoint` lose layers that are held in lists; here a checkpoint
is a flat table of variables, and reading one back insists on every entry. TensorFlow writes the
index of a checkpoint last, so one that has an index is whole.
"""

import re
import shutil
from pathlib import Path

import tensorflow as tf
from absl import logging

from roots_tf import files
from roots_tf.files import InputError


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they are: `ckpt-<step>.index` and its data.
        variables: what they hold; the order and names must be the same at every start.
        keep: how many of the newest stay on disk, beside the one with the best score.
    """

    def __init__(self, folder: str | Path, variables: dict[str, tf.Variable], keep: int = 2):
        # Slashes would be escaped; the number keeps the names apart.
        table = {
            f"{index:04d}.{name.replace('/', '.')}": variable
            for index, (name, variable) in enumerate(variables.items())
        }
        self._checkpoint = tf.train.Checkpoint(**table)
        self._folder, self._keep = Path(folder), keep
        self._best = self._folder / "best.json"

    def paths(self) -> dict[int, str]:
        """Prefix of every whole checkpoint by its step, ascending."""
        paths = {}
        for index in self._folder.glob("ckpt-*.index"):
            if match := re.fullmatch(r"ckpt-(\d+)\.index", index.name):
                paths[int(match[1])] = str(index.with_suffix(""))
        return dict(sorted(paths.items()))

    def restore(self) -> int | None:
        """Reads the newest checkpoint that is not damaged into the variables.

        Returns:
            Its step; None where there is no checkpoint yet.

        Raises:
            InputError: every checkpoint is damaged or of another model.
        """
        paths = self.paths()
        for step, path in reversed(paths.items()):
            try:
                self._checkpoint.read(path).assert_consumed()
            except (AssertionError, ValueError, IndexError, RuntimeError, tf.errors.OpError) as e:
                logging.error("%s is damaged or of another model: %s", path, _line(e))
                continue
            logging.info("restored %s", path)
            return step
        if paths:
            raise InputError(
                f"could not restore any of {', '.join(paths.values())}, see above; copy one back, "
                "or remove the folder to start again"
            )
        return None

    def best(self) -> dict | None:
        """Step and score of the best checkpoint on disk; None where no score was given."""
        return files.read_json(self._best) if self._best.exists() else None

    def beside(self, step: int) -> dict | None:
        """The JSON that was saved beside the checkpoint of a step, or None."""
        path = self._folder / f"ckpt-{step}.json"
        return files.read_json(path) if path.exists() else None

    def save(self, step: int, score: float | None = None, beside: dict | None = None) -> None:
        """Writes the checkpoint of a step and removes the oldest beyond `keep`.

        Args:
            step: its number.
            score: held-out loss at this step, if known; the checkpoint of the lowest stays.
            beside: JSON to save with it.

        Raises:
            InputError: the disk is full or cannot be written; the checkpoints before it stand.
        """
        try:
            if beside is not None:
                files.write_json(self._folder / f"ckpt-{step}.json", beside)
            self._checkpoint.write(str(self._folder / f"ckpt-{step}"))
            best = self.best()
            if score is not None and (best is None or score < best["score"]):
                files.write_json(self._best, {"step": step, "score": score})
        except (tf.errors.OpError, OSError, InputError) as error:
            last = list(self.paths().values())[-1:] or ["none"]
            raise InputError(
                f"could not write the checkpoint of step {step}: {_line(error)}; the last good one "
                f"is {last[0]}: make room, then run the same command again"
            ) from error
        finally:
            self._remove_pieces()
        best = self.best()
        for number, path in list(self.paths().items())[: -self._keep]:
            if best is None or number != best["step"]:
                Path(f"{path}.index").unlink()  # first: without it the rest is no checkpoint
        self._remove_pieces()

    def _remove_pieces(self) -> None:
        """Removes what belongs to no whole checkpoint: rests of an old one or of a cut write."""
        whole = {Path(path).name for path in self.paths().values()}
        for piece in self._folder.glob("ckpt-*"):
            if re.match(r"ckpt-\d+", piece.name)[0] not in whole:
                shutil.rmtree(piece) if piece.is_dir() else piece.unlink()


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

"""Checkpoints of explicit, named variables, so that nothing is dropped in silence.

Keras models handed to `tf.train.Checkpoint` lose layers that are held in lists; here a checkpoint
is a flat table of variables, and reading one back insists on every entry.
"""

from pathlib import Path

import tensorflow as tf
from absl import logging

from roots_tf.files import InputError


class Checkpoints:
    """The checkpoints of one run, newest last.

    Args:
        folder: where they are.
        variables: what they hold; the order and names must be the same at every start.
        keep: how many of the newest stay on disk.
    """

    def __init__(self, folder: str | Path, variables: dict[str, tf.Variable], keep: int = 2):
        # Paths may repeat and may hold slashes, which checkpoints escape.
        table = {
            f"{index:04d}.{name.replace('/', '.')}": variable
            for index, (name, variable) in enumerate(variables.items())
        }
        self._checkpoint = tf.train.Checkpoint(**table)
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=keep)

    def restore(self) -> str | None:
        """Reads the newest checkpoint into the variables.

        Returns:
            Its path; None where there is none yet.

        Raises:
            InputError: the newest checkpoint is damaged or of another model.
        """
        newest = self._manager.latest_checkpoint
        if newest is None:
            return None
        try:
            self._checkpoint.restore(newest).assert_consumed()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise InputError(
                f"could not restore {newest}: {str(error).splitlines()[0]}; remove that checkpoint "
                "to go on from the one before it, or train into another folder"
            ) from error
        logging.info("restored %s", newest)
        return newest

    def save(self, step: int) -> str:
        """Writes a checkpoint named by `step` and removes the oldest beyond `keep`.

        Raises:
            InputError: the disk is full or cannot be written.
        """
        try:
            return self._manager.save(checkpoint_number=step)
        except (tf.errors.OpError, OSError) as error:
            raise InputError(
                f"could not write the checkpoint of step {step}: {str(error).splitlines()[0]}; the "
                f"last good one is {self._manager.latest_checkpoint}: make room, then run the same "
                "command again"
            ) from error

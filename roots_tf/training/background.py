"""What is written while steps go on: one piece of work at a time, on a thread of its own."""

import contextlib
import threading
from collections.abc import Callable, Iterator

import tensorflow as tf
from absl import logging

from roots_tf.storage.files import InputError


class Background:
    """A thread for one piece of work after another."""

    def __init__(self):
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def begin(self, work: Callable[[], None]) -> None:
        """Has a thread do the `work`, once the one before it is done; see `wait`."""
        self.wait()

        def do():
            try:
                work()
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=do, name="checkpoint")
        self._thread.start()

    def wait(self) -> None:
        """Waits for the work under way, and raises what it has raised."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def check(self) -> None:
        """Raises what the work has raised, if it has ended so; waits for nothing."""
        if self._error is not None:
            self.wait()

    @contextlib.contextmanager
    def finished(self) -> Iterator[None]:
        """Context whose end waits too; an error from within it counts more than the work's."""
        try:
            yield
        except BaseException:
            try:
                self.wait()
            except InputError as error:
                logging.error("%s", error)
            raise
        self.wait()


def values_now(variables: dict[str, tf.Variable]) -> dict[str, tf.Tensor]:
    """What variables hold, in the memory of the host, whatever is assigned to them later.

    Of a GPU's variables that is a copy. Of a CPU's it is the array itself, which TensorFlow copies
    when a step first writes to the variable while somebody still reads the old array.

    Args:
        variables: by name.
    """
    with tf.device("/CPU:0"):
        return {name: tf.identity(variable.read_value()) for name, variable in variables.items()}

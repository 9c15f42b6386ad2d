"""The error of storage that is addressed to the user; `files.InputError` is its usual name."""

from roots_tf.mistakes import Identified


class InputError(Identified, ValueError):
    """A user's mistake: says what was found, what was wanted and what to do.

    A program prints its text on one line, without a traceback, and exits with `exit_status`.
    `id` is the kind of mistake, a key of `mistakes.MISTAKES`.
    """

    exit_status = 2

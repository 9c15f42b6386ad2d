"""Placeholder of Scalar until the merge."""

from collections.abc import Callable
from typing import NamedTuple


class Scalar(NamedTuple):
    """A number that a task tells of a batch."""

    name: str
    section: str
    is_loss: bool = False
    of: str = ""
    by: Callable[[float], float | None] | None = None

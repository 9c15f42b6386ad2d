"""Numbers that a task tells of a batch."""

from collections.abc import Callable
from typing import NamedTuple


class Scalar(NamedTuple):
    """A number that a task tells of a batch, for the loop, TensorBoard and doctor.

    Attributes:
        name: such as "masked_lm_loss".
        section: of TensorBoard, such as "loss" or "accuracy".
        is_loss: whether its weighted mean is a part of the loss that is trained.
        of: name of the scalar from whose mean this one follows, such as "masked_lm_loss" of the
            perplexity; "" where this one is a sum of its own.
        by: from that mean to this number, such as `perplexity`; None where it is a sum of its own.
    """

    name: str
    section: str
    is_loss: bool = False
    of: str = ""
    by: Callable[[float], float | None] | None = None

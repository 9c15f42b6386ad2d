"""What a kind of task is asked for batches, and what it gives, whatever its rows are."""

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Batching(NamedTuple):
    """How rows become batches for training.

    Attributes:
        batch_size: examples of a batch of all workers together.
        seed: of the order.
        tokens: padded tokens of a batch at most, in place of `batch_size`; 0: not counted.
        one_length: whether every batch is of one shape, where a further one is compiled for
            minutes.
        parts: equal slices that a batch is cut into: replicas times micro-batches.
        worker: index of this worker, and how many there are.
    """

    batch_size: int
    seed: int
    tokens: int = 0
    one_length: bool = False
    parts: int = 1
    worker: tuple[int, int] = (0, 1)


class Batches(NamedTuple):
    """Endless batches, that of each step a pure function of (rows, seed, step).

    Attributes:
        start: gives the batches from a step on, a `tf.data.Dataset`.
        an_epoch: steps in which every example comes once; no whole number where a batch may reach
            over the end of an epoch.
        tokens: of a batch, without padding, in the mean.
        examples: likewise.
    """

    start: Callable[[int], Iterable[dict]]
    an_epoch: float
    tokens: float
    examples: float

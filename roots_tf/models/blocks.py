"""Attention within a window by blocks: how rows are cut, and what that computes.

A block of queries meets its own keys and those of its neighbours. Time and memory grow with
L * window, where all pairs would take L * L (Beltagy et al. 2020, arXiv:2004.05150, section 3.1;
its chunks overlap, these do not). `models.local` is the computation.
"""

import dataclasses

from roots_tf.models.config import EncoderConfig

SMALLEST = 64  # tokens of a block: products of smaller ones are mostly overhead
WORTH = 4  # rows of as many times the keys that a block meets are taken in blocks


@dataclasses.dataclass(frozen=True)
class Blocks:
    """How rows are cut.

    Attributes:
        length: L, tokens of a row.
        size: C, tokens of a block; half of the window, or more.
        neighbours: blocks that are seen before a block's own and after it: (1, 1) or (1, 0).
    """

    length: int
    size: int
    neighbours: tuple[int, int]

    @property
    def count(self) -> int:
        """M, blocks of a row; the last is filled up."""
        return -(-self.length // self.size)

    @property
    def width(self) -> int:
        """S, keys that a block of queries meets."""
        return self.size * (1 + sum(self.neighbours))


def blocks_of(length: int | None, window: int, causal: bool) -> Blocks | None:
    """The blocks for rows of a length that is known, or None where all pairs take no longer.

    Keys are copied for each block that they stand in, so blocks pay from some four times as many
    keys on as a block meets: with a window of 128, from rows of 768 tokens.

    Args:
        length: L, or None.
        window: twice the largest distance between a query and a key it sees; 0: any distance.
        causal: whether keys after the query are hidden.
    """
    if length is None or not window:
        return None
    found = Blocks(length, max(window // 2, SMALLEST), (1, 0 if causal else 1))
    return found if WORTH * found.width <= length else None


def pairs(config: EncoderConfig, layer: int, length: int, causal: bool) -> int:
    """Pairs of a query and a key of one row whose products a layer computes.

    Args:
        config: of the stack.
        layer: its number, from 0.
        length: L.
        causal: as for `blocks_of`.
    """
    window = config.window if config.is_local(layer) else 0
    blocks = blocks_of(length, window, causal)
    return blocks.count * blocks.size * blocks.width if blocks else length * length

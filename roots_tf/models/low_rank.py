"""Low-rank updates of the matrices in a model's blocks: LoRA (Hu et al. 2021, arXiv:2106.09685).

A matrix W [K, M] stays as it is, and x W + s x A B takes the place of x W, with A [K, R] and
B [R, M] trained (section 4.1). B begins at zero, so that the model begins as it was.

Linear maps that stand side by side in one matrix have a pair each: those to queries, keys and
values, and the two of a gated layer. One pair over all of them would be of another, smaller class
of updates, and libraries that keep these maps apart could not read it.
"""

import contextlib
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from roots_tf.models.layers import Weights

# Of a matrix that holds several maps, or whose layer is not called after its map.
_MAPS = {
    "query_key_value_kernel": ("query", "key", "value"),
    "query_kernel": ("query",),
    "key_value_kernel": ("key", "value"),
    "output_kernel": ("output",),
}


def maps(weight: keras.Variable) -> tuple[str, ...]:
    """Names of the linear maps that stand side by side in a `weight`; none of one of no block."""
    *_, layer, name = weight.path.split("/")
    return _MAPS.get(name, (layer,) * len(getattr(weight, "parts", ())))


def targeted(model: keras.Model, targets: Sequence[str]) -> list[keras.Variable]:
    """The matrices of a `model` that hold a map named in `targets`."""
    return [weight for weight in model.variables if is_targeted(weight, targets)]


def is_targeted(weight: keras.Variable, targets: Sequence[str]) -> bool:
    """Whether a `weight` is a matrix that holds a map named in `targets`."""
    return bool(set(targets) & set(maps(weight)))


def shapes(
    kernel: keras.Variable, targets: Sequence[str], rank: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Shapes of all A of a kernel, side by side, and of all B.

    Args:
        kernel: from `targeted`.
        targets: names of maps.
        rank: of each pair.
    """
    widths = [width for width in _widths(kernel, targets) if width]
    return (kernel.shape[0], len(widths) * rank), (rank, sum(widths))


def _widths(kernel: keras.Variable, targets: Sequence[str]) -> list[int]:
    """Of each map in a kernel its width, 0 where it gets no update."""
    pairs = zip(maps(kernel), kernel.parts, strict=True)
    return [width if name in targets else 0 for name, width in pairs]


class LowRank(Weights):
    """The update of one matrix [K, M]: [R, K] -> [R, M].

    Args:
        kernel: the matrix, from `targeted`.
        targets: names of the maps that are updated.
        rank: of each pair.
        scale: what updates are multiplied by.
        **kwargs: as for `Weights`.
    """

    def __init__(
        self, kernel: keras.Variable, targets: Sequence[str], rank: int, scale: float, **kwargs
    ):
        # The deviation of A is that in the authors' code, loralib's `kaiming_uniform_(a=sqrt(5))`.
        super().__init__(scale=(3 * kernel.shape[0]) ** -0.5, **kwargs)
        self.parts, self.widths = kernel.parts, _widths(kernel, targets)
        self.scale = scale
        down, up = shapes(kernel, targets, rank)
        wide = [width for width in self.widths if width]
        self.down = self.matrix("down", *down, parts=(rank,) * len(wide))
        self.up = self.add_weight(name="up", shape=up, initializer="zeros")
        self.up.parts = tuple(wide)

    def call(self, x):
        """s x A B of each map, and zeros for those without an update."""
        low = tf.matmul(x, self.down) * tf.cast(self.scale, x.dtype)
        lows = iter(tf.split(low, len(self.up.parts), axis=1))  # of each, [R, rank]
        ups = iter(tf.split(tf.convert_to_tensor(self.up), self.up.parts, axis=1))
        rows = tf.shape(x)[0]
        updates = [
            tf.matmul(next(lows), next(ups)) if width else tf.zeros([rows, part], x.dtype)
            for part, width in zip(self.parts, self.widths, strict=True)
        ]
        return tf.concat(updates, 1)  # [R, M]


def add(model: keras.Model, targets: Sequence[str], rank: int, scale: float) -> None:
    """Gives the blocks of a model updates, which its weights have the names of: `.../down`, `/up`.

    Args:
        model: of `roots_tf.models`.
        targets: names of the maps that are updated.
        rank: of each pair.
        scale: what updates are multiplied by.
    """
    updates = []
    for kernel in targeted(model, targets):
        with contextlib.ExitStack() as scopes:
            for name in kernel.place.path.split("/")[:-1]:
                scopes.enter_context(keras.name_scope(name))
            how = {"place": kernel.place, "dtype": model.dtype_policy}
            kernel.low_rank = LowRank(kernel, targets, rank, scale, **how)
        updates.append(kernel.low_rank)
    model.low_rank = updates  # so that their weights are the model's


def pairs(
    kernel: keras.Variable, targets: Sequence[str], down: np.ndarray, up: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray] | None]:
    """A [K, rank] and B [rank, M] of each linear map in a kernel; None of one without an update.

    Args:
        kernel: from `targeted`.
        targets: names of the maps that are updated.
        down: all A, side by side.
        up: all B, likewise.
    """
    rank, found, row, column = up.shape[0], [], 0, 0
    for width in _widths(kernel, targets):
        own = down[:, row : row + rank], up[:, column : column + width]
        found.append(own if width else None)
        row, column = row + rank * bool(width), column + width
    return found


def merged(
    kernel: keras.Variable, targets: Sequence[str], down: np.ndarray, up: np.ndarray, scale: float
) -> np.ndarray:
    """The matrix that gives what a kernel and its update give, float32 [K, M].

    Args:
        kernel: from `targeted`.
        targets: as for `pairs`.
        down: likewise.
        up: likewise.
        scale: what updates are multiplied by.
    """
    total, start = kernel.numpy().astype("float64"), 0
    for part, pair in zip(kernel.parts, pairs(kernel, targets, down, up), strict=True):
        if pair:
            first, second = (matrix.astype("float64") for matrix in pair)
            total[:, start : start + part] += scale * (first @ second)
        start += part
    return total.astype("float32")

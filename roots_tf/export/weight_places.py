"""Where weights of ours stand in the files of others, and the way there and back."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from roots_tf.export import weight_names
from roots_tf.storage.files import InputError


class Weight(NamedTuple):
    """Where one weight of ours stands in another format.

    Attributes:
        names: of one array there, or of several that stand side by side here.
        widths: size of each along the last axis here.
        shape: of the whole, here.
        is_transposed: whether the arrays are so.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    shape: tuple[int, ...]
    is_transposed: bool

    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of each array as it stands there."""
        shapes = [(*self.shape[:-1], width) for width in self.widths]
        return [shape[::-1] if self.is_transposed else shape for shape in shapes]


def check(
    places: Mapping[str, Weight],
    stored: Mapping[str, np.ndarray],
    sizes: str,
    source: str,
    by_head: bool = False,
) -> None:
    """Compares weights with the sizes of their config, before a model is made of them.

    Args:
        places: of all weights, by our name.
        stored: weights by name.
        sizes: such as "2 layers", for messages.
        source: file or folder that the weights are from, for messages.
        by_head: as for `weight_names.checked`.

    Raises:
        InputError: a weight is missing, of another shape or type, or no part of the model takes it.
    """
    used = set()
    for weight in places.values():
        for name, shape in zip(weight.names, weight.shapes(), strict=True):
            weight_names.checked(stored, name, shape, source, by_head)
            used.add(name)
    if surplus := sorted(stored.keys() - used):
        raise InputError(
            "wrong-weights",
            f"found the weight {surplus[0]} in {source}, which no part of a model of {sizes}, as "
            "its config says, takes; wanted no more weights than those",
        )


def to_ours(
    places: Mapping[str, Weight],
    stored: Mapping[str, np.ndarray],
    source: str,
    by_head: bool = False,
) -> dict[str, np.ndarray]:
    """float32 weights of ours from those of another format; arguments as for `check`.

    Raises:
        InputError: a weight is missing, of another shape or type; or numbers are not finite.
    """
    weights = {}
    for ours, weight in places.items():
        arrays = []
        for name, shape in zip(weight.names, weight.shapes(), strict=True):
            array = weight_names.checked(stored, name, shape, source, by_head)
            array = weight_names.finite(array, name, source)
            arrays.append(array.T if weight.is_transposed else array)
        weights[ours] = np.concatenate(arrays, -1)
    return weights


def from_ours(
    places: Mapping[str, Weight], weights: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The inverse of `to_ours`: their weights by their names, from ours.

    Args:
        places: of all weights, by our name.
        weights: ours, by name.
    """
    found = {}
    for ours, weight in places.items():
        cuts = np.cumsum(weight.widths)[:-1]
        for name, part in zip(weight.names, np.split(weights[ours], cuts, -1), strict=True):
            found[name] = np.ascontiguousarray(part.T if weight.is_transposed else part)
    return found

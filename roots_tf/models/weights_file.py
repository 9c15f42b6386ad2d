"""`model.safetensors`: compared with what is wanted by its header, then read a weight at a time."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors

from roots_tf.storage import checksums
from roots_tf.storage.files import InputError

_FLOATS = ("F32", "F16", "BF16", "F64")  # all are read as float32, which `models.save` writes


class Stored(NamedTuple):
    """What the header says of a weight: the name of its type there, and its shape."""

    dtype: str
    shape: tuple[int, ...]


def header(folder: str | Path) -> dict[str, Stored]:
    """The weights in a model folder, by name; reads no weights.

    Raises:
        InputError: the file is missing or damaged.
    """
    with _opened(folder) as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
        return {n: Stored(s.get_dtype(), tuple(s.get_shape())) for n, s in slices.items()}


def check(folder: str | Path, wanted: Mapping[str, tuple[int, ...]], whole: str | None) -> None:
    """Compares the header of a model folder's weights with what is wanted.

    Args:
        folder: that `models.save` wrote.
        wanted: shapes by name.
        whole: what the names of weights begin with that must all be wanted ones: "" are all
            weights, None are none.

    Raises:
        InputError: a weight is missing, of another shape or no float, or is not wanted; or the file
            is damaged.
    """
    path, stored = Path(folder, checksums.WEIGHTS), header(folder)
    for name, shape in wanted.items():
        if name not in stored:
            raise InputError(
                "wrong-weights", f"found no weight {name} in {path}; wanted one {shape}"
            )
        if stored[name].shape != shape:
            raise InputError(
                "wrong-weights",
                f"found weight {name} of shape {stored[name].shape} in {path}; wanted {shape}: the "
                "sizes of the two models differ",
            )
        if stored[name].dtype not in _FLOATS:
            raise InputError(
                "wrong-weights",
                f"found weight {name} of type {stored[name].dtype} in {path}; wanted F32: copy or "
                "train the model again",
            )
    others = sorted(stored.keys() - wanted) if whole is not None else []
    if surplus := [name for name in others if name.startswith(whole)]:
        raise InputError(
            "wrong-weights",
            f"found {len(surplus)} weights in {path} that the model in model.json has no place "
            f"for, such as {surplus[0]}; wanted none: the two files are of different models",
        )


def assign(folder: str | Path, to: Mapping[str, Callable[[np.ndarray], object]]) -> None:
    """Gives weights away by name, each as float32, once `check` has passed them.

    Args:
        folder: that `models.save` wrote.
        to: by name, what takes the weight.

    Raises:
        InputError: the file is damaged, or a weight is not finite.
    """
    checksums.check(folder, (checksums.WEIGHTS,))
    with _opened(folder) as file:
        for name, take in to.items():
            weight = np.asarray(file.get_tensor(name), np.float32)
            if not np.isfinite(weight).all():
                raise InputError(
                    "diverged",
                    f"found NaN or infinite numbers in weight {name} of "
                    f"{Path(folder, checksums.WEIGHTS)}; wanted finite ones: train the model again",
                )
            take(weight)


@contextlib.contextmanager
def _opened(folder: str | Path) -> Iterator:
    """The weights of a model folder, whose header is checked as the file is opened."""
    path = Path(folder, checksums.WEIGHTS)
    if not path.is_file():  # of a FIFO nothing would come
        raise InputError(
            "no-such-file",
            f"could not read {path}: found no file there; copy or train the model again",
        )
    try:
        with safetensors.safe_open(path, "np") as file:
            yield file
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            "file-damaged", f"could not read {path}: {error}; copy or train the model again"
        ) from error

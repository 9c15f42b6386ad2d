"""The weights in a checkpoint, read without the run that wrote it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from roots_tf.storage.files import InputError
from roots_tf.training.checkpoints import Checkpoints


def assign_saved(
    path: str | Path,
    shapes: Mapping[str, tuple[int, ...]],
    to: Mapping[str, Callable[[np.ndarray], object]],
) -> None:
    """Gives the weights of a checkpoint away by name, as training left them at its step.

    Args:
        path: of its files, without their suffixes: `work/pretrained/checkpoints/ckpt-1000`.
        shapes: of the weights that are wanted, by name.
        to: by name, what takes the weight, float32.

    Raises:
        InputError: the checkpoint is not whole, a weight is missing, of another shape or not
            finite.
    """
    path = Path(path)
    if why := Checkpoints(path.parent, {}).fault(int(path.name.rpartition("-")[2])):
        raise InputError(
            "file-damaged",
            f"found {path}, which is not whole ({why}); wanted one that is: leave it out",
        )
    found = tf.train.load_checkpoint(str(path))
    stored = {_name(key): key for key in found.get_variable_to_shape_map()}
    for name, take in to.items():
        if (plain := name.replace("/", ".")) not in stored:
            raise InputError(
                "wrong-weights", f"found no weight {name} in {path}; wanted one {shapes[name]}"
            )
        weight = np.asarray(found.get_tensor(stored[plain]), np.float32)
        if weight.shape != shapes[name]:
            raise InputError(
                "wrong-weights",
                f"found weight {name} of shape {weight.shape} in {path}; wanted {shapes[name]}: "
                "the sizes of the two models differ",
            )
        if not np.isfinite(weight).all():
            raise InputError(
                "diverged",
                f"found NaN or infinite numbers in weight {name} of {path}; wanted finite ones: "
                "take checkpoints from before",
            )
        take(weight)


def _name(key: str) -> str:
    """A variable's name, slashes as dots: `Checkpoints` numbers names, TensorFlow doubles dots."""
    return key.partition("/")[0].replace("..", ".").partition(".")[2]

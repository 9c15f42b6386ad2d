"""The update of a few steps beside the processor's, from the same weights and the same batch."""

import os

import numpy as np

from roots_tf.devices.place import (
    STEPS,
    WEIGHTS,
    LeftOut,
    Place,
    Trained,
    Trainer,
    load_arrays,
    save_arrays,
)
from roots_tf.devices.results import Finding
from roots_tf.training import strategies

EXPECTED = "update.npz"
# By how much losses and the norms of gradients may differ, and the update, relative to what the
# processor gives in float32. AdamW divides a gradient by its own size, so that an element which is
# nearly 0 is as large in the update as any other: rounding shows ten times as much there. On
# processors bfloat16 differs by 1e-3 and 1.6e-2, and float32 compiled by XLA by 2e-7 and 3e-6; a
# device adds in another order. TensorFloat-32 keeps 10 bits behind the point, bfloat16 7. The
# update from another batch differs by 1.3.
TOLERANCES = {
    "float32": (1e-4, 1e-3),
    "TensorFloat-32": (5e-3, 5e-2),
    "mixed_bfloat16": (1e-2, 1e-1),
}


def reference(place: Place) -> None:
    """Leaves weights and what some steps in float32 make of them.

    Args:
        place: the processor.
    """
    with place.strategy.scope():
        trainer = Trainer(place)
        save_arrays(place.folder / WEIGHTS, trainer.weights())
        found = trainer.train()
    save_arrays(place.folder / EXPECTED, [found.losses, found.norms, found.update])


def run(place: Place, precision: str, compiled: bool, tf32: bool = False) -> Finding:
    """Compares the steps of one device.

    Args:
        place: of the device.
        precision: a Keras dtype policy.
        compiled: whether forward and backward are compiled with XLA.
        tf32: whether float32 products may be made in TensorFloat-32.
    """
    wanted = _expected(place)
    with place.strategy.scope():
        trainer = Trainer(place, precision, compiled)
        trainer.set_weights(load_arrays(place.folder / WEIGHTS))
        found = trainer.train()
    return compare(found, wanted, "TensorFloat-32" if tf32 else precision)


def on_all(place: Place) -> Finding:
    """Compares the steps of all GPUs together, each with its part of the batch.

    Args:
        place: of one of them.
    """
    import tensorflow as tf

    count, rows = len(tf.config.list_logical_devices("GPU")), place.shape.rows
    devices = max(n for n in range(1, rows + 1) if rows % n == 0 and n <= max(count, 1))
    if devices < 2:
        raise LeftOut(f"it takes two GPUs; found {count}")
    place = place._replace(strategy=strategies.make_strategy("mirrored", devices))
    found = run(place, "float32", compiled=False)
    return Finding(found.passed, f"{devices} GPUs: {found.said}", found.numbers)


def _expected(place: Place) -> Trained:
    path = place.folder / EXPECTED
    if not os.path.exists(path):
        raise LeftOut("it compares with the processor's steps, which the check update makes first")
    return Trained(*load_arrays(path))


def compare(found: Trained, wanted: Trained, kind: str) -> Finding:
    """Whether two runs of a few steps agree.

    Args:
        found: of the device.
        wanted: of the processor, in float32.
        kind: of `TOLERANCES`.
    """
    numbers = {
        "loss_difference": float(np.max(np.abs(found.losses - wanted.losses) / wanted.losses)),
        "gradient_norm_difference": float(
            np.max(np.abs(found.norms - wanted.norms) / wanted.norms)
        ),
        "update_difference": float(
            np.linalg.norm(found.update - wanted.update) / np.linalg.norm(wanted.update)
        ),
    }
    of_scalars, of_update = TOLERANCES[kind]
    limits = dict(zip(numbers, (of_scalars, of_scalars, of_update), strict=True))
    beyond = [name for name in numbers if not numbers[name] <= limits[name]]  # NaN is beyond too
    words = ", ".join(
        f"{name.replace('_', ' ')} {numbers[name]:.1e} of {limits[name]:.0e}" for name in numbers
    )
    if beyond:
        said = f"found another update than the processor's in {STEPS} steps; wanted less: {words}"
        return Finding(False, said, numbers)
    return Finding(True, f"{STEPS} steps as the processor makes them: {words}", numbers)

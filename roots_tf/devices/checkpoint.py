"""A checkpoint saved from the device and read back into other variables of it."""

import shutil

import numpy as np

from roots_tf.devices.place import Place, Trainer
from roots_tf.devices.results import Finding
from roots_tf.training.checkpoints import Checkpoints

TOLERANCE = 1e-5  # of the loss of the next step, relative


def run(place: Place) -> Finding:
    """Saves after two steps, restores into a model of another seed, and makes one step of each.

    Args:
        place: where.
    """
    folder = place.folder / "checkpoints"
    shutil.rmtree(folder, ignore_errors=True)
    with place.strategy.scope():
        saved = Trainer(place)
        saved.train(2)
        Checkpoints(folder, saved.variables).save(2)
        read = Trainer(place, seed=1)
        step = Checkpoints(folder, read.variables).restore()
        pairs = zip(saved.variables.items(), read.variables.values(), strict=True)
        other = [
            name
            for (name, one), two in pairs
            if not np.array_equal(one.numpy(), two.numpy(), equal_nan=True)
        ]
        if step != 2 or other:
            some = ", ".join(other[:3])
            return Finding(
                False,
                f"found step {step} and other bytes of {len(other)} arrays ({some}) after a "
                "checkpoint was read back; wanted step 2 and the bytes that were saved",
            )
        losses = [float(trainer.train(1).losses[0]) for trainer in (saved, read)]
    difference = abs(losses[0] - losses[1]) / abs(losses[0])
    if not difference <= TOLERANCE:
        return Finding(
            False,
            f"found a loss of {losses[1]:.6g} in the step after a restored checkpoint; wanted that "
            f"of the run that was saved, {losses[0]:.6g}",
        )
    return Finding(True, f"{len(saved.variables)} arrays restored as they were saved")

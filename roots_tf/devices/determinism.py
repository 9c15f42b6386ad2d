"""The same steps twice: the same bytes."""

import hashlib

import tensorflow as tf

from roots_tf.devices.place import STEPS, Place, Trainer
from roots_tf.devices.results import Finding

VARIABLE = "TF_DETERMINISTIC_OPS=1"


def run(place: Place, compiled: bool) -> Finding:
    """Trains twice from one seed, with dropout; where bytes differ, again with deterministic ops.

    These stay on in the process.

    Args:
        place: where.
        compiled: whether forward and backward are compiled with XLA.
    """
    if _digest(place, compiled) == _digest(place, compiled):
        return Finding(True, f"the same bytes after {STEPS} steps, twice")
    tf.config.experimental.enable_op_determinism()
    if _digest(place, compiled) == _digest(place, compiled):
        said = (
            f"other bytes after {STEPS} steps, as GPUs add in any order; the same with {VARIABLE}"
        )
        return Finding(True, said, {"needs_deterministic_ops": 1})
    return Finding(
        False,
        f"found other bytes after {STEPS} steps from one seed, also with {VARIABLE}; wanted the "
        "same",
    )


def _digest(place: Place, compiled: bool) -> str:
    """Digits that stand for the weights after some steps."""
    total = hashlib.sha256()
    with place.strategy.scope():
        trainer = Trainer(place, compiled=compiled, dropout=0.1)
        trainer.train()
        for variable in trainer.variables.values():
            total.update(variable.numpy().tobytes())
    return total.hexdigest()

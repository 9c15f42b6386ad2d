"""Learning rates by depth: which parts of a model are trained, and how fast."""

import keras

from roots_tf.models.tuning import ALL, Tuning
from roots_tf.storage.files import InputError


def check_frozen(frozen: int, layers: int) -> None:
    """Refuses to freeze more blocks than there are.

    Args:
        frozen: blocks that are not to be trained.
        layers: blocks of the model.

    Raises:
        InputError: there are fewer.
    """
    if frozen > layers:
        raise InputError(
            "number-out-of-range",
            f"found frozen_layers={frozen}; wanted at most {layers}, the blocks of the model",
        )


def rate_multipliers(
    model: keras.Model, decay: float, frozen: int, tuning: Tuning = ALL
) -> list[float]:
    """Freezes what is not to be trained; multiplier of the learning rate of what is.

    The head has 1, the last block `decay`, the one below it `decay` squared, and so on down to the
    embeddings (Clark et al. 2020, ELECTRA, arXiv:2003.10555, appendix B).

    Args:
        model: of `roots_tf.models`, with an encoder.
        decay: see above.
        frozen: blocks that are not trained; 0: the embeddings only; -1: all is trained.
        tuning: says what else is not trained.

    Returns:
        One a trainable variable, in the order of `model.trainable_variables`.

    Raises:
        InputError: there are fewer blocks than are to be frozen.
    """
    layers = model.config.num_layers
    check_frozen(frozen, layers)

    def depth(variable) -> int:
        """0 for embeddings, 1 for the first block, blocks + 1 above them."""
        parts = variable.path.split("/")
        if parts[:2] == ["encoder", "embeddings"]:
            return 0
        if parts[0] == "encoder" and parts[1].startswith("layer_"):
            return int(parts[1].removeprefix("layer_")) + 1
        return layers + 1

    for variable in model.variables:
        variable.trainable = depth(variable) > frozen and tuning.trains(variable.path)
    return [decay ** (layers + 1 - depth(v)) for v in model.trainable_variables]

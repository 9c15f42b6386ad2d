"""Sizes of a new model, as flags give them: a published size, or four numbers."""

from roots_tf.models.config import EncoderConfig, preset_fields
from roots_tf.storage.files import InputError

NUMBERS = ("num_layers", "hidden_dim", "num_heads", "intermediate_dim")


def config(size: str, preset: str, numbers: dict[str, int], **fields) -> EncoderConfig:
    """The sizes of a name, or those of four numbers.

    Args:
        size: of `SIZES`; or "custom", where the numbers say it.
        preset: of `PRESETS`.
        numbers: by the names of `NUMBERS`; 0 is not given.
        **fields: of the config, `vocabulary_size` at least.

    Raises:
        InputError: a size and a number are given, a number is missing, or they are no sizes.
    """
    given = {name: numbers[name] for name in NUMBERS if numbers[name]}
    if size != "custom":
        sizes = EncoderConfig.of_size(size, preset=preset, **fields)
        if given:
            raise InputError(
                "flags-conflict",
                f"found --size={size} and --{next(iter(given))}; wanted one or the other, or "
                "--size=custom",
            )
        return sizes
    if missing := [name for name in NUMBERS if name not in given]:
        raise InputError(
            "missing-flag",
            f"found --size=custom without --{missing[0]}; wanted --{', --'.join(NUMBERS)}",
        )
    return EncoderConfig(**preset_fields(preset) | fields | given)

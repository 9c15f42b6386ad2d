"""Files to read: missed before anything that takes long begins."""

from roots_tf import flags
from roots_tf.storage import neighbours, outputs, paths
from roots_tf.storage.files import InputError


def check(config, *names: str) -> None:
    """Refuses flags that name a file of which nothing is there; what is there, its reader judges.

    Args:
        config: of a program.
        *names: of flags; those that are empty name nothing.

    Raises:
        InputError: says which file of which flag.
    """
    values = flags.flat(config)
    for flag in names:
        for name in filter(None, outputs.names_in(values[flag] or ())):
            if not paths.matching(name):
                raise InputError(
                    "no-such-file",
                    f"found no file {name}; wanted what --{flag} is to read"
                    f"{neighbours.suggestion(name) or ': mend the name'}",
                )

"""Files to read: missed before anything that takes long begins."""

from roots_tf import flags
from roots_tf.storage import hub_names, neighbours, outputs, paths
from roots_tf.storage.files import InputError

_OF_MODELS = ("model", "base", "init_decoder", "tokenizer")  # what import writes serves these


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
                meant = neighbours.suggestion(name)
                meant = meant or (hub_names.import_command(name) if flag in _OF_MODELS else "")
                raise InputError(
                    "no-such-file",
                    f"found no file {name}; wanted what --{flag} is to read"
                    f"{meant or ': mend the name'}",
                )

"""The command that made an export, as its card shows it: without places, which are a machine's."""

from pathlib import Path

from roots_tf import program

_FOLDERS = ("model", "output")
_NOT_SHOWN = ("private", "push_over")  # of the upload, not of what was written


def command(config) -> str:
    """The command that gives a config of `export`, with the names of its folders alone.

    Args:
        config: of the program.
    """
    words, known = ["roots export"], program.flags_of(type(config))
    for name, value in program.flat(config).items():
        if value == known[name].default or name in _NOT_SHOWN:
            continue
        if name in _FOLDERS:
            value = Path(value).name
        elif name == "adapters":
            parts = (text.partition("=") for text in value)
            value = ",".join(f"{key}={Path(path).name}" for key, _, path in parts)
        elif isinstance(value, tuple):
            value = ",".join(value)
        value = str(value).lower() if isinstance(value, bool) else value
        words.append(f"--{name}={value}")
    return " ".join(words)

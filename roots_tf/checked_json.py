"""JSON files with a checksum of what they hold: damage is seen where they are read. No TensorFlow.

{"seed": 0, "dev": {"accuracy": 0.5}, "checksum": "5f0c..."}
"""

import math
from pathlib import Path

from roots_tf import files, schema

_KEY = "checksum"


def write_checked(path: str | Path, value: dict) -> None:
    """Writes the JSON object `value` to `path`, atomically, with its checksum.

    JSON has no NaN and nothing infinite: null stands for them.
    """
    value = _finite(value)
    files.write_json(path, value | {_KEY: files.fingerprint(value)})


def read_checked(path: str | Path) -> dict:
    """The JSON object of a file, without its checksum; files of version 0.2 have none.

    Raises:
        InputError: the file is missing, holds no JSON object, or is not as it was written.
    """
    value = schema.check(files.read_json(path), dict[str, object], str(path))
    checksum = value.pop(_KEY, None)
    if checksum is not None and checksum != files.fingerprint(value):
        raise files.InputError(
            f"found {path} changed since it was written; wanted what its checksum was taken of"
        )
    return value


def _finite(value):
    """The JSON value with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

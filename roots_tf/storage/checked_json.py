"""JSON files with a checksum of what they hold: damage is seen where they are read. No TensorFlow.

{"seed": 0, "dev": {"accuracy": 0.5}, "checksum": "5f0c..."}
"""

from pathlib import Path

from roots_tf.storage import files, schema

_KEY = "checksum"


def write_checked(path: str | Path, value: dict) -> None:
    """Writes a JSON object to a file, atomically, with its checksum.

    Args:
        path: of the file.
        value: the object. JSON has no NaN and nothing infinite: null stands for them, and
            `files.write_json` warns of each.
    """
    checksum = files.fingerprint(files.as_read_back(value))
    files.write_json(path, value | {_KEY: checksum})


def read_checked(path: str | Path) -> dict:
    """The JSON object of a file, without its checksum; files of version 0.2 have none.

    Raises:
        InputError: the file is missing, holds no JSON object, or is not as it was written.
    """
    value = schema.check(files.read_json(path), dict[str, object], str(path))
    checksum = value.pop(_KEY, None)
    if checksum is not None and checksum != files.fingerprint(value):
        raise files.InputError(
            "file-damaged",
            f"found {path} changed since it was written; wanted what its checksum was taken of",
        )
    return value

"""The TFRecords of google-research/bert's `create_pretraining_data.py`, which are no examples here.

Its records hold rows that are masked already, `masked_lm_positions` and the like, and no text. They
are known by the names of their features, without TensorFlow.
"""

from pathlib import Path

from roots_tf.storage import urls
from roots_tf.storage.files import InputError

_FEATURES = (b"input_ids", b"masked_lm_positions", b"masked_lm_ids")
_HEAD = 1 << 16  # bytes; the names of all features stand in the first record
_LARGEST_FOLDER = 1000  # files that are looked at


def refuse(path: str | Path) -> None:
    """Says what a file or folder is, where it holds such records.

    Args:
        path: what was given as the folder of examples: a folder, or one of the files.

    Raises:
        InputError: it holds them.
    """
    if urls.is_url(path):  # of which the manifest tells
        return
    path = Path(path)
    inside = sorted(path.iterdir())[:_LARGEST_FOLDER] if path.is_dir() else [path]
    for file in inside:
        if file.is_file() and _holds_masked_rows(file):
            raise InputError(
                "wrong-folder",
                f"found {file}, TFRecords of google-research/bert's create_pretraining_data.py: "
                "rows that hold their masks already, the same in every epoch, and no text to mask "
                "afresh; wanted a folder of build-examples: give the text that they were made of "
                "to `roots curate --input=TEXT --output=DOCUMENTS`, and that to `roots "
                "build-examples --input=DOCUMENTS --tokenizer=VOCAB --output=EXAMPLES`",
            )


def _holds_masked_rows(file: Path) -> bool:
    """Whether a file begins with a record that has the features."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return False
    return all(name in head for name in _FEATURES)

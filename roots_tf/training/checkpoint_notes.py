"""What stands beside a checkpoint, in `ckpt-<step>.json`, and what it must agree with.

    {
      "roots_tf": "0.2.0",                       the version that wrote it
      "step": 20,
      "score": 3.1,                              held-out loss, where it was measured at this step
      "window": {"sums": {...}, ...},            the row under way
      "decay": {"first_step": 80, ...},          where the learning rate of the run falls
      "rows": {"count": 3, "bytes": 812, ...},   what metrics.jsonl held
      "files": {"ckpt-20.index": "9f...", ...},  SHA-256 of each
      "checksum": "5f..."                        of all above
    }

Version 0.2 wrote the window alone, version 0.1 no such file. No TensorFlow.
"""

import dataclasses
import math
from pathlib import Path

import roots_tf
from roots_tf.storage import checked_json, files, schema
from roots_tf.storage.files import InputError
from roots_tf.training.metrics_file import Rows


@dataclasses.dataclass(frozen=True)
class WindowState:
    """What the steps since the last row added up to.

    Attributes:
        sums: sum and weight by name; what is not finite, which JSON cannot hold, as a text.
        skipped_in_a_row: steps without a finite gradient up to this one.
    """

    sums: dict[str, tuple[float | str, ...]] = dataclasses.field(default_factory=dict)
    skipped_in_a_row: int = schema.number(0, minimum=0)

    def __post_init__(self):
        """Refuses what is no pair of numbers.

        Raises:
            InputError: a sum is something else.
        """
        for name, pair in self.sums.items():
            try:
                if len([float(number) for number in pair]) == 2:
                    continue
            except ValueError:
                pass
            raise InputError("wrong-json", f"found sums.{name}={pair}; wanted a sum and its weight")

    @classmethod
    def of(cls, sums: dict[str, list[float]], skipped_in_a_row: int) -> "WindowState":
        """The state from the `sums` and the number of steps `skipped_in_a_row`."""
        plain = {
            name: tuple(number if math.isfinite(number) else str(number) for number in pair)
            for name, pair in sums.items()
        }
        return cls(plain, skipped_in_a_row)

    @property
    def numbers(self) -> dict[str, list[float]]:
        """The sums, all of them numbers."""
        return {name: [float(number) for number in pair] for name, pair in self.sums.items()}


@dataclasses.dataclass(frozen=True)
class Decay:
    """Where a run with a stable learning rate ends it: runs of any length are the same until there.

    Attributes:
        first_step: updates before the rate falls.
        last_step: updates of the run.
    """

    first_step: int = schema.number(minimum=0)
    last_step: int = schema.number(minimum=0)


@dataclasses.dataclass(frozen=True)
class Notes:
    """The notes of a checkpoint; see above."""

    step: int
    roots_tf: str = "0.2.0"
    score: float | None = None
    window: WindowState | None = None
    rows: Rows | None = None
    decay: Decay | None = None
    files: dict[str, str] = dataclasses.field(default_factory=dict)


def write(path: Path, notes: Notes) -> None:
    """Writes the `notes` of a checkpoint to `path`."""
    checked_json.write_checked(path, dataclasses.asdict(notes))


def new(step: int, names: list[Path], **more) -> Notes:
    """Notes of a checkpoint that this version writes.

    Args:
        step: its number.
        names: its files, of which checksums are taken.
        **more: other fields of `Notes`.
    """
    sums = {path.name: files.sha256(path) for path in names}
    return Notes(step, roots_tf.__version__, files=sums, **more)


def read(path: Path, step: int) -> Notes | None:
    """The notes of the checkpoint of a step; None where there are none.

    Args:
        path: of the notes.
        step: of the checkpoint.

    Raises:
        InputError: they are damaged, or those of another step.
    """
    if not path.exists():
        return None
    value = checked_json.read_checked(path)
    if value.keys() == {"sums", "skipped_in_a_row"}:  # of version 0.2
        return Notes(step, window=schema.check(value, WindowState, str(path)))
    # Of a later version there may be more.
    notes = schema.check(value, Notes, str(path), others_may_stand=True)
    if notes.step != step or not notes.files:
        raise InputError(
            "file-damaged", f"found notes of step {notes.step} in {path}; wanted step {step}"
        )
    return notes


def verify(notes: Notes, folder: Path) -> None:
    """Compares the files of a checkpoint with its notes.

    Args:
        notes: of the checkpoint.
        folder: where it is.

    Raises:
        InputError: a file is missing or is not the one that was written.
    """
    for name, checksum in notes.files.items():
        path = folder / Path(name).name
        if not path.is_file():
            raise InputError("no-such-file", f"found no {path}; wanted the notes of its checkpoint")
        if files.sha256(path) != checksum:
            raise InputError(
                "file-damaged", f"found {path} changed since it was written; wanted it as it was"
            )

"""The rows of a run's `metrics.jsonl`; see `summaries` for what is in them. No TensorFlow."""

import dataclasses
import hashlib
import json
from pathlib import Path

from absl import logging

from roots_tf.storage import files, schema

NAME = "metrics.jsonl"


@dataclasses.dataclass(frozen=True)
class Rows:
    """What the file held at some time: it only grows, so this says whether its start still stands.

    Attributes:
        count: of rows.
        bytes: of them.
        sha256: of these bytes.
    """

    count: int = schema.number(minimum=0)
    bytes: int = schema.number(minimum=0)
    sha256: str = ""


def read_metrics(folder: str | Path) -> list[dict]:
    """Rows of a run's `metrics.jsonl`; a last line cut by a kill is left out.

    A damaged line is passed over, and told in a line of the log.
    """
    path = Path(folder, NAME)
    lines = _lines(path)
    rows = [row for row in map(_row, lines) if row is not None]
    if len(rows) < len(lines):
        logging.warning(
            "found %d damaged lines in %s: they are passed over, the other %d rows are read",
            *(len(lines) - len(rows), path, len(rows)),
        )
    return rows


class MetricsFile:
    """The file, to write to; rows of steps that the run has not reached any more are removed.

    Args:
        folder: of the run.
        step: where the run stands.
        expected: what the file held then; None: not known.
    """

    def __init__(self, folder: str | Path, step: int, expected: Rows | None = None):
        self._path = Path(folder, NAME)
        kept = self._whole(step, expected)
        files.write_text(self._path, b"".join(kept).decode("utf-8"))
        self._count, self._bytes = len(kept), sum(map(len, kept))
        self._hash = hashlib.sha256(b"".join(kept))

    def _whole(self, step: int, expected: Rows | None) -> list[bytes]:
        """Lines of the file up to the step; a line of the log tells of those that are lost."""
        content = self._path.read_bytes() if self._path.is_file() else b""
        if expected is not None:
            start = content[: expected.bytes]
            if hashlib.sha256(start).hexdigest() == expected.sha256:
                return start.splitlines(keepends=True)
        rows = [(line, _row(line)) for line in _lines(self._path)]
        kept = [line + b"\n" for line, row in rows if row is not None and row["step"] <= step]
        damaged = sum(row is None for _, row in rows)
        if expected is not None or damaged:
            of = f"of the {expected.count} rows" if expected else f"rows and {damaged} damaged ones"
            logging.warning(
                "found %s damaged: it holds %d %s up to step %d; training goes on from this step "
                "with the rows that are left, the others stay lost",
                *(self._path, len(kept), of, step),
            )
        return kept

    def append(self, row: dict) -> None:
        """Writes a `row`, whole or, if the process is killed, in part, which no reader takes."""
        line = (json.dumps(row) + "\n").encode()
        try:
            with self._path.open("ab") as file:
                file.write(line)
        except OSError as error:
            raise files.InputError(
                "cannot-write",
                f"could not write {self._path}: {error.strerror or error}; make room, then run "
                "the same command again",
            ) from error
        self._count, self._bytes = self._count + 1, self._bytes + len(line)
        self._hash.update(line)

    def rows(self) -> Rows:
        """What the file holds now, once that is on the disk."""
        files.sync(self._path)
        return Rows(self._count, self._bytes, self._hash.hexdigest())


def _lines(path: Path) -> list[bytes]:
    """Lines of the file without their ends; what follows the last end was cut by a kill."""
    return path.read_bytes().split(b"\n")[:-1] if path.is_file() else []


def _row(line: bytes) -> dict | None:
    """The row of a line; None where it is none."""
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("group"), str):
        return None
    numbers = [value for name, value in row.items() if name != "group"]
    whole = type(row.get("step")) is int and row["step"] >= 0
    return row if whole and all(type(number) in (int, float) for number in numbers) else None

"""What a run tells: TensorBoard scalars, `metrics.jsonl`, and a progress line."""

import json
import sys
import time
from pathlib import Path

import tensorflow as tf
from absl import logging

from roots_tf import files


class Summaries:
    """Writes scalars of global steps to `logs/<group>` for TensorBoard and to `metrics.jsonl`.

    Args:
        folder: of the run.
        step: where the run stands; lines of later steps, which an earlier process wrote before it
            was killed, are removed, so that each step stands once.
    """

    def __init__(self, folder: str | Path, step: int):
        self._folder = Path(folder)
        self._lines = self._folder / "metrics.jsonl"
        self._writers: dict[str, tf.summary.SummaryWriter] = {}
        kept = [row for row in read_metrics(folder) if row["step"] <= step]
        files.write_text(self._lines, "".join(json.dumps(row) + "\n" for row in kept))

    def write(self, group: str, step: int, scalars: dict[str, float]) -> None:
        """Writes scalars of one step; `group` is "train" or "held_out"."""
        if group not in self._writers:
            logs = str(self._folder / "logs" / group)
            self._writers[group] = tf.summary.create_file_writer(logs)
        with self._writers[group].as_default(step=step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        self._writers[group].flush()
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"group": group, "step": step} | scalars) + "\n")


def read_metrics(folder: str | Path) -> list[dict]:
    """Rows of a run's `metrics.jsonl`; a last line cut by a kill is left out."""
    path = Path(folder, "metrics.jsonl")
    if not path.exists():
        return []
    lines = path.read_text("utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


class Progress:
    """A line with step, loss, tokens a second and time left.

    Args:
        total_steps: steps of the whole run.
        start_step: where this process starts.
        tokens_per_step: positions in a global batch, padding included.
    """

    def __init__(self, total_steps: int, start_step: int, tokens_per_step: int):
        self._total, self._last_step = total_steps, start_step
        self._tokens = tokens_per_step
        self._last_time = time.monotonic()

    def measure(self, step: int) -> float:
        """Tokens a second since the last call, at step `step`."""
        now = time.monotonic()
        seconds, steps = max(now - self._last_time, 1e-9), step - self._last_step
        self._last_time, self._last_step = now, step
        return steps * self._tokens / seconds

    def show(self, step: int, loss: float, tokens_per_second: float) -> None:
        """Shows where the run stands: in place on a terminal, as a log line elsewhere."""
        left = (self._total - step) * self._tokens / max(tokens_per_second, 1e-9)
        minutes, seconds = divmod(round(left), 60)
        line = (
            f"step {step:,}/{self._total:,}  loss {loss:.3f}  {tokens_per_second:,.0f} tokens/s  "
            f"{minutes}m{seconds:02d}s left"
        )
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="\n" if step >= self._total else "", file=sys.stderr)
        else:
            logging.info("%s", line)

    def skip(self) -> None:
        """Leaves the time since the last call out of the next measurement."""
        self._last_time = time.monotonic()

"""The rows of a run's `metrics.jsonl`; see `summaries` for what is in them. No TensorFlow."""

import json
from pathlib import Path


def read_metrics(folder: str | Path) -> list[dict]:
    """Rows of a run's `metrics.jsonl`; a last line cut by a kill is left out."""
    path = Path(folder, "metrics.jsonl")
    if not path.exists():
        return []
    lines = path.read_text("utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]

"""Scores over several seeds: medians, ranges, and the table of them."""

import dataclasses
import statistics
from pathlib import Path

from absl import logging

from roots_tf.storage import checked_json, files, schema


@dataclasses.dataclass(frozen=True)
class _Scores:
    """What `scores.json` of a seed holds: the scores of each file, and of each class in them."""

    seed: int
    degenerate: bool
    dev: dict[str, object]
    test: dict[str, object] | None = None


def read(output: str | Path, seed: int, baselines: dict[str, dict]) -> dict | None:
    """Scores of a seed that has finished; None where it has not, or where they are damaged.

    Args:
        output: folder of the run; they stand in `seed_<seed>/scores.json`.
        seed: its number.
        baselines: scores of a trivial answer, by split: which scores there are.
    """
    path = Path(output, f"seed_{seed}", "scores.json")
    if not path.exists():
        return None
    try:
        scores = checked_json.read_checked(path)
        found = schema.check(scores, _Scores, str(path), others_may_stand=True)
        for split, baseline in baselines.items():
            for name, value in baseline.items():
                # A score may be NaN, which no type of a schema allows.
                wanted = dict if isinstance(value, dict) else (int, float)
                if not isinstance((getattr(found, split) or {}).get(name), wanted):
                    raise files.InputError(
                        "wrong-json", f"found no {split}.{name} in {path}; wanted it"
                    )
    except files.InputError as error:
        logging.error("%s: seed %d is trained again", error, seed)
        return None
    return scores


def summarise(runs: list[dict], baselines: dict[str, dict]) -> dict:
    """Median, range and baseline of every score: `test_f1`, `test_f1_range`, `test_baseline_f1`.

    Args:
        runs: scores of each seed, by split.
        baselines: scores of a trivial answer, by split.
    """
    summary = {}
    for split, baseline in sorted(baselines.items()):
        for name, value in baseline.items():
            if isinstance(value, dict):
                continue
            values = [run[split][name] for run in runs]
            summary[f"{split}_{name}"] = statistics.median(values)
            summary[f"{split}_{name}_range"] = [min(values), max(values)]
            summary[f"{split}_baseline_{name}"] = value
    return summary


def table(report: dict, splits: list[str]) -> str:
    """Lines of the `report`'s scores of the `splits`, what goes with them, and failed seeds."""
    lines = [f"{'':<28} {'median':>8} {'lowest':>8} {'highest':>8} {'trivial':>8}"]
    for split in splits:
        for name in (key for key in report["seeds"][0][split] if f"{split}_{key}" in report):
            lowest, highest = report[f"{split}_{name}_range"]
            values = (report[f"{split}_{name}"], lowest, highest)
            numbers = " ".join(
                f"{value:>8.3f}" for value in (*values, report[f"{split}_baseline_{name}"])
            )
            lines.append(f"{split + ' ' + name:<28} {numbers}")
        for name, value in report.get("conditions", {}).get(split, {}).items():
            shown = value if isinstance(value, str) else f"{value:.3f}"
            lines.append(f"{split + ' ' + name:<28} {shown:>8}")
    if failed := [run["seed"] for run in report["seeds"] if run["degenerate"]]:
        lines.append(f"no better on dev than a trivial answer: seeds {failed}")
    return "\n".join(lines)

"""How long to train, as people say it."""

import math
import re
from pathlib import Path

from roots_tf.storage.files import InputError

UNITS = ("steps", "epochs", "examples", "tokens")
MOST_STEPS = 2**31 - 1  # steps are counted as int32 where they are folded into seeds


def steps_of(duration: str, *, batch_size: int, num_examples: int, length: int) -> int:
    """Number of updates that a duration stands for, rounded up.

    >>> steps_of("3 epochs", batch_size=32, num_examples=1000, length=128)
    94
    >>> steps_of("1e6 tokens", batch_size=32, num_examples=1000, length=128)
    245

    Args:
        duration: a number and a unit: steps (may be left out), epochs, examples or tokens.
        batch_size: examples in a global batch.
        num_examples: examples in an epoch.
        length: positions in an example; padding counts as tokens.

    Raises:
        InputError: it cannot be read, or is less than one step or more than `MOST_STEPS`.
    """
    match = re.fullmatch(r"\s*([\d_,]*\.?\d+(?:e\d+)?)\s*([a-z]*)\s*", duration.lower())
    unit = (match[2] or "steps") if match else ""
    unit = next((name for name in UNITS if unit in (name, name[:-1])), None)
    if unit is None:
        raise InputError(
            "wrong-value",
            f"found the duration {duration!r}; wanted a number of {', '.join(UNITS)}, such as "
            "10000, '3 epochs' or '1e9 tokens'",
        )
    number = float(match[1].replace(",", "").replace("_", ""))
    examples = {"epochs": num_examples, "examples": 1, "tokens": 1 / length, "steps": batch_size}
    count = number * examples[unit] / batch_size
    if not 0 < round(count, 6) < MOST_STEPS:
        raise InputError(
            "number-out-of-range",
            f"found the duration {duration!r}; wanted one step to {MOST_STEPS:,}",
        )
    return math.ceil(round(count, 6))


def check_reach(folder: str | Path, report: dict | None, last_step: int) -> None:
    """Refuses a run that is to end before where it stands.

    Args:
        folder: of the run.
        report: of the run, if it has finished.
        last_step: where it is to end.

    Raises:
        InputError: it stands at a later step.
    """
    names = [path.stem for path in Path(folder, "checkpoints").glob("ckpt-*.index")]
    steps = [int(match[1]) for name in names if (match := re.fullmatch(r"ckpt-(\d+)", name))]
    stands = max([(report or {}).get("step", 0), *steps])
    if stands > last_step:
        raise InputError(
            "run-finished",
            f"found a run at step {stands:,} in {folder}, and flags that end it at {last_step:,}; "
            "wanted a longer --duration, or another --output",
        )

"""What others read of the JSON files of `pretrain`, as dataclasses. No TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Literal

from roots_tf.storage import schema
from roots_tf.storage.checked_json import read_checked
from roots_tf.storage.files import InputError
from roots_tf.storage.schema import number

PLAN = "plan.json"  # what the flags stand for: decided at the first start, read at later ones


@dataclasses.dataclass(frozen=True)
class PhaseSettings:
    """Flags of a phase of `pretrain` that others read, with what they stand for in numbers."""

    examples: str
    batch_size: int = number(minimum=1, maximum=1 << 40)
    warmup_steps: int = number(minimum=0, maximum=1 << 60)
    learning_rate: float = number(0.0, minimum=0)
    optimizer: str = "adamw"
    objective: str = "masked_lm"  # version 0.1 had no other
    sentence_objective: str = ""
    max_seq_length: int = number(0, minimum=0, maximum=1 << 20)
    evaluate_every: int = number(0, minimum=0, maximum=1 << 60)


@dataclasses.dataclass(frozen=True)
class Part:
    """What a source of a mixture gives to a phase; see `examples.mixture`."""

    rows: int = number(minimum=0, maximum=1 << 60)
    tokens: int = number(minimum=0, maximum=1 << 60)
    epochs: float = number(minimum=0)
    token_share: float = number(minimum=0, maximum=1)


@dataclasses.dataclass(frozen=True)
class Phases:
    """What `plan.json` says of the phases of a run.

    Attributes:
        builds: of the examples of each phase.
        last_steps: where each phase ends.
        phases: flags of each.
        mixtures: by source of a mixture what it gives to each; {} of one that reads a plain folder.
    """

    builds: tuple[str, ...]
    last_steps: tuple[int, ...] = number(minimum=0)
    phases: tuple[PhaseSettings, ...] = ()
    mixtures: tuple[dict[str, Part], ...] = ()

    def __post_init__(self):
        if self.phases and len(self.phases) != len(self.last_steps):
            raise InputError(
                "wrong-json",
                f"found {len(self.phases)} phases and {len(self.last_steps)} last_steps; wanted as "
                "many",
            )
        if self.mixtures and len(self.mixtures) != len(self.last_steps):
            raise InputError(
                "wrong-json",
                f"found {len(self.mixtures)} mixtures and {len(self.last_steps)} last_steps; "
                "wanted as many",
            )
        if list(self.last_steps) != sorted(self.last_steps):
            raise InputError(
                "wrong-json", f"found last_steps={self.last_steps}; wanted them to rise"
            )


@dataclasses.dataclass(frozen=True)
class Report:
    """What is read of the `report.json` of `pretrain`; further held-out scores stand in it."""

    step: int = number(minimum=0)
    unigram_entropy: float | None = None


@dataclasses.dataclass(frozen=True)
class Computed:
    """What `plan.json` of every run says; see `automatic.Computation`."""

    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"]
    jit_compile: bool
    peak_flops: float = number(0.0, minimum=0)


def read_plan(folder: str | Path, shape: type = Phases):
    """The plan of the run in a folder.

    Args:
        folder: of the run.
        shape: `Phases` or `Computed`: what is asked for.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = Path(folder, PLAN)
    return schema.check(read_checked(path), shape, str(path), others_may_stand=True)

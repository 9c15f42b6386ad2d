"""What others read of the JSON files of `pretrain`, as dataclasses. No TensorFlow."""

import dataclasses

from roots_tf.files import InputError
from roots_tf.schema import number


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
class Phases:
    """What `plan.json` says of the phases of a run.

    Attributes:
        builds: of the examples of each phase.
        last_steps: where each phase ends.
        phases: flags of each.
    """

    builds: tuple[str, ...]
    last_steps: tuple[int, ...] = number(minimum=0)
    phases: tuple[PhaseSettings, ...] = ()

    def __post_init__(self):
        if self.phases and len(self.phases) != len(self.last_steps):
            raise InputError(
                f"found {len(self.phases)} phases and {len(self.last_steps)} last_steps; wanted as "
                "many"
            )
        if list(self.last_steps) != sorted(self.last_steps):
            raise InputError(f"found last_steps={self.last_steps}; wanted them to rise")


@dataclasses.dataclass(frozen=True)
class Report:
    """What is read of the `report.json` of `pretrain`; further held-out scores stand in it."""

    step: int = number(minimum=0)
    unigram_entropy: float | None = None

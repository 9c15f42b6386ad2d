"""What is known of a training run, and what can be found in it."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing to know about a run.

    Attributes:
        name: the same for the same finding in every run.
        severity: "serious": the run is not what was wanted; "notice": worth a look; "healthy".
        found: what was seen, with its numbers.
        why: why it matters.
        action: what to do.
        numbers: those in `found`, by name.
    """

    name: str
    severity: Literal["serious", "notice", "healthy"]
    found: str
    why: str
    action: str
    numbers: dict[str, float]


@dataclasses.dataclass(frozen=True)
class PhaseRecord:
    """A part of a run.

    Attributes:
        settings: the flags of the run, with the phase's own.
        manifest: of its examples; None where it could not be read.
        first_step: where the phase begins.
        last_step: where it ends.
        width: hidden size of the model; 0 where it is not known.
        pre_norm: whether its blocks are pre-norm, as those of "modern", "gpt2" and "llama" are.
        mixture: by source of a mixture what it gives: `rows`, `tokens`, `epochs`, `token_share`.
    """

    settings: dict
    manifest: dict | None
    first_step: int
    last_step: int
    width: int = 0
    pre_norm: bool = False
    mixture: dict = dataclasses.field(default_factory=dict)

    @property
    def sources(self) -> dict[str, dict]:
        """The manifests of its sources by name; that of a plain folder is ""; {} of none known."""
        return (self.manifest or {}).get("sources") or (
            {"": self.manifest} if self.manifest else {}
        )

    @property
    def steps(self) -> int:
        """Updates of the phase."""
        return self.last_step - self.first_step

    @property
    def warmup_steps(self) -> int:
        """Updates of rising learning rate."""
        return self.settings["warmup_steps"]

    @property
    def packed(self) -> bool:
        """Whether rows are filled with running text, so that they need no padding."""
        contiguous = (self.manifest or {}).get("layout") == "contiguous"
        return contiguous or self.settings.get("sentence_objective") == "none"


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What is known of a run.

    Attributes:
        phases: at least one.
        rows: of `metrics.jsonl`, see `roots_tf.training.summaries`.
        report: `report.json`; None where the run has not finished.
        checkpoint_step: of the newest checkpoint; None where there is none.
    """

    phases: Sequence[PhaseRecord]
    rows: Sequence[dict]
    report: dict | None
    checkpoint_step: int | None = None

    @property
    def objective(self) -> str:
        """Name of what is learned; version 0.1, which had masked words only, wrote none."""
        return self.phases[-1].settings.get("objective", "masked_lm")

    @property
    def step(self) -> int:
        """The step of the last row."""
        return self.rows[-1]["step"] if self.rows else 0

    @property
    def phase(self) -> PhaseRecord:
        """The phase that the last row is in."""
        return next((p for p in self.phases if self.step <= p.last_step), self.phases[-1])

    @property
    def unigram_entropy(self) -> float | None:
        """Nats of guessing by frequency alone on the held-out examples of the last phase."""
        return ((self.phase.manifest or {}) | (self.report or {})).get("unigram_entropy")

    def points(self, group: str, name: str) -> list[tuple[int, float]]:
        """A scalar in the last phase only, since lengths and data differ between phases.

        Args:
            group: "train" or "held_out".
            name: of the scalar.

        Returns:
            (step, value) of each row that has the scalar.
        """
        return [
            (row["step"], row[name])
            for row in self.rows
            if row["group"] == group and name in row and row["step"] > self.phase.first_step
        ]

    def values(self, group: str, name: str) -> list[float]:
        """The values of `points`, of the same `group` and `name`."""
        return [value for _, value in self.points(group, name)]

    def late(self, name: str) -> float | None:
        """Median of a training scalar over the last half of its rows."""
        values = self.values("train", name)
        return statistics.median(values[len(values) // 2 :]) if values else None


class Symptoms(NamedTuple):
    """What doctor knows of one objective.

    Attributes:
        checks: functions of a `RunRecord`; each returns a `Finding`, or None where all is well.
        scores: held-out scalars that sum a run up; those that a run did not write are left out.
    """

    checks: tuple[Callable[[RunRecord], Finding | None], ...]
    scores: tuple[str, ...]

"""The phases of a run, and what the run is by them."""

import dataclasses

from roots_tf import program
from roots_tf.storage import claims


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of the run: its flags, the manifest of its examples, and the steps it takes."""

    number: int
    config: object
    manifest: dict
    first_step: int
    last_step: int

    @property
    def length(self) -> int:
        """Tokens in a row, L."""
        return self.config.max_seq_length or self.manifest["max_seq_length"]


def plan_of(phases: list[Phase]) -> dict:
    """What `plan.json` says of the phases."""
    return {
        "builds": [phase.manifest["build"] for phase in phases],
        "last_steps": [phase.last_step for phase in phases],
        "phases": [settings_of(phase) for phase in phases],
    }


def settings_of(phase: Phase) -> dict:
    """The flags of a phase, with what they stand for in numbers."""
    steps = phase.last_step - phase.first_step
    warmup_steps = phase.config.optimization.warmup_of(steps)
    return program.flat(program.replace(phase.config, warmup_steps=warmup_steps))


def claim_of(config, phases: list[Phase], of_a_phase: tuple[str, ...]) -> claims.Claim:
    """What makes the run this one. Its last phase may become longer, and so may a run of none.

    Args:
        config: of the run.
        phases: of the run.
        of_a_phase: flags that a phase may set.
    """
    if not config.phases:
        return claims.of(config)
    roles, settings = claims.of(config).roles, []
    for phase in phases:
        values = program.flat(phase.config)
        settings.append({k: values[k] for k in of_a_phase if roles[k] == "decides"})
        settings[-1]["duration"] = phase.last_step - phase.first_step
        settings[-1]["examples"] = claims.content(phase.config.examples)
    del settings[-1]["duration"]
    return claims.of(config, phases=settings)

"""The phases of a run, and what the run is by them."""

import dataclasses
from collections.abc import Sequence

from roots_tf import program
from roots_tf.storage import claims
from roots_tf.storage.files import InputError
from roots_tf.training.checkpoint_notes import Decay


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of the run: its flags, the manifest of its examples, and the steps it takes.

    Attributes:
        number: of the phase, from 0.
        config: of the run, with the phase's own settings.
        manifest: of its examples.
        first_step, last_step: where it begins and ends.
        reads: what gives its batches: the folder of its examples, or a mixture of several.
        mixture: by source of a mixture what it gives to the phase, as JSON values; {} without one.
    """

    number: int
    config: object
    manifest: dict
    first_step: int
    last_step: int
    reads: object = None
    mixture: dict = dataclasses.field(default_factory=dict)

    @property
    def length(self) -> int:
        """Tokens in a row, L."""
        return self.config.max_seq_length or self.manifest["max_seq_length"]


def whole_phases(
    phases: Sequence[str], of_lists: Sequence[str], settings: Sequence[str]
) -> list[str]:
    """Phases, those put together again that a comma within a list of one of their settings parts.

    >>> whole_phases(("a=zh=x", "en=y b=9", "b=3"), of_lists=("a",), settings=("a", "b"))
    ['a=zh=x,en=y b=9', 'b=3']

    Args:
        phases: parted at commas.
        of_lists: settings whose values may be lists of `name=value`.
        settings: all that a phase may set; what begins with none of them goes on with a list.
    """
    whole: list[str] = []
    for text in phases:
        last = whole[-1].split()[-1] if whole and whole[-1].split() else ""
        setting, _, value = last.partition("=")
        goes_on = setting in of_lists and "=" in value
        if goes_on and text.partition("=")[0].strip() not in settings:
            whole[-1] += f",{text.strip()}"
        else:
            whole.append(text)
    return whole


def plan_of(phases: list[Phase]) -> dict:
    """What `plan.json` says of the phases."""
    return {
        "builds": [phase.manifest["build"] for phase in phases],
        "last_steps": [phase.last_step for phase in phases],
        "phases": [settings_of(phase) for phase in phases],
        "mixtures": [phase.mixture for phase in phases],
    }


def settings_of(phase: Phase) -> dict:
    """The flags of a phase, with what they stand for in numbers."""
    steps = phase.last_step - phase.first_step
    warmup_steps = phase.config.optimization.warmup_of(steps)
    return program.flat(program.replace(phase.config, warmup_steps=warmup_steps))


def decay_of(phases: list[Phase]) -> Decay | None:
    """Where the learning rate of the last phase falls, if a longer run may go on from before that.

    Args:
        phases: of the run.

    Raises:
        InputError: the warm-up is a share of the updates, and so another one in a longer run; or
            see `Optimization.check_decay`.
    """
    schedules = [phase.config.optimization.schedule for phase in phases]
    for phase in phases:
        phase.config.optimization.check_decay(schedules)
    last = phases[-1]
    optimization, steps = last.config.optimization, last.last_step - last.first_step
    if optimization.schedule != "warmup_stable_decay":
        return None
    if optimization.warmup_steps < 0:
        raise InputError(
            "missing-flag",
            "found --schedule=warmup_stable_decay and no --warmup_steps; wanted a number, such as "
            f"--warmup_steps={optimization.warmup_of(steps)}: a share would be another number once "
            "the run is made longer",
        )
    return Decay(last.last_step - optimization.decay_of(steps), last.last_step)


def claim_of(config, phases: list[Phase], of_a_phase: tuple[str, ...]) -> claims.Claim:
    """What makes the run this one. Its last phase may become longer, and so may a run of none.

    Args:
        config: of the run.
        phases: of the run.
        of_a_phase: flags that a phase may set.
    """
    decides = config.optimization.decided_by(config.cadence)
    if not config.phases:
        return claims.of(config, **decides)
    roles, settings = claims.of(config).roles, []
    for phase in phases:
        values = program.flat(phase.config)
        settings.append({k: values[k] for k in of_a_phase if roles[k] == "decides"})
        settings[-1]["duration"] = phase.last_step - phase.first_step
        settings[-1]["examples"] = claims.content(phase.config.examples)
    del settings[-1]["duration"]
    return claims.of(config, phases=settings, **decides)

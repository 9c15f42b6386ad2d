"""The plan of trials: what it names exists."""

import dataclasses

import pytest

from benchmarks import trials
from pipelines import pretrain
from roots_tf import program
from roots_tf.models.config import PRESETS, EncoderConfig
from roots_tf.storage.files import InputError


def planned(**flags):
    return trials.planned(program.make(trials.Config, examples="e", **flags))


def given(trial: trials.Trial) -> dict:
    pairs = (flag.removeprefix("--").partition("=") for flag in trial.of(100))
    return {name: value for name, _, value in pairs}


def phases(trial: trials.Trial, steps: int) -> tuple[str, ...]:
    """The phases of a run of a trial."""
    flag = next((flag for flag in trial.of(steps) if flag.startswith("--phases=")), "--phases=")
    return tuple(filter(None, flag.removeprefix("--phases=").split(",")))


def test_shares_of_a_run_are_updates():
    (trial,) = planned(only=("mask-30-15",))
    first, second = phases(trial, 901)
    assert first.startswith("duration=450 mask_rate=0.3") and "duration=450 mask" in second
    flags = ("--b={.25}", "--c={0.5", "--d={1}")
    assert trials.Trial("a", flags, {}, "e").of(8) == ["--b=2", "--c={0.5", "--d=8"]


def test_every_trial_is_of_flags_and_parts_that_there_are():
    found = planned()
    assert len({trial.name for trial in found}) == len(found) > 1
    fields = {field.name for field in dataclasses.fields(EncoderConfig)}
    for trial in found:
        config = program.make(pretrain.Config, output="o", examples="e")
        config = program.from_text(config, given(trial))
        pretrain.phase_configs(dataclasses.replace(config, phases=phases(trial, 100)))
        assert trial.parts.keys() <= fields and int(trial.given("batch_size")) > 0
        assert trial.given("preset") in PRESETS


def test_a_trial_changes_what_it_names_behind_the_flags_of_all():
    (first, second) = planned(only=("modern", "batch-16"))
    assert (first.name, first.parts) == ("modern", {})
    assert second.flags[: len(first.flags)] == first.flags
    assert (first.given("batch_size"), second.given("batch_size")) == ("32", "16")


def test_a_trial_that_is_not_planned_is_refused():
    with pytest.raises(InputError, match="no trial 'moderm'; .*modern"):
        planned(only=("moderm",))


def test_what_a_trial_does_not_say_is_refused():
    with pytest.raises(InputError, match="no --batch_size= in the flags of plain"):
        trials.Trial("plain", ("--preset=bert",), {}, "e").given("batch_size")

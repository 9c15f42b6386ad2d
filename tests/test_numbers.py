"""Numbers: each flag of each program has bounds, and no file of JSON holds what is no number."""

import dataclasses
import importlib
import json
import math
import subprocess
import sys

import pytest

from pipelines import pretrain
from roots_tf import commands, objectives, program
from roots_tf.models import tuning
from roots_tf.storage import files
from roots_tf.training.durations import steps_of

PROGRAMS = sorted(commands.programs())
VALUES = {str: "x", tuple[str, ...]: ("x",)}  # of flags that are required


def owners(classes, usual: type) -> dict[str, str]:
    """Flags that the usual choice does not have, each with one that has it."""
    fields = {n: [field.name for field in dataclasses.fields(c)] for n, c in classes.items()}
    own = {field.name for field in dataclasses.fields(usual)}
    return {flag: name for name, flags in fields.items() for flag in flags if flag not in own}


OWNERS = {
    "objective": owners(objectives.OBJECTIVES, objectives.MaskedLM),
    "tune": owners(tuning.TUNINGS, tuning.Tuning),
}


def config_class(name: str) -> type:
    return importlib.import_module(f"pipelines.{name}").Config


def numbers(name: str) -> dict[str, program.Flag]:
    known = program.flags_of(config_class(name))
    return {flag: about for flag, about in known.items() if about.hint in (int, float)}


def refused(name: str, flag: str, value: float) -> bool:
    """Whether the value of one flag is refused, by its name, where all others are as they are."""
    known = program.flags_of(config_class(name))
    required = {flag: VALUES[about.hint] for flag, about in known.items() if about.is_required}
    chooser = {name: of[flag] for name, of in OWNERS.items() if flag in of and name in known}
    config = program.make(config_class(name), **required | chooser | {flag: value})
    try:
        program.check(config)
    except program.FlagError as error:
        return f"found --{flag}={value}; wanted a number " in str(error)
    return False


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_number_has_a_lowest_and_a_highest_value(name):
    for flag, about in numbers(name).items():
        lowest = about.bounds.minimum if about.bounds.above is None else about.bounds.above
        assert lowest is not None, flag
        assert about.bounds.maximum is not None, flag
        assert lowest < about.bounds.maximum, flag


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_beyond_the_bounds_is_refused(name):
    for flag, about in numbers(name).items():
        lowest = about.bounds.minimum if about.bounds.above is None else about.bounds.above
        beyond = [10**400, -(10**400), about.hint(about.bounds.maximum * 2 + 1)]
        below = about.hint(lowest) - 1 if about.hint is int else math.nextafter(lowest, -math.inf)
        beyond += [value for value in (below, -abs(below) - 1) if value != about.default]
        beyond += [lowest] if about.bounds.above is not None else []
        if about.hint is float:
            beyond += [math.nan, math.inf, -math.inf]
        for value in beyond:
            assert refused(name, flag, value), (flag, value)
        for value in (about.bounds.maximum, about.default):
            assert not refused(name, flag, value), (flag, value)


@pytest.mark.parametrize(
    ("program_name", "number"),
    [
        ("train-tokenizer", "--vocab_size=-1"),
        ("build-examples", "--held_out=nan"),
        ("curate", "--num_workers=-2"),
    ],
)
def test_a_program_refuses_before_it_reads_or_writes(program_name, number, tmp_path):
    arguments = [number, f"--input={tmp_path}/none", f"--output={tmp_path}/out", "--tokenizer=t"]
    arguments = arguments if program_name == "build-examples" else arguments[:-1]
    code = "from roots_tf.commands import roots; roots()"
    done = subprocess.run(
        [sys.executable, "-c", code, program_name, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"roots {program_name}: found {number}; wanted a number ")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "setting",
    ["learning_rate=nan", "learning_rate=-1", "warmup_share=5", "mask_rate=2", "batch_size=0"],
)
def test_numbers_of_a_phase_are_refused_like_those_of_the_run(setting):
    config = program.make(pretrain.Config, output="x", phases=(f"examples=y {setting}",))
    with pytest.raises(files.InputError, match=r"found the phase .* wanted a number "):
        pretrain.phase_configs(config)


@pytest.mark.parametrize("duration", ["nan", "-1", "0 epochs", "inf steps", "1e400", "1e99 tokens"])
def test_durations_that_make_no_sense(duration):
    with pytest.raises(files.InputError, match="found the duration"):
        steps_of(duration, batch_size=32, num_examples=1000, length=128)


def test_json_that_is_written_has_no_nan(tmp_path, caplog):
    path = tmp_path / "report.json"
    report = {"dev": {"loss": math.nan, "scores": [0.5, math.inf]}, "pair": (1, 2.0)}
    files.write_json(path, report)

    def refuse(literal):
        raise AssertionError(literal)

    assert json.loads(path.read_text(), parse_constant=refuse) == {
        "dev": {"loss": None, "scores": [0.5, None]}, "pair": [1, 2.0],
    }  # fmt: skip
    assert files.as_read_back({"most": math.inf, "pair": (1, 2)}) == {"most": None, "pair": [1, 2]}
    assert "null stands for numbers that are not finite: dev.loss, dev.scores.1" in caplog.text

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

import roots_tf
from roots_tf import commands, program

ROOT = Path(roots_tf.__file__).parents[1]
ROOTS = [sys.executable, "-c", "from roots_tf.commands import roots; roots()"]

SCRIPT = '''"""Sails to a place.

The whole docstring is shown.
"""

import dataclasses
import os
from pathlib import Path
from typing import Literal

from roots_tf import program
from roots_tf.storage import files


@dataclasses.dataclass(frozen=True)
class Config:
    to: tuple[str, ...] = program.flag(help="ports of call")
    ship: Literal["sloop", "brig"] = program.flag("sloop", help="kind of ship")
    crew: int = program.flag(3, help="number of sailors")
    wind: float = program.flag(0.5, help="force of the wind")
    night: bool = program.flag(False, help="sail at night")
    name: str = program.flag("", help="name of the ship")


def main(config):
    if config.crew < 0:
        raise files.InputError("number-out-of-range", "found a crew of\\n-1; wanted 0 or more")
    if config.crew == 13:
        raise RuntimeError("a bug")
    if config.crew == 99:
        raise KeyboardInterrupt
    if config.night:
        os.kill(os.getpid(), config.crew)
    if config.crew == 28:
        Path("/dev/full").write_text("Rosa")
    print(program.to_json(config))


if __name__ == "__main__":
    program.run(main, Config)
'''


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "sail.py"
    path.write_text(SCRIPT)
    return path


def run(*command):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=ROOT)


def sail(script, *flags):
    return run(sys.executable, script, *flags)


def test_flags_make_a_config(script):
    flags = ["--to=Lima,Cork", "--ship=brig", "--crew=0", "--wind=1e-3", "--night", "--name=Pequod"]
    done = sail(script, *flags)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "to": ["Lima", "Cork"],
        "ship": "brig",
        "crew": 0,
        "wind": 0.001,
        "night": True,
        "name": "Pequod",
    }


def test_a_file_whose_name_has_a_comma_is_one_of_a_list(script, tmp_path):
    port = tmp_path / "Lima, Callao [1].txt"
    port.touch()
    for text, ports in ((f"{port},Cork", [str(port), "Cork"]), ('"a, b", c', ["a, b", "c"])):
        assert json.loads(sail(script, f"--to={text}").stdout)["to"] == ports
    done = sail(script, '--to="Lima')
    assert (done.returncode, done.stdout) == (2, "")
    assert "quotes that are not closed" in done.stderr


def test_help_shows_the_docstring_and_every_flag(script):
    shown = sail(script, "--help").stdout
    for text in ("The whole docstring is shown.", "--to:", "--ship: <sloop|brig>", "--[no]night"):
        assert text in shown
    for text in ("number of sailors", "force of the wind", "(default: '3')"):
        assert text in shown


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--to"),
        (["--to=Lima", "--ship=raft"], "<sloop|brig>"),
        (["--to=Lima", "--ship=slop"], "<sloop|brig>; did you mean sloop?"),
        (["--to=Lima", "--ships=brig"], "; did you mean --ship?"),
        (["--to=Lima", "--crew=many"], "--crew=many"),
        (["--to=Lima", "--sails=3"], "found a flag --sails; "),
        (["--to", "Lima", "Cork"], "found ['Cork'] beside the flags"),
    ],
)
def test_wrong_flags(script, flags, message):
    done = sail(script, *flags)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_flag_file(script, tmp_path):
    path = tmp_path / "flags"
    path.write_text("--to=Lima\n--crew=4\n# a comment\n--nonight\n")
    config = json.loads(sail(script, f"--flagfile={path}", "--crew=5").stdout)
    assert (config["to"], config["crew"], config["night"]) == (["Lima"], 5, False)


def test_a_mistake_of_the_user_is_one_line(script):
    done = sail(script, "--to=Lima", "--crew=-1")
    assert done.returncode == 2
    assert done.stderr == "sail.py: found a crew of -1; wanted 0 or more [number-out-of-range]\n"


def test_a_bug_keeps_its_traceback(script):
    done = sail(script, "--to=Lima", "--crew=13")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "RuntimeError: a bug" in done.stderr


def test_a_full_disk_is_one_line(script):
    done = sail(script, "--to=Lima", "--crew=28")
    assert done.returncode == 2
    assert done.stderr == (
        "sail.py: No space left on device: make room, then run the same command again [no-room]\n"
    )


def test_what_is_printed_to_a_full_disk_or_to_nobody(script):
    command = [sys.executable, str(script), "--to=Lima", f"--name={10_000 * 'x'}"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    line = "sail.py: No space left on device: make room, then run the same command again"
    assert (done.returncode, done.stderr) == (2, f"{line} [no-room]\n")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_is_one_line(script):
    done = sail(script, "--to=Lima", "--crew=99")
    assert (done.returncode, done.stderr) == (130, "sail.py: interrupted [stopped]\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_is_one_line_and_one_that_is_ignored_stays_so(script, number):
    flags = ["--to=Lima", f"--crew={int(number)}", "--night"]
    before = signal.signal(number, signal.SIG_DFL)  # under nohup the tests ignore SIGHUP too
    try:
        done = sail(script, *flags)
    finally:
        signal.signal(number, before)
    assert done.returncode == 128 + number
    assert done.stderr == (
        f"sail.py: stopped by {number.name}; nothing is left half-written: run the same command "
        "again [stopped]\n"
    )
    ignoring = f"import signal, sys, os; signal.signal({int(number)}, signal.SIG_IGN); "
    ignoring += "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    done = run(sys.executable, "-c", ignoring, script, *flags)
    assert (done.returncode, done.stderr) == (0, "")


@dataclasses.dataclass(frozen=True)
class Rig:
    masts: int = program.flag(2, help="number of masts", minimum=1, maximum=5)
    canvas: float = program.flag(1.0, help="area of the sails", above=0)


@dataclasses.dataclass(frozen=True)
class Trade:
    name = "trade"
    cargo: str = program.flag("tea", help="what is carried")
    crew: int = program.flag(9, help="hands")


@dataclasses.dataclass(frozen=True)
class Hunt:
    name = "hunt"
    boats: int = program.flag(4, help="whaleboats", minimum=1)
    crew: int = program.flag(30, help="hands")


@dataclasses.dataclass(frozen=True)
class Config:
    to: tuple[str, ...] = program.flag(help="ports")
    ship: Literal["sloop", "brig"] = program.flag("sloop", help="ship")
    night: bool = program.flag(False, help="sail at night", group="hours")
    rig: Rig = program.group(Rig(masts=3), "rigging")
    voyage: object = program.choice(
        {"trade": Trade, "hunt": Hunt}, "trade", help="what for", title="voyage"
    )


def test_groups_and_choices_are_flags_side_by_side():
    config = program.make(Config, to=("Lima",), masts=1, voyage="hunt", boats=5)
    assert config.rig == Rig(masts=1)
    assert config.voyage == Hunt(boats=5)
    assert program.make(Config, to=()).rig.masts == 3  # of the group's default, not its class
    assert program.flat(config) == {
        "to": ("Lima",), "ship": "sloop", "night": False, "masts": 1, "canvas": 1.0,
        "voyage": "hunt", "boats": 5, "crew": 30,
    }  # fmt: skip
    values = json.loads(program.to_json(config))
    assert program.make(Config, **values | {"to": tuple(values["to"])}) == config
    assert program.replace(config, boats=6, masts=2).voyage == Hunt(boats=6)
    assert program.replace(config, voyage="trade").voyage == Trade()
    assert program.replace(config, voyage=Trade(cargo="silk")).voyage.cargo == "silk"
    assert "Córdoba" in program.to_json(program.replace(config, to=("Córdoba",)))


def test_a_flag_of_another_choice_is_refused():
    with pytest.raises(program.FlagError, match="found --boats with --voyage=trade, which has no"):
        program.make(Config, to=(), boats=5)
    with pytest.raises(
        program.FlagError, match="found a flag --sails; wanted one of boats, canvas"
    ):
        program.make(Config, to=(), sails=5)
    with pytest.raises(program.FlagError, match="found --voyage=war; wanted one of trade, hunt"):
        program.make(Config, to=(), voyage="war")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"masts": 6}, "found --masts=6; wanted a number from 1 to 5"),
        ({"masts": 0}, "found --masts=0; wanted a number from 1 to 5"),
        ({"canvas": 0.0}, "found --canvas=0.0; wanted a number above 0"),
        ({"canvas": float("nan")}, "found --canvas=nan; wanted a number above 0"),
        ({"canvas": float("inf")}, "found --canvas=inf; wanted a number above 0"),
        ({"to": ()}, "found --to= without a value; wanted one"),
        ({"ship": "raft"}, "found --ship=raft; wanted one of sloop, brig"),
    ],
)
def test_values_beyond_their_bounds(values, message):
    with pytest.raises(program.FlagError, match=message):
        program.check(program.make(Config, **{"to": ("Lima",)} | values))


def test_values_as_somebody_wrote_them():
    config = program.make(Config, to=("Lima",))
    written = {"to": "Cork,Lima", "masts": "2", "canvas": "1e3", "night": "true", "cargo": "wool"}
    values = program.flat(program.from_text(config, written))
    assert values == program.flat(config) | {
        "to": ("Cork", "Lima"), "masts": 2, "canvas": 1000.0, "night": True, "cargo": "wool",
    }  # fmt: skip
    with pytest.raises(program.FlagError, match="found masts='many'; wanted a whole number"):
        program.from_text(config, {"masts": "many"})


@dataclasses.dataclass(frozen=True)
class PerhapsConfig:
    night: bool | None = program.flag(None, help="sail at night; not given: as the owner says")
    ship: Literal["sloop", "brig"] | None = program.flag(None, help="kind of ship")


def test_a_flag_may_be_not_given():
    assert program.make(PerhapsConfig) == PerhapsConfig(None, None)
    written = program.from_text(PerhapsConfig(), {"night": "false", "ship": "brig"})
    assert written == PerhapsConfig(False, "brig")
    with pytest.raises(program.FlagError, match="found --ship=raft; wanted one of sloop, brig"):
        program.check(PerhapsConfig(ship="raft"))
    page = program.help_page("", program.flags_of(PerhapsConfig))
    assert "--[no]night: sail at night; not given: as the owner says\n" in page
    assert "--ship: <sloop|brig>: kind of ship\n" in page and "None" not in page


def test_a_role_is_declared_by_a_flag_or_by_its_dataclass():
    @dataclasses.dataclass(frozen=True)
    class Lamps:
        role = "free"
        number: int = program.flag(2, help="lamps")
        oil: str = program.flag("whale", help="what burns", role="decides")

    @dataclasses.dataclass(frozen=True)
    class Lit:
        chart: str = program.flag(help="file", role="input")
        sails: int = program.flag(3, help="sails")
        lamps: Lamps = program.group(Lamps(), "light")

    roles = {name: about.role for name, about in program.flags_of(Lit).items()}
    assert roles == {"chart": "input", "sails": "decides", "number": "free", "oil": "decides"}


def test_two_fields_of_one_flag_are_refused():
    @dataclasses.dataclass(frozen=True)
    class Twice:
        masts: int = program.flag(2, help="number of masts")
        hunt: Hunt = program.group(Hunt(), "hunt")
        trade: Hunt = program.group(Hunt(), "trade")

    with pytest.raises(ValueError, match="found two fields for the flag --boats"):
        program.flags_of(Twice)


def test_help_shows_the_groups_in_order():
    page = program.help_page("Sails.", program.flags_of(Config))
    titles = [line for line in page.splitlines() if line.endswith(":") and line[0] != " "]
    assert titles == ["flags:", "hours:", "rigging:", "voyage:", "of every program:"]
    assert "  --masts: number of masts\n      (a number from 1 to 5; default: '3')" in page
    assert "  --voyage: <trade|hunt>: what for" in page


def test_roots_lists_the_programs_with_a_line_each():
    for arguments in ([], ["--help"]):
        done = run(*ROOTS, *arguments)
        assert done.returncode == 0
        listed = {line.split()[0]: line for line in done.stdout.split("\n\n")[1].splitlines()}
        assert sorted(listed) == sorted(name.replace("_", "-") for name in commands.programs())
        assert listed["curate"].endswith(commands.programs()["curate"])
        assert all(len(line.split()) > 3 for line in listed.values())


def test_roots_does_not_import_the_programs():
    code = "import sys; from roots_tf.commands import roots; roots(); print(sys.modules.keys())"
    modules = run(sys.executable, "-c", code).stdout
    assert "'pipelines.curate'" not in modules
    assert "'tensorflow'" not in modules


@pytest.mark.parametrize(
    "command", [[*ROOTS, "curate"], [sys.executable, "-m", "pipelines.curate"]]
)
def test_a_program_runs_under_both_names(command, tmp_path):
    shown = run(*command, "--help").stdout
    assert "--documents: <blank_lines|file|line>" in shown
    assert "documents-00000-of-00016.parquet" in shown
    done = run(*command, f"--input={tmp_path}/none.txt", f"--output={tmp_path}/out")
    assert done.returncode == 2
    assert "found no file that matches" in done.stderr
    assert len(done.stderr.splitlines()) == 1

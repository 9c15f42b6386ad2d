"""What a program says on stderr: JSON lines, nothing but warnings, or lines for people."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import roots_tf

ROOT = Path(roots_tf.__file__).parents[1]
SCRIPT = '''"""Sails."""

import dataclasses
import logging as python_logging
import warnings

from absl import logging

from roots_tf import program, stages
from roots_tf.storage import files


def work(number):
    logging.info("worker %d", number)
    logging.warning("leak in %d", number)
    return number


@dataclasses.dataclass(frozen=True)
class Config:
    crew: int = program.flag(3, help="number of sailors", minimum=0, maximum=99)
    folder: str = program.flag("", help="of the stage")


class Lost(ValueError):
    exit_status = 2
    id = "lost-at-sea"


def main(config):
    logging.info("step %d", 7, extra={"fields": {"step": 7, "loss": 0.5}})
    logging.warning("a storm: 100 % rain")
    if config.crew == 4:
        warnings.warn("old ropes")
        python_logging.getLogger("other").warning("of a library")
    if config.crew == 13:
        raise RuntimeError("a bug")
    if config.crew == 14:
        raise Lost("found no\\nharbour")
    if config.folder:
        with stages.executor(2) as executor:
            stages.run_stage(work, [(1,)], config.folder, executor)
    print(program.to_json(config))


if __name__ == "__main__":
    program.run(main, Config)
'''


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("messages") / "sail.py"
    path.write_text(SCRIPT)
    return path


def sail(script, *flags):
    command = [sys.executable, str(script), *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_json_lines(script):
    done = sail(script, "--json_logs", "--crew=4")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert json.loads(done.stdout) == {"crew": 4, "folder": ""}  # the flag is of no config
    assert {line["program"] for line in lines} == {"sail.py"}
    assert [line["level"] for line in lines] == ["info", "warning", "warning", "warning"]
    assert lines[0] | {"time": ""} == {
        **{"time": "", "level": "info", "program": "sail.py", "message": "step 7"},
        **{"step": 7, "loss": 0.5},
    }
    assert lines[1]["message"] == "a storm: 100 % rain"
    assert "old ropes" in lines[2]["message"] and lines[3]["message"] == "of a library"
    assert lines[0]["time"].endswith("+00:00")


def test_a_mistake_and_a_bug_are_json_lines_too(script):
    done = sail(script, "--json_logs", "--crew=14")
    last = json.loads(done.stderr.splitlines()[-1])
    assert done.returncode == 2
    assert (last["level"], last["message"]) == ("error", "found no harbour")
    assert (last["id"], last["status"]) == ("lost-at-sea", 2)
    plain = sail(script, "--crew=14").stderr.splitlines()[-1]
    assert plain == "sail.py: found no harbour [lost-at-sea]"
    done = sail(script, "--json_logs", "--crew=13")
    last = json.loads(done.stderr.splitlines()[-1])
    assert done.returncode == 1
    assert last["message"] == "RuntimeError: a bug" and "line" in last["traceback"]


def test_a_refused_flag_is_a_json_line_too(script):
    done = sail(script, "--json_logs", "--crw=14")
    assert done.returncode == 2
    assert "did you mean --crew?" in json.loads(done.stderr)["message"]


def test_quiet_says_warnings_and_the_result(script, tmp_path):
    flags = tmp_path / "flags"
    flags.write_text(f"--quiet\n--folder={tmp_path}/stage\n")
    done = sail(script, f"--flagfile={flags}")
    assert json.loads(done.stdout)["crew"] == 3
    lines = [line.partition("] ")[2] for line in done.stderr.splitlines()]
    assert lines == ["a storm: 100 % rain", "leak in 1"]


def test_workers_speak_as_their_parent(script, tmp_path):
    done = sail(script, "--json_logs", f"--folder={tmp_path}/stage")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["message"] for line in lines][2:] == ["worker 1", "leak in 1"]
    assert {line["program"] for line in lines} == {"sail.py"}

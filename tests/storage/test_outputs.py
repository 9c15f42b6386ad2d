"""Where programs are told to write: every program, at every odd place, beside every input."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from roots_tf import commands, program
from roots_tf.storage import files, outputs

PROGRAMS = {name: importlib.import_module(f"pipelines.{name}") for name in commands.programs()}
FLAGS = {name: program.flags_of(module.Config) for name, module in PROGRAMS.items()}
PLACES = [
    (name, flag)
    for name, flags in FLAGS.items()
    for flag, about in flags.items()
    if about.role.startswith("output")
]
WITHOUT = {"doctor", "fill_mask", "launch", "serve", "tokenize"}  # nothing, or to the screen


def values(name: str, path: str) -> dict:
    """What the flags of a program have to be given: for each input the path."""
    flags = {
        flag: (path,) if about.hint == tuple[str, ...] else path
        for flag, about in FLAGS[name].items()
        if about.is_required and about.role == "input"
    }
    return {flag: value for flag, value in flags.items() if flag != "output"}


def refused(name: str, **flags) -> str:
    """The line with which a program refuses flags."""
    with pytest.raises((files.InputError, program.FlagError)) as raised:
        program.check(program.make(PROGRAMS[name].Config, **flags))
    assert raised.value.exit_status == 2
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("kept")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("kept")
    (tmp_path / "dangling").symlink_to("gone")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


NO_PATHS = {"corpus_prompt_name", "encoding", "name", "prompt_name", "scheduler", "source_field"}


def test_every_program_says_what_its_paths_are():
    """A path whose role is not declared is compared by its spelling, and is not checked."""
    assert PROGRAMS.keys() - {name for name, _ in PLACES} == WITHOUT
    for name, flags in FLAGS.items():
        for flag, about in flags.items():
            names_a_path = re.search(r"\b(folders?|files?)\b", about.help)
            if about.hint in (str, tuple[str, ...]) and names_a_path:
                is_path = about.role == "input" or about.role.startswith("output")
                assert is_path or flag in NO_PATHS, f"{name} --{flag}"


@pytest.mark.parametrize("name", sorted(PROGRAMS.keys() - {"check_device", "demo", "launch"}))
def test_a_url_of_no_known_store_is_refused_as_any_input(at, name):
    """`file://` too: a path is written without it."""
    inputs = [flag for flag, about in FLAGS[name].items() if about.role == "input"]
    for flag in inputs:
        place = ("file:///a",) if FLAGS[name][flag].hint == tuple[str, ...] else "file:///a"
        outputs = {flag: "new" for owner, flag in PLACES if owner == name}
        line = refused(name, **values(name, "data") | outputs | {flag: place})
        assert f"found --{flag}=file:///a; wanted a path here, or a URL; URLs that are kno" in line


ODD = [
    *("", " ", "/proc/x", "/proc/x/y", "file/below", "dangling", "dangling/below", "loop"),
    *("loop/below", "fifo", "/dev/null", "/dev/full", "/dev/stdout", "n" * 300, "a\0b"),
]


@pytest.mark.parametrize(("name", "flag"), PLACES)
def test_odd_places_are_refused_and_nothing_is_written(at, name, flag):
    is_file = FLAGS[name][flag].role == "output_file"
    before = sorted(os.listdir(at))
    for place in [*ODD, "data" if is_file else "file"]:
        if not place and FLAGS[name][flag].default == "":
            continue  # none is asked for
        line = refused(name, **values(name, "data"), **{flag: place})
        assert f"found --{flag}={place}" in line
        assert "wanted " in line
    assert sorted(os.listdir(at)) == before
    for place in ("new", "new/deep", "data2", str(at / "new"), "../" + at.name + "/new"):
        program.check(program.make(PROGRAMS[name].Config, **values(name, "data"), **{flag: place}))
    assert sorted(os.listdir(at)) == before


@pytest.fixture
def mounted(tmp_path):
    """A function that mounts a disk of 64 kB with the given options at a name."""
    folders = []

    def mount(name: str, options: str = ""):
        folder = tmp_path / name
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size=64k{options}", "tmpfs", str(folder)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("cannot mount a tiny disk here")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_read_only_place_and_a_full_disk(at, mounted):
    read_only, full = mounted("fixed", ",ro"), mounted("full")
    (full / "a").write_bytes(bytes(64 << 10))
    for name, flag in PLACES:
        for folder, why in ((read_only, "Read-only"), (full, "No space left .*make room")):
            line = refused(name, **values(name, "data"), **{flag: str(folder / "new")})
            assert re.search(why, line)


def test_a_finished_run_may_stand_where_nobody_writes(at, mounted):
    folder = mounted("fixed")
    (folder / "report.json").touch()
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    program.check(program.make(PROGRAMS["curate"].Config, input=("data",), output=str(folder)))


PAIRS = [
    (name, place, flag)
    for name, place in PLACES
    for flag, about in FLAGS[name].items()
    if about.role == "input"
]


@pytest.mark.parametrize(("name", "place", "flag"), PAIRS)
def test_what_is_written_is_apart_from_what_is_read(at, name, place, flag):
    hint, role = FLAGS[name][flag].hint, FLAGS[name][place].role

    def line(given: str, output: str) -> str:
        value = (given,) if hint == tuple[str, ...] else given
        return refused(name, **values(name, "file") | {flag: value, place: output})

    (at / "link").symlink_to("data")
    if hint is str:
        program.check(
            program.make(
                PROGRAMS[name].Config, **values(name, "file") | {flag: "data", place: "data/new"}
            )
        )  # no model and no examples, and who reads it says so
        (at / "data" / "vocab.txt").touch()
    if role == "output_file":
        os.link("data/a.txt", "hard")
        os.symlink("data/a.txt", "soft")
        for output in ("data/a.txt", "hard", "soft", "link/a.txt", str(at / "data" / "a.txt")):
            assert f"found --{place}={output}, which is a file of --{flag}" in line(
                "data/a.txt", output
            )
        assert f"in the folder of --{flag}" in line("data", "data/new.json")
    else:
        for output in ("data", "data/", "./link", str(at / "data")):
            assert f"found --{place}={output}, the folder of --{flag}" in line("data", output)
        assert f"in the folder of --{flag}" in line("link", "data/deep/new")
    if role == "output_folder":
        (at / "run" / "model").mkdir(parents=True)
        (at / "run" / "model" / "model.json").touch()
        assert f"found --{flag} at run/model, which is replaced in" in line("run/model", "run")
    assert (at / "data" / "a.txt").read_text() == "kept"


@pytest.mark.parametrize("pattern", ["data/*.txt", "dat?", "data"])
def test_patterns_are_inputs_too(at, pattern):
    config = PROGRAMS["embed"].Config
    for output in ("data/a.txt", "data/b.parquet"):
        if (pattern, output) != ("data/*.txt", "data/b.parquet"):  # is not read, and does not match
            with pytest.raises(files.InputError, match="--input"):
                outputs.check(program.make(config, model="file", input=(pattern,), output=output))


def test_a_file_of_a_list_or_behind_a_link_is_not_overwritten(at):
    config = PROGRAMS["predict"].Config
    (at / "b.neg").touch()
    (at / "far").mkdir()
    (at / "far" / "c.txt").touch()
    (at / "data" / "near").symlink_to(at / "far")
    for given, output in (("file,b.neg", "b.neg"), ("f*,b.neg", "file"), ("data", "far/c.txt")):
        with pytest.raises(files.InputError, match=f"--output={output}, which is a file of --inp"):
            outputs.check(program.make(config, model="m", input=given, output=output))
    outputs.check(program.make(config, model="m", input="file,b.neg", output="new"))


def test_predict_does_not_overwrite_its_input(at):
    run = subprocess.run(
        [sys.executable, "-m", "pipelines.predict", "--model=m", "--input=file", "--output=./file"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(files.__file__).parents[2])},
    )
    assert run.returncode == 2
    assert run.stderr == (
        "predict.py: found --output=./file, which is a file of --input (file); wanted another file "
        "to write: nothing was changed [output-over-input]\n"
    )
    assert (at / "file").read_text() == "kept"

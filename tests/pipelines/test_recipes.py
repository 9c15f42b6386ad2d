"""Recipes are flags that their programs have, with what they cost and reach at the top."""

import importlib
import re
from pathlib import Path

import pytest

import pipelines
from roots_tf import program

RECIPES = sorted(Path(pipelines.__file__).parent.glob("recipes/*.flags"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_a_recipe_is_flags_of_its_program(path):
    comment, flags = [], {}
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("#"):
            assert not flags, "the comment stands at the top"
            comment.append(line.removeprefix("#").strip())
        else:
            name, _, value = line.removeprefix("--").partition("=")
            flags[name] = value
    text = " ".join(comment)
    name = re.search(r"roots ([a-z-]+) --flagfile=pipelines/recipes/(\S+)", text)
    assert name[2] == path.name
    assert re.search(r"\d+ (seconds|minutes)|one minute", text)
    assert re.search(r"\.\d\d", text), "scores"
    module = importlib.import_module(f"pipelines.{name[1].replace('-', '_')}")
    known = program.flags_of(module.Config)
    required = {flag: "x" for flag, about in known.items() if about.is_required}
    config = program.from_text(program.make(module.Config, **required), flags)
    program.check(config)
    assert flags


def test_there_are_recipes():
    assert len(RECIPES) >= 4

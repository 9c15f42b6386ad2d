"""Every command that a page shows is parsed and checked, and runs at its `--debug` size."""

import pytest

from roots_tf import commands as programs
from tests.docs import runner
from tests.docs.shown import PAGES, ROOT, commands

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return runner.Runner(tmp_path_factory.mktemp("pages"))


@each_page
def test_commands_are_checked(page, run, monkeypatch):
    monkeypatch.chdir(run.root)
    for command in commands(page.read_text("utf-8")):
        assert command.name.replace("-", "_") in programs.programs(), command
        run.config(command)


@pytest.mark.slow
@each_page
def test_commands_run(page, run, monkeypatch):
    for command in commands(page.read_text("utf-8")):
        if not runner.why_not_run(command):
            run(command)

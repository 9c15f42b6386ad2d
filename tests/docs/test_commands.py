"""Every command that a page shows is parsed and checked, and runs at its `--debug` size."""

import pytest

from roots_tf import commands as programs
from roots_tf import completion
from tests.docs import runner
from tests.docs.shown import PAGES, ROOT, Command, commands

# Of the messages there some name commands, with an ellipsis for what is known where they are made.
RUN = [page for page in PAGES if page.name != "troubleshooting.md"]
WITHOUT_A_MODEL = {
    *("build-examples", "curate", "extend-vocab", "tokenize"),
    *("train-classifier", "train-tokenizer"),
}
each_page = pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return runner.Runner(tmp_path_factory.mktemp("pages"))


def shown(page) -> list[Command]:
    """Commands that are programs."""
    every = commands(page.read_text("utf-8"))
    return [command for command in every if command.name not in completion.FURTHER]


@each_page
def test_commands_are_checked(page, run, monkeypatch):
    monkeypatch.chdir(run.root)
    for command in shown(page):
        assert command.name.replace("-", "_") in programs.programs(), command
        run.config(command)


@each_page
def test_commands_that_only_tell_something_run(page, monkeypatch):
    for command in commands(page.read_text("utf-8")):
        if command.name in completion.FURTHER:
            monkeypatch.setattr("sys.argv", ["roots", command.name, *command.arguments])
            programs.roots()


@each_page
def test_commands_on_text_run(page, run):
    for command in shown(page):
        of_a_model = any(argument.endswith("work/bert_base") for argument in command.arguments)
        if command.name in WITHOUT_A_MODEL and not of_a_model and not runner.why_not_run(command):
            run(command)


@pytest.mark.slow
@each_page
def test_commands_run(page, run):
    for command in shown(page):
        if not runner.why_not_run(command):
            run(command)


def test_what_is_not_run_is_shown_somewhere():
    why = {runner.why_not_run(command) for page in RUN for command in shown(page)}
    assert {reason for _, _, reason in runner.NOT_RUN} <= why


@pytest.mark.parametrize(
    "line",
    ["curate --inptu=a --output=b", "pretrain --examples=a --output=b --size=tny",
     "pretrain --examples=a --output=b --phases=lenght=3", "embed --input=a --output=b"],
)  # fmt: skip
def test_a_wrong_command_is_found(line, run):
    name, *arguments = line.split()
    with pytest.raises(Exception, match=r"found|value|Unknown") as error:
        run.config(Command(name, tuple(arguments)))
    assert error.value.exit_status == 2


def test_a_file_that_no_page_has_is_found(run):
    with pytest.raises(Exception, match="found no file"):
        run(Command("curate", ("--input=letters/*.txt", "--output=work/documents")))

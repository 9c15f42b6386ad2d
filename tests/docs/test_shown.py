"""Commands are found wherever a page shows one."""

import pytest

from tests.docs.shown import Command, commands, spans


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("    roots doctor --debug\n", [Command("doctor", ("--debug",))]),
        ("```sh\nroots doctor --debug\n```\n", [Command("doctor", ("--debug",))]),
        ("~~~\n$ roots doctor\n~~~\n", [Command("doctor", ())]),
        ("    python -m pipelines.fill_mask --top=1\n", [Command("fill-mask", ("--top=1",))]),
        ("    .venv/bin/roots demo\n", [Command("demo", ())]),
        ("    # roots extend_vocab --count=1\n", [Command("extend-vocab", ("--count=1",))]),
        ("    A=1 roots x --a &\n    roots y\n", [Command("x", ("--a",)), Command("y", ())]),
        ("    A='{\n    1}' \\\n      roots x --a='b c'\n", [Command("x", ("--a=b c",))]),
        ("    echo 'a b' | roots x --decode | head\n", [Command("x", ("--decode",), "a b")]),
        ("    roots x: found nothing; wanted a file\n", []),  # an error as it is printed
        ("prose of roots and `roots x`\n", []),
    ],
)
def test_commands(text, wanted):
    assert list(commands(text)) == wanted


def test_spans_are_joined_and_outside_blocks():
    text = "Of `roots x\n--a` and ``b``.\n\n    `not here`\n"
    assert spans(text) == ["roots x --a", "b"]

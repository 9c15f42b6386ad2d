"""The words of `roots`: programs, and what stands beside them."""

import sys

import pytest

from roots_tf import commands


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("nosuch", "; there are: average, benchmark-step, build-examples, "),
        ("fintune", "; did you mean finetune? [no-such-program]\n"),
        ("build_example", "; did you mean build-examples? [no-such-program]\n"),
        ("completions", "; did you mean completion? [no-such-program]\n"),
    ],
)
def test_roots_of_an_unknown_program(name, meant, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["roots", name])
    with pytest.raises(SystemExit) as left:
        commands.roots()
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith(f"roots: found no program {name!r}{meant}")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["version"], "tensorflow-text "),
        (["--version"], "tensorflow-text "),
        (["help", "predict"], "--columns"),
        (["completion", "fish"], "complete -c roots"),
    ],
)
def test_words_of_roots_beside_programs(words, shown, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["roots", *words])
    commands.roots()
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize("words", [["help", "predcit"], ["completion", "bsh"], ["help", "a", "b"]])
def test_mistakes_of_these_words_are_one_line(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["roots", *words])
    with pytest.raises(SystemExit) as left:
        commands.roots()
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1

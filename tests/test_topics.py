"""What `roots help` and `roots version` say."""

import re

import pytest

from roots_tf import commands, notices, program, topics, versions

PROGRAMS = {"predict": "Answers.", "embed": "Vectors.", "import": "Takes in."}


def show(topic: str) -> str:
    return topics.show(topic, PROGRAMS, commands.load)


def test_a_program_is_as_its_help():
    for name in ("predict", "fill-mask"):
        page = topics.show(name, commands.programs(), commands.load)
        assert "--model: " in page and page.startswith(commands.load(name).__doc__.strip()[:20])


def test_a_flag_is_shown_with_the_programs_that_have_it():
    page = show("batch_size")
    assert re.search(r"^predict\n  --batch_size: rows computed at once\n", page, re.MULTILINE)
    assert re.search(r"^embed\n  --batch_size: texts in a batch\n", page, re.MULTILINE)
    assert show("--batch-size") == page
    assert "encoding" in show("encoding") and "import" not in show("encoding").split("\n")[0]
    assert show("--noquiet") == show("--quiet")
    assert show("--quiet").startswith("every program\n  --[no]quiet: ")


def test_pages_and_recipes_are_shown_whole():
    assert show("devices").startswith("# ")
    assert show("devices.md") == show("devices")
    assert "--size" in show("pretrain_tiny_novels")
    assert "[" in show("web")


def test_every_topic_of_the_list_is_one():
    listed = show("")
    names = re.findall(r"^  (?:pages|recipes) +((?:.+\n)(?: {21}.+\n)*)", listed, re.MULTILINE)
    names = [name.strip() for group in names for name in group.split(",")]
    assert len(names) > 15
    for name in [*names, *PROGRAMS]:
        assert show(name)


@pytest.mark.parametrize(
    ("topic", "meant"),
    [
        ("predcit", "; did you mean predict?"),
        ("batchsize", "; did you mean --batch_size?"),
        ("divices", "; did you mean devices?"),
        ("zzz", "; `roots help` lists them"),
    ],
)
def test_a_misspelt_topic(topic, meant):
    with pytest.raises(program.FlagError) as error:
        show(topic)
    assert str(error.value) == f"found no topic '{topic}'{meant}"


def test_kinds_of_mistakes(monkeypatch):
    monkeypatch.setattr(topics, "_mistakes", lambda: {"no-such-file": "no-such-file\n\nMend it.\n"})
    assert show("no-such-file") == "no-such-file\n\nMend it.\n"
    assert "mistakes           no-such-file" in show("")
    with pytest.raises(program.FlagError, match="did you mean no-such-file"):
        show("no-such-flie")


def test_versions(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["secret.host:1"]}}')
    monkeypatch.setenv("XLA_FLAGS", "--xla_x")
    monkeypatch.setattr(notices, "gpus", lambda: ["/dev/nvidia0"])
    lines = dict(line.split(maxsplit=1) for line in versions.text().splitlines())
    assert lines["TF_CONFIG"] == "set" and lines["XLA_FLAGS"] == "--xla_x"
    assert lines["tensorflow"].startswith("2.")
    assert lines["GPUs"] != "none"
    assert "cores" in lines["processor"] and "GiB" in lines["memory"]

"""README and docs: links lead somewhere, and the flags that commands show exist."""

import re
from pathlib import Path

import pytest

import roots_tf
from roots_tf import completion, program
from roots_tf.commands import load, programs

ROOT = Path(roots_tf.__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "BUILD.md", "README.zh.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def anchors(page: Path) -> set[str]:
    """Places of a page that a link can name, as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        if not link.startswith("http"):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_every_page_is_linked_from_the_readme():
    readme = PAGES[0].read_text("utf-8")
    assert [page.name for page in PAGES[3:] if f"](docs/{page.name})" not in readme] == []


def commands(text: str) -> list[tuple[str, str]]:
    """Programs and their arguments in indented lines, inline code and tables of flags.

    >>> commands("    roots curate --input=a \\\\\n        --output=b\nsee `roots serve --model=c`")
    [('curate', '--input=a --output=b'), ('serve', '--model=c')]
    """
    text = re.sub(r"\\\n\s*", "", text)
    code = re.findall(r"^ {4}.*$", text, re.MULTILINE)
    code += [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", text)]
    found = [
        match for piece in code for match in re.findall(r"\broots ([a-z][a-z-]*) *(.*)", piece)
    ]
    return found + re.findall(r"^\| `([a-z-]+)` \| (`--.*?) \|", text, re.MULTILINE)


def test_commands():
    text = "    roots curate --input=a \\\n        --output=b\nsee `roots serve --model=c`\n"
    table = "| `embed` | `--pooling`, `--debug` | one vector |\n"
    assert commands(text + table) == [
        ("curate", "--input=a --output=b"),
        ("serve", "--model=c"),
        ("embed", "`--pooling`, `--debug`"),
    ]


@each_page
def test_flags_of_commands_exist(page):
    known = {name.replace("_", "-") for name in programs()}
    for name, arguments in commands(page.read_text("utf-8")):
        if name in completion.FURTHER:
            continue
        assert name in known, name
        shown = set(re.findall(r"(?:^|[\s`])--(\w+)", arguments)) - {"help", "flagfile"}
        flags = set(program.flags_of(load(name).Config) | program.MESSAGES)
        assert shown <= flags, f"{name} has no {sorted(shown - flags)}"

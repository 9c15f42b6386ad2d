"""The commands that pages show: in blocks of code, and between backticks."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import roots_tf

ROOT = Path(roots_tf.__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "BUILD.md", "README.zh.md", "CHANGELOG.md")),
        *(ROOT / "docs").rglob("*.md"),
    ]
)
PAGES = [page for page in PAGES if page.exists()]
BLOCK = re.compile(
    r"^ {4}.*\n(?: {4}.*\n|[ \t]*\n(?=\s* {4}))*|^(```+|~~~+).*\n(?:.*\n)*?\1", re.MULTILINE
)
ROOTS = re.compile(
    r"(?<![\w`./-])(?:\.venv/bin/)?(?:roots |python -m pipelines\.)([a-z][a-z_-]*)(?![\w:-])"
)


class Command(NamedTuple):
    """A command, and what is piped into it."""

    name: str
    arguments: tuple[str, ...]
    stdin: str = ""


def blocks(text: str) -> list[str]:
    """Blocks of code, indented by four spaces or between fences.

    >>> blocks("a\\n\\n    b\\n\\n    c\\nd\\n```sh\\ne\\n```\\n")
    ['    b\\n\\n    c\\n', '```sh\\ne\\n```']
    """
    return [match[0] for match in BLOCK.finditer(text)]


def spans(text: str) -> list[str]:
    """What stands between backticks outside blocks of code, each on one line."""
    prose = re.sub(r"\\\n\s*", "", BLOCK.sub("", text))
    return [" ".join(span.split()) for _, span in re.findall(r"(`+)(.+?)\1", prose, re.DOTALL)]


def commands(text: str) -> Iterator[Command]:
    """The commands in the blocks of a page.

    >>> list(commands("    echo Hi. | roots predict --model=a \\\\\\n        --input=b  # so\\n"))
    [Command(name='predict', arguments=('--model=a', '--input=b'), stdin='Hi.')]
    """
    for block in blocks(text):
        block = re.sub(r" *\\\n\s*", " ", block)
        for match in ROOTS.finditer(block):
            before = block[: match.start()].rpartition("\n")[2]
            echoed = re.search(r"\becho (.+?) *\| *$", before)
            words = shell_words(block[match.end() :])
            stdin = " ".join(shlex.split(echoed[1])) if echoed else ""
            yield Command(match[1].replace("_", "-"), tuple(words), stdin)


def shell_words(text: str) -> list[str]:
    """The words of a command up to its end: a line's, a comment, `|`, `;`, `&` or `>`.

    >>> shell_words(" --text='one\\n  two' --top_p=.9 > file\\nnext")
    ['--text=one\\n  two', '--top_p=.9']
    """
    lines = text.split("\n")
    for count in range(1, len(lines) + 1):
        lexer = shlex.shlex("\n".join(lines[:count]), posix=True, punctuation_chars="|;&>")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:  # a quote goes on in the next line
            continue
        ends = [i for i, word in enumerate(words) if set(word) <= set("|;&>")]
        return words[: ends[0]] if ends else words
    raise ValueError(f"found a quote without an end in {text[:80]!r}")

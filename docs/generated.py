"""Pages that are made from the code: a page a program, and one of what can go wrong.

    python -m docs.generated

Takes a second, and writes docs/reference/*.md and docs/troubleshooting.md. `tests/docs` asks that
they stand as the code would write them. TensorFlow is not imported.
"""

import importlib.util
from pathlib import Path

from roots_tf import commands, program

FOLDER = Path(__file__).parent
WRITTEN_BY = "Written by `python -m docs.generated`; mend the code, not this page."


def pages() -> dict[str, str]:
    """What stands in each page, by its path below docs/."""
    names = {name.replace("_", "-"): line for name, line in commands.programs().items()}
    made = {f"reference/{name}.md": reference(name) for name in names}
    made["reference/README.md"] = reference_index(names)
    if importlib.util.find_spec("roots_tf.mistakes"):
        made["troubleshooting.md"] = troubleshooting()
    return made


def reference(name: str) -> str:
    """The page of a program: what its `--help` prints.

    Args:
        name: as `roots` lists it.
    """
    module = commands.load(name)
    shown = program.help_page(module.__doc__, program.flags_of(module.Config))
    return (
        f"# roots {name}\n\n[All programs](README.md) · [All pages](../README.md)\n\n"
        f"What `roots {name} --help` prints. {WRITTEN_BY}\n\n```text\n{shown.rstrip()}\n```\n"
    )


def reference_index(names: dict[str, str]) -> str:
    """The page that lists the programs.

    Args:
        names: their first lines, by name.
    """
    lines = [f"| [{name}]({name}.md) | {line} |" for name, line in names.items()]
    head = f"# Programs\n\n[All pages](../README.md)\n\nAs `roots` lists them. {WRITTEN_BY}\n\n"
    return head + "\n".join(["| program | |", "| --- | --- |", *lines, ""])


def troubleshooting() -> str:
    """The page of mistakes: of each kind the title, what the line says, why, and what to do."""
    from roots_tf.mistakes import MISTAKES
    from roots_tf.mistakes.sites import sites

    said = sites()
    parts = [
        "# Troubleshooting\n\n[All pages](README.md)\n\n"
        "An error that is addressed to you is one line: what was found, what was wanted, what to "
        "do, and in brackets the id of its kind, which is a heading here and a topic of "
        f"`roots help`. Where a message names what it found, `…` stands here. {WRITTEN_BY}\n"
    ]
    parts.append("\n".join(f"- [{id}](#{id}): {about.title}" for id, about in MISTAKES.items()))
    for id, about in MISTAKES.items():
        messages = "\n".join(f"    {message}" for message in said.get(id, ()))
        parts.append(f"\n## {id}\n\n**{about.title}.** {about.cause}\n\n{about.remedy}\n")
        parts += [f"{messages}\n"] if messages else []
    return "\n".join(parts).rstrip("\n") + "\n"


def main() -> None:
    """Writes the pages."""
    for name, text in pages().items():
        path = FOLDER / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

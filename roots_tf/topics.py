"""`roots help TOPIC`: a program, a flag, the id of a mistake, a page, a recipe."""

import importlib
import importlib.metadata
import importlib.util
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import roots_tf
from roots_tf import program, spelling

Load = Callable[[str], ModuleType]
_PAGES = "roots_tf"  # folder of the installed pages, `share/doc/roots_tf`


def show(topic: str, programs: Mapping[str, str], load: Load) -> str:
    """What is known under a name.

    Args:
        topic: of a program, a flag, a mistake, a page or a recipe; "" is the list of topics.
        programs: names of programs and their first lines.
        load: gives the module of a program.

    Raises:
        FlagError: nothing is.
    """
    if not topic:
        return _list(programs)
    name = topic.removeprefix("--").removesuffix(".md")
    if name.replace("-", "_") in programs:
        module = load(name)
        return program.help_page(module.__doc__, program.flags_of(module.Config))
    for known in (_mistakes(), _pages() | _recipes()):
        if name in known:
            found = known[name]
            return found.read_text("utf-8") if isinstance(found, Path) else found
    flag = name.replace("-", "_")
    if found := _of_flag(flag, programs, load) or _of_flag(flag.removeprefix("no"), programs, load):
        return found
    names = [*(n.replace("_", "-") for n in programs), *_mistakes(), *_pages(), *_recipes()]
    flags = sorted({f"--{flag}" for n in programs for flag in _flags(load(n))})
    meant = spelling.suggestion(topic, [*names, *flags])
    meant = meant.removeprefix("; ") or "`roots help` lists them"
    raise program.FlagError("no-such-topic", f"found no topic {topic!r}; {meant}")


def _list(programs: Mapping[str, str]) -> str:
    """The usage, and the names of what there is help on."""
    lines = ["usage: roots PROGRAM [--flags]     (roots PROGRAM --help shows the flags)", ""]
    lines += [f"  {name.replace('_', '-'):<18} {line}" for name, line in programs.items()]
    lines += [
        "",
        "  help TOPIC         one of these programs, a flag, or a name below",
        "  version            what a report of a bug should say of this machine",
        "  completion SHELL   a script that completes these words in bash, zsh or fish",
    ]
    for title, names in (
        *(("pages", _pages()), ("recipes", _recipes()), ("mistakes", _mistakes())),
    ):
        if names:
            indent = {"initial_indent": f"  {title:<18} ", "subsequent_indent": " " * 21}
            lines += ["", textwrap.fill(", ".join(names), 98, break_on_hyphens=False, **indent)]
    return "\n".join([*lines, ""])


def _flags(module: ModuleType) -> dict[str, program.Flag]:
    return program.flags_of(module.Config) | program.MESSAGES


def _of_flag(name: str, programs: Mapping[str, str], load: Load) -> str:
    """What a flag means, with the programs that have it; "" where none has."""
    meanings: dict[str, list[str]] = {}
    for each in programs:
        if about := _flags(load(each)).get(name):
            meaning = "\n".join(program.help_lines(name, about))
            meanings.setdefault(meaning, []).append(each.replace("_", "-"))
    if len(meanings) == 1 and len(next(iter(meanings.values()))) == len(programs):
        return f"every program\n{next(iter(meanings))}\n"
    return "\n".join(f"{', '.join(names)}\n{meaning}\n" for meaning, names in meanings.items())


def _mistakes() -> dict[str, str]:
    """Ids of mistakes and what is known of each."""
    if importlib.util.find_spec("roots_tf.mistakes") is None:
        return {}
    known = importlib.import_module("roots_tf.mistakes").MISTAKES
    return {
        identifier: "\n".join(
            [identifier, "", *(textwrap.fill(text, 98) for text in about if text), ""]
        )
        for identifier, about in ((n, (a.title, a.cause, a.remedy)) for n, a in known.items())
    }


def _pages() -> dict[str, Path]:
    """Pages of the documentation: of a clone, or those that the wheel has brought."""
    beside = Path(roots_tf.__file__).parents[1] / "docs"
    paths = list(beside.glob("*.md"))
    if not paths and (owner := _distribution()):
        files = [file for file in owner.files or () if file.parts[-2:-1] == (_PAGES,)]
        paths = [Path(file.locate()) for file in files if file.suffix == ".md"]
    return {path.stem: path for path in sorted(paths) if path.is_file()}


def _distribution() -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution("roots-tf")
    except importlib.metadata.PackageNotFoundError:
        return None


def _recipes() -> dict[str, Path]:
    """Flag files of `pipelines/recipes` and recipes of `curate`."""
    pipelines = importlib.util.find_spec("pipelines").submodule_search_locations
    folders = [Path(folder, "recipes") for folder in pipelines]
    folders.append(Path(roots_tf.__file__).parent / "corpus" / "recipes")
    paths = [path for folder in folders for path in sorted(folder.glob("*.[ft]*"))]
    return {path.stem: path for path in paths if path.suffix in (".flags", ".toml")}


def main(arguments: list[str], programs: Mapping[str, str], load: Load) -> None:
    """`roots help`, with what stands behind it.

    Args:
        arguments: one topic, or none.
        programs: as for `show`.
        load: as for `show`.
    """
    try:
        if len(arguments) > 1:
            wanted = f"found {len(arguments)} topics; wanted one"
            raise program.FlagError("stray-argument", wanted)
        print(show(arguments[0] if arguments else "", programs, load), end="")
    except program.FlagError as error:
        sys.argv[0] = "roots"
        program.leave(error, error.exit_status)

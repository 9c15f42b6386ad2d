"""Where errors that are told to the user are made: by kind, the messages as the code has them.

For pages and tests that say what there is; no program imports it to work.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
LEFT_OUT = "…"  # stands in a message for what is known when the error is made


class Site(NamedTuple):
    """A place that makes an error.

    Attributes:
        where: file and line, "roots_tf/flags.py:236".
        ids: the kinds it names; empty where it takes over the kind of an error that it caught.
        message: with `LEFT_OUT` for what changes.
    """

    where: str
    ids: tuple[str, ...]
    message: str


def sites() -> dict[str, list[str]]:
    """Messages of each kind of mistake, each once, in the order of the files."""
    messages: dict[str, list[str]] = {}
    for site in walk():
        for id in site.ids:
            messages.setdefault(id, [])
            if any(map(str.isalpha, site.message)) and site.message not in messages[id]:
                messages[id].append(site.message)
    return messages


def walk(*folders: str) -> Iterator[Site]:
    """Every place that makes an error for the user.

    Args:
        *folders: of this repository; none: the programs, and what they use.

    Raises:
        ValueError: one of them names no kind.
    """
    trees = {}
    for folder in folders or ("roots_tf", "pipelines"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            trees[str(path.relative_to(ROOT))] = ast.parse(path.read_text("utf-8"))
    classes = _classes(trees.values())
    for path, tree in trees.items():
        for call in _calls(tree, classes):
            yield _site(path, call)


def _classes(trees: Iterable[ast.Module]) -> set[str]:
    """Names of the classes that inherit `Identified`, directly or not."""
    bases = {
        node.name: {_last(base) for base in node.bases}
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    known = {"Identified", "InputError"}
    while more := {name for name, above in bases.items() if above & known} - known:
        known |= more
    return known


def _calls(tree: ast.Module, classes: set[str]) -> Iterator[ast.Call]:
    """Calls that make an error, of a kind and a message."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in classes:
            yield from _own_messages(node)
        if not isinstance(node, ast.Call):
            continue
        made = _last(node.func.body if isinstance(node.func, ast.IfExp) else node.func)
        if made in classes - {"Stopped"}:  # which has its message itself
            yield node


def _own_messages(definition: ast.ClassDef) -> Iterator[ast.Call]:
    """Calls of `super().__init__` with a kind that is written there."""
    for node in ast.walk(definition):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "super().__init__":
            yield from [node] if isinstance(node.args[0], ast.Constant) else []


def _last(function: ast.expr) -> str:
    """The last name of `files.InputError`; "" of what is no name."""
    return getattr(function, "attr", getattr(function, "id", ""))


def _site(path: str, call: ast.Call) -> Site:
    where = f"{path}:{call.lineno}"
    if len(call.args) < 2:
        raise ValueError(f"{where} makes an error without a kind")
    kind, message = call.args[:2]
    choices = [kind.body, kind.orelse] if isinstance(kind, ast.IfExp) else [kind]
    ids = tuple(choice.value for choice in choices if isinstance(choice, ast.Constant))
    takes_over = isinstance(kind, ast.Attribute) and kind.attr == "id"
    if len(ids) < len(choices) and not takes_over:
        raise ValueError(f"{where} makes an error whose kind is not written there")
    return Site(where, ids, " ".join(_text(message).split()))


def _text(message: ast.expr) -> str:
    """A message with `LEFT_OUT` for what is not written in it.

    >>> _text(ast.parse("f'found no file {path}; wanted ' + wanted", mode="eval").body)
    'found no file …; wanted …'
    """
    if isinstance(message, ast.Constant) and isinstance(message.value, str):
        return message.value
    if isinstance(message, ast.JoinedStr):
        return "".join(_text(part) for part in message.values)
    if isinstance(message, ast.BinOp) and isinstance(message.op, ast.Add):
        return _text(message.left) + _text(message.right)
    if isinstance(message, ast.Call) and isinstance(message.func, ast.Attribute):
        return _text(message.func.value)  # of `.rstrip()`
    return LEFT_OUT

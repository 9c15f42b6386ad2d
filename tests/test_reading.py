"""What a reader may count on: short functions, short files, docstrings that name what goes in."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import roots_tf

ROOT = Path(roots_tf.__file__).parents[1]
MOST_LINES_OF_A_FUNCTION = 60  # without its docstring
MOST_LINES_OF_A_FILE = 400
AS_ELSEWHERE = re.compile(r"\b([Aa]s (for|in|to)|[Ll]ikewise|[Aa]s `|[Ss]ee `|[Ll]ike `)")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def each_file(*folders: str):
    ids = [str(path.relative_to(ROOT)) for path in sources(*folders)]
    return pytest.mark.parametrize("path", sources(*folders), ids=ids)


def length(function: Function) -> int:
    """Lines of a function, from its `def` on, without those of its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines


@each_file("roots_tf", "pipelines", "tests", "benchmarks", "docs")
def test_functions_and_files_are_short(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= MOST_LINES_OF_A_FILE
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, Function)]
    long = {f.name: length(f) for f in functions if length(f) > MOST_LINES_OF_A_FUNCTION}
    assert not long


def public_methods(node: ast.ClassDef) -> Iterator[tuple[Function, str]]:
    """Methods, and the docstring that may name their parameters: for `__init__` the class's."""
    for method in node.body:
        if isinstance(method, Function):
            docstring = ast.get_docstring(method) or ""
            if method.name == "__init__":
                yield method, f"{ast.get_docstring(node)}\n{docstring}"
            elif not method.name.startswith("_"):
                yield method, docstring


def unnamed(function: Function, docstring: str) -> list[str]:
    """Parameters that the docstring of a function with two or more does not name."""
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    names = [name for name in names if name not in ("self", "cls") and not name.startswith("_")]
    if len(names) < 2 or AS_ELSEWHERE.search(docstring):
        return []
    return [
        name
        for name in names
        if not re.search(rf"`{name}\b|^[ ]*(\w+, )*{name}(, \w+)*:", docstring, re.MULTILINE)
    ]


def documented_methods() -> dict[str, tuple[list[str], set[str]]]:
    """Name of each class: the names of its bases, and its methods whose docstrings are complete."""
    classes = {}
    for path in sources("roots_tf"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
                methods = {
                    m.name for m, docstring in public_methods(node) if not unnamed(m, docstring)
                }
                classes[node.name] = (bases, methods)
    return classes


DOCUMENTED = documented_methods()


def is_inherited(method: str, bases: list[str]) -> bool:
    """Whether one of the base classes says what the method takes."""
    known = [DOCUMENTED[base] for base in bases if base in DOCUMENTED]
    return any(method in methods or is_inherited(method, more) for more, methods in known)


def is_overload(function: Function) -> bool:
    """Whether type checkers alone read it; what it overloads has the docstring."""
    return any(ast.unparse(d) in ("overload", "typing.overload") for d in function.decorator_list)


def missing_names(tree: ast.Module) -> dict[str, list[str]]:
    """Parameters that no docstring names, by public function or method."""
    missing = {}
    for node in tree.body:
        if getattr(node, "name", "_").startswith("_"):
            continue
        if isinstance(node, Function) and not is_overload(node):
            missing[node.name] = unnamed(node, ast.get_docstring(node) or "")
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
            for method, docstring in public_methods(node):
                if method.name == "__init__" or not is_inherited(method.name, bases):
                    missing[f"{node.name}.{method.name}"] = unnamed(method, docstring)
    return {name: parameters for name, parameters in missing.items() if parameters}


@each_file("roots_tf", "pipelines")
def test_public_functions_name_their_parameters(path):
    assert not missing_names(ast.parse(path.read_text("utf-8")))

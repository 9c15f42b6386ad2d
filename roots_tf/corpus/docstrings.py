"""English prose that every machine with Python holds: docstrings of what is installed.

The files of the standard library and of the packages beside us are parsed with `ast`, never
imported. A docstring of a module, class or function is a document; its source is the top-level
package, or "python" for the standard library.
"""

import ast
import inspect
import json
import os
import re
import sysconfig
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

from roots_tf import stages
from roots_tf.storage import files

STANDARD_LIBRARY = "python"
TASK_BYTES = 4 << 20  # of source code: about a second of parsing
MIN_CHARS = 100  # a sentence pair of the shortest kind; one-line docstrings only repeat a name

# Tests' docstrings are no prose, and `_vendor` holds copies of packages that stand elsewhere.
# `site-packages` lies inside the standard library's folder.
_SKIPPED_FOLDERS = {
    *("test", "tests", "idle_test", "_vendor"),
    *("site-packages", "dist-packages", "__pycache__"),
}
_SKIPPED_FILE = re.compile(r"test_.*|.*_test\.py|(?!.*\.py$).*")
_OURSELVES = {"roots_tf", "pipelines"}  # an edit of this package must not change its corpus

_ROLE = re.compile(r"(?::[\w:+-]+:)?`+~?([^`<]*?)(?:\s*<[^`>]*>)?`+_*")
# "- a", "1. a", ":param x: a", "x, y (int): a", "x : a", and a heading such as "Returns:".
_ITEM = re.compile(
    r"(?:[*+-]|\d+[.)]|[:@]\w[^:]*:|\*{0,2}\w[\w.]*(?:, \*{0,2}\w+)*(?: ?\([^)]*\))? ?:)\s"
    r"|[A-Z][\w ]*:$"
)
_DIRECTIVE = re.compile(r"\.\. +([\w-]+)::\s*(.*)")
_PROSE_DIRECTIVES = {"note", "warning", "tip", "important", "seealso", "deprecated"}
_DOCTEST = re.compile(r"\s*(?:>>>|\.\.\.|In \[\d+\]:)(?:\s|$)")


class PythonFile(NamedTuple):
    """A source file and the name of the package it belongs to."""

    path: str
    source: str


def installed_files() -> list[PythonFile]:
    """Python files of the standard library and of the packages installed beside us, sorted."""
    sources = []
    for kind in ("stdlib", "purelib", "platlib"):
        root = sysconfig.get_path(kind)
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(set(folders) - _SKIPPED_FOLDERS)
            for name in sorted(names):
                if _SKIPPED_FILE.fullmatch(name):
                    continue
                path = Path(folder, name)
                package = path.relative_to(root).parts[0].removesuffix(".py")
                source = STANDARD_LIBRARY if kind == "stdlib" else package
                if package not in _OURSELVES:
                    sources.append(PythonFile(str(path), source))
    return sorted(set(sources), key=lambda file: (file.source, file.path))


def write_docstrings(
    output: str | Path, executor: Executor | None = None, sources: list[PythonFile] | None = None
) -> dict:
    """Writes the docstrings as JSON lines {"text", "source"} in shards of a folder.

    Args:
        output: the folder; a run that was killed continues in it.
        executor: where the files are parsed; None is the calling process.
        sources: the files; by default all of `installed_files`.

    Returns:
        Counts: `files`, `unparsable_files`, `documents`, `bytes`.
    """
    sources = installed_files() if sources is None else sources
    chunks, room = [], 0
    for file in sources:
        size = os.path.getsize(file.path)
        if not chunks or size > room:
            chunks.append([])
            room = TASK_BYTES
        chunks[-1].append(list(file))
        room -= size
    names = [
        files.shard_name("docstrings", index, len(chunks), ".jsonl") for index in range(len(chunks))
    ]
    tasks = [(chunk, str(Path(output, name))) for chunk, name in zip(chunks, names, strict=True)]
    counts = stages.run_stage(write_shard, tasks, Path(output, ".tasks"), executor)
    return {key: sum(count[key] for count in counts) for key in counts[0]}


def write_shard(sources: list[list[str]], path: str) -> dict:
    """Writes the docstrings of some files; a stage's task.

    Args:
        sources: `PythonFile`s, as lists.
        path: the JSON lines file to write.

    Returns:
        Counts, as of `write_docstrings`.
    """
    counts = {"files": len(sources), "unparsable_files": 0, "documents": 0, "bytes": 0}
    with files.atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for python_file, source in sources:
            try:
                documents = list(docstrings(Path(python_file).read_bytes()))
            except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
                counts["unparsable_files"] += 1
                continue
            for text in map(prose, documents):
                if len(text) >= MIN_CHARS:
                    record = json.dumps({"text": text, "source": source}, ensure_ascii=False)
                    file.write(record + "\n")
                    counts["documents"] += 1
                    counts["bytes"] += len(text.encode())
    return counts


def docstrings(code: bytes) -> Iterator[str]:
    """Docstrings of a module and of the classes and functions in it, in order, unindented.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: `ast` cannot parse the code.
    """
    if b'"""' not in code and b"'''" not in code:
        return
    with warnings.catch_warnings(action="ignore"):  # invalid escapes in other people's strings
        tree = ast.parse(code)
    for node in _definitions(tree):
        first = node.body[0] if node.body else None
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            text = inspect.cleandoc(first.value.value)
            yield text.encode("utf-8", "replace").decode()  # "\ud800" is a valid literal


def _definitions(node: ast.AST) -> Iterator[ast.AST]:
    """The module, and classes and functions at any depth of statements, in source order."""
    definition = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    if isinstance(node, definition):
        yield node
    for block in ("body", "handlers", "orelse", "finalbody"):
        for child in getattr(node, block, None) or []:
            if isinstance(child, ast.stmt | ast.ExceptHandler):
                yield from _definitions(child)


def prose(docstring: str) -> str:
    """The sentences of a docstring: no examples, code blocks, tables or markup.

    A paragraph or list item becomes one line.

    >>> print(prose('''Adds `x` to
    ... the :class:`~set`.
    ...
    ... Args:
    ...   x: what to add, any
    ...     hashable.
    ...
    ... Example::
    ...
    ...   s.add(1)
    ... '''))
    Adds x to the set.
    Args:
    x: what to add, any hashable.
    """
    paragraphs, words = [], []
    indent = 0  # of the line that starts the paragraph
    hanging = False  # it is a list item: deeper lines continue it
    skip_deeper_than = None  # inside a literal block: the indent of the line before it
    in_example = in_fence = False

    def close():
        if words:
            paragraphs.append(" ".join(words))
            words.clear()

    for line in docstring.expandtabs().split("\n"):
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        if text.startswith(("```", "~~~")):
            in_fence = not in_fence
            close()
            continue
        if not text:
            in_example = False
            close()
            continue
        if skip_deeper_than is not None and depth > skip_deeper_than:
            continue
        skip_deeper_than = None
        if in_fence or in_example or _DOCTEST.match(line):
            in_example = in_example or not in_fence
            close()
            continue
        if directive := _DIRECTIVE.match(text):
            close()
            if directive[1] not in _PROSE_DIRECTIVES:
                skip_deeper_than = depth
                continue
            text = directive[2]
            if not text:
                continue
        if sum(map(str.isalpha, text)) < len(text) / 4:  # a rule, a table's frame, numbers
            close()
            continue
        item = bool(directive or _ITEM.match(text))
        if words and (item or depth < indent or (depth > indent and not hanging)):
            close()
        if not words:
            indent, hanging = depth, item
        if text.endswith("::"):
            skip_deeper_than = depth
            text = text[:-1]
        words.append(_ROLE.sub(r"\1", text))
    close()
    return "\n".join(_without_empty_sections(paragraphs))


def _without_empty_sections(paragraphs: list[str]) -> list[str]:
    """Leaves out headings whose section held nothing but code."""
    kept = []
    for paragraph in reversed(paragraphs):
        heading = paragraph.endswith(":") and len(paragraph) < 40
        if not heading or (kept and not kept[-1].endswith(":")):
            kept.append(paragraph)
    return kept[::-1]

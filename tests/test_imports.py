"""The rooms of the package, who may import whom, and what importing them loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import roots_tf

ROOT = Path(roots_tf.__file__).parents[1]
BASE = {
    *("features", "heartbeat", "lazy", "losses", "memory", "mistakes", "notices", "processor"),
    *("progress", "seeds", "spelling", "stops", "words"),
}
ROOM_BASE = BASE | {"flags", "messages", "program", "stages", "storage"}
STRANGERS = {"tokenizers", "models", "generation", "scoring", "metrics", "training"}
MAY_IMPORT = {
    "api": {"commands", "generation", "inference", "program", "storage", "tokenizers"},
    **{module: set() for module in BASE},
    "flags": {"mistakes", "spelling"},
    "storage": {"flags", "mistakes", "spelling"},
    "messages": {"progress"},
    "program": {"flags", "heartbeat", "messages", "mistakes", "progress", "spelling", "storage"},
    "commands": {"completion", "program", "spelling", "storage", "topics", "versions"},
    "completion": {"program", "spelling"},
    "topics": {"program", "spelling", "mistakes"},
    "versions": {"memory", "notices"},
    "stages": {"heartbeat", "messages", "notices", "storage"},
    "launching": ROOM_BASE | {"commands"},
    "pages": set(),
    "corpus": {"features", "lazy", "memory", "pages", "spelling", "stages", "storage", "words"},
    **{room: ROOM_BASE for room in STRANGERS},
    "examples": ROOM_BASE | {"tokenizers"},
    "labelled": ROOM_BASE | {"tokenizers"},
    "objectives": ROOM_BASE | {"examples", "tokenizers", "models", "generation"},
    "tasks": ROOM_BASE | {"labelled", "tokenizers", "models", "generation", "metrics"},
    "export": ROOM_BASE | {"tokenizers", "models", "generation", "tasks"},
    "inference": ROOM_BASE | {"labelled", "tokenizers", "models", "generation", "metrics", "tasks"},
    "planning": ROOM_BASE | {"examples", "models", "objectives", "training"},
    "devices": ROOM_BASE
    | {"commands", "examples", "export", "generation", "models", "objectives", "planning"}
    | {"tokenizers", "training", "versions"},
    "diagnosis": {"storage"},
    "reports": ROOM_BASE
    | {"commands", "diagnosis", "examples", "metrics", "models", "pages", "tokenizers", "training"},
    "serving": {"mistakes", "stops", "storage"},
    "hubs": {"flags", "lazy", "mistakes", "progress", "storage"},
}
AT_IMPORT = {"os", "typing.TYPE_CHECKING", "roots_tf.lazy"}  # of the package itself
WITHOUT_TENSORFLOW = {
    *("corpus", "diagnosis", "hubs", "launching", "metrics", "pages", "reports"),
    *ROOM_BASE - {"losses", "seeds"},
}


def is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def names_of(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Absolute dotted names that a statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    assert node.level == 0, f"line {node.lineno}: relative import"
    return {f"{node.module}.{alias.name}" for alias in node.names}


def imported_modules(path: Path) -> set[str]:
    """Absolute dotted names that a file imports, wherever in the file."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if is_import(node)]
    return {name for node in nodes for name in names_of(node)}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", sources("roots_tf"), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_what_it_may(path):
    room = path.relative_to(ROOT / "roots_tf").parts[0].removesuffix(".py")
    if room == "__init__":  # the names of the API, which are imported when they are used
        top = {node for node in ast.parse(path.read_text("utf-8")).body if is_import(node)}
        assert {name for node in top for name in names_of(node)} == AT_IMPORT
        return
    for name in imported_modules(path):
        assert not name.startswith("pipelines"), f"{room} imports {name}"
        if name.startswith("roots_tf."):
            imported = name.split(".")[1]
            assert imported in MAY_IMPORT[room] | {room}, f"{room} imports {imported}"
        if room in WITHOUT_TENSORFLOW:
            assert not name.startswith(("tensorflow", "keras")), f"{room} imports {name}"


@pytest.mark.parametrize("path", sources("pipelines"), ids=lambda p: p.name)
def test_programs_do_not_import_one_another(path):
    names = imported_modules(path)
    assert not [name for name in names if name.startswith("pipelines")]


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules each of which imports the next, the last the first; empty where there is no circle.

    >>> circle({"a": {"b"}, "b": {"c"}, "c": {"b"}})
    ['b', 'c']
    """
    finished, path = set(), []

    def visit(module: str) -> list[str]:
        if module in path:
            return path[path.index(module) :]
        if module not in finished:
            path.append(module)
            for imported in sorted(graph[module]):
                if found := visit(imported):
                    return found
            path.pop()
            finished.add(module)
        return []

    return next((found for module in sorted(graph) if (found := visit(module))), [])


def test_circle():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_modules_import_one_another():
    """Imports inside functions count: whoever reads one of the modules has to read all of them."""
    paths = {module_name(path): path for path in sources("roots_tf")}
    graph = {}
    for module, path in paths.items():
        names = imported_modules(path)
        modules = {name if name in paths else name.rpartition(".")[0] for name in names}
        graph[module] = modules & set(paths) - {"roots_tf"}  # which itself imports nothing
    assert circle(graph) == []


def loaded_by(code: str, modules: set[str]) -> set[str]:
    """Which of the modules a fresh process has loaded after the code."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return modules & set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import roots_tf; dir(roots_tf)",
        "import roots_tf.program",
        "sys.argv[1:] = []; import roots_tf.commands as p; p.roots()",
    ],
    ids=["package", "import", "roots"],
)
def test_the_package_and_the_list_of_programs_load_nothing_heavy(code):
    assert loaded_by(code, {"tensorflow", "keras", "numpy", "pyarrow", "tokenizers"}) == set()


@pytest.mark.parametrize("path", sources("pipelines"), ids=lambda p: p.name)
def test_flags_of_a_program_need_no_tensorflow(path):
    """`--help` and a wrong flag answer at once; TensorFlow takes seconds to import."""
    code = f"import importlib; importlib.import_module({module_name(path)!r})"
    assert loaded_by(code, {"tensorflow", "keras"}) == set()


def provided(init: Path) -> set[str]:
    """Names that a package gives: what its `__init__` binds, and its lazy table."""
    names = set()
    for node in ast.walk(ast.parse(init.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Dict):
            names |= {c.value for c in (*node.keys, *node.values) if isinstance(c, ast.Constant)}
    return names


PROVIDED = {init.parent.name: provided(init) for init in ROOT.glob("roots_tf/*/__init__.py")}


@pytest.mark.parametrize(
    "path",
    [path for folder in ("roots_tf", "pipelines", "benchmarks") for path in sources(folder)],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_what_is_taken_from_a_package_is_there(path):
    """A submodule that nobody imports is no attribute, until some other test has imported it."""
    tree, packages = ast.parse(path.read_text("utf-8")), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "roots_tf":
            packages |= {a.asname or a.name: a.name for a in node.names if a.name in PROVIDED}
    missing = {
        f"roots_tf.{packages[node.value.id]}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in packages
        and node.attr not in PROVIDED[packages[node.value.id]]
    }
    assert not missing - imported_modules(path)

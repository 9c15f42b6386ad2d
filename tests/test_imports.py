"""The rooms of the package and who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import roots_tf

ROOT = Path(roots_tf.__file__).parents[1]
STRANGERS = {"corpus", "tokenizers", "models", "generation", "metrics", "training"}
BASE = {"features", "files"}
MAY_IMPORT = {
    "features": set(),
    "files": set(),
    "program": set(),
    **{room: BASE for room in STRANGERS},
    "examples": BASE | {"tokenizers"},
    "tasks": BASE | {"examples", "tokenizers", "models", "generation", "metrics"},
    "export": BASE | {"tokenizers", "models", "generation"},
    "serving": {"files"},
}
WITHOUT_TENSORFLOW = {"corpus", "metrics"}


def imported_modules(path: Path) -> set[str]:
    """Absolute dotted names that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", sources("roots_tf"), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_what_it_may(path):
    room = path.relative_to(ROOT / "roots_tf").parts[0].removesuffix(".py")
    if room == "__init__":
        assert imported_modules(path) == {"os"}
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


def test_importing_the_package_loads_nothing_heavy():
    heavy = "{'tensorflow', 'keras', 'numpy', 'pyarrow', 'tokenizers'}"
    code = f"import sys, roots_tf.program; print(sorted({heavy} & set(sys.modules)))"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert printed.strip() == "[]"

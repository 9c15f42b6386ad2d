"""The Python API is what it was: names, signatures and defaults. A change of it is made here too,
and in CHANGELOG.md. What the functions answer is tested in `tests/inference`."""

import ast
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import roots_tf as roots
from roots_tf import program
from roots_tf.generation import Settings
from tests import flags

OTHERS = {"InputError", "LoadedModel", "StoppedError"}  # classes
SIGNATURES = {
    "decode": """
        model: LoadedModel | PathLike
        ids: Sequence[int] | Sequence[Sequence[int]]
        -> str | list[str]
    """,
    "embed": """
        model: LoadedModel | PathLike
        texts: str | Iterable[str]
        *
        pooling: Literal['mean', 'cls', 'pooler'] | None = None
        l2_normalize: bool | None = None
        max_seq_length: int = 0
        prompt_name: str | None = None
        batch_size: int = 64
        -> np.ndarray
    """,
    "encode": """
        model: LoadedModel | PathLike
        texts: str | Iterable[str]
        -> list[int] | list[list[int]]
    """,
    "evaluate": """
        model: PathLike
        input: PathLike
        *
        quiet: bool = False
        **flags: Value
        -> dict[str, Any]
    """,
    "fill_mask": """
        model: LoadedModel | PathLike
        texts: str | Iterable[str]
        *
        top_k: int = 5
        -> dict[str, Any] | list[dict[str, Any]]
    """,
    "finetune": """
        *
        init_from: PathLike = ''
        train: PathLike
        dev: PathLike
        output: PathLike
        quiet: bool = False
        **flags: Value
        -> dict[str, Any]
    """,
    "generate": """
        model: LoadedModel | PathLike
        prompts: str | Iterable[str] | Sequence[Message] | Iterable[Sequence[Message]]
        *
        max_new_tokens: int = 64
        min_new_tokens: int = 0
        decoding: Literal['sample', 'greedy', 'beam'] = 'sample'
        temperature: float = 1.0
        top_k: int = 0
        top_p: float = 1.0
        min_p: float = 0.0
        typical_p: float = 1.0
        repetition_penalty: float = 1.0
        no_repeat_ngram: int = 0
        num_beams: int = 4
        length_penalty: float = 1.0
        early_stopping: bool = False
        stop: str | Sequence[str] = ()
        seed: int = 0
        num_samples: int = 1
        batch_size: int = 32
        details: bool = False
        -> str | list[str] | dict[str, Any] | list[dict[str, Any]]
    """,
    "load": """
        path: PathLike
        *
        precision: Literal['float32', 'mixed_bfloat16'] = 'float32'
        -> LoadedModel
    """,
    "predict": """
        model: LoadedModel | PathLike
        rows: str | Mapping[str, Any] | Iterable[str | Mapping[str, Any] | Sequence[str]]
        *
        batch_size: int = 64
        -> dict[str, Any] | list[dict[str, Any]]
    """,
    "pretrain": """
        *
        examples: PathLike = ''
        output: PathLike
        quiet: bool = False
        **flags: Value
        -> dict[str, Any]
    """,
    "run": """
        name: str
        *
        quiet: bool = False
        **flags: Value
        -> Any
    """,
}


def shown(function) -> list[str]:
    """Parameters, one each, and what is given back; a star before those that are keywords alone."""
    signature, lines = inspect.signature(function), []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in lines:
            lines.append("*")
        stars = {parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = parameter.default
        value = "" if default is parameter.empty else f" = {default!r}"
        lines.append(f"{stars}{parameter.name}: {parameter.annotation}{value}")
    return [*lines, f"-> {signature.return_annotation}"]


def test_the_names_are_these():
    assert roots.__all__ == sorted(OTHERS | SIGNATURES.keys())
    assert dir(roots) == sorted([*roots.__all__, "__version__"])
    submodules = {module.name for module in pkgutil.iter_modules(roots.__path__)}
    assert not submodules & set(roots.__all__)  # once imported, one would take the name's place
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        roots.lode  # noqa: B018


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_signatures_are_these(name):
    assert shown(getattr(roots, name)) == inspect.cleandoc(SIGNATURES[name]).splitlines()


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_help_shows_how_it_is_called(name):
    assert re.search(
        rf"^>>> .*\broots\.{name}\(", inspect.getdoc(getattr(roots, name)), re.MULTILINE
    )


def test_type_checkers_see_every_name():
    tree = ast.parse(Path(roots.__file__).read_text("utf-8"))
    [checked, _] = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in checked.body if isinstance(node, ast.ImportFrom)]
    assert sorted(alias.name for node in imports for alias in node.names) == roots.__all__
    for node in imports:
        for alias in node.names:
            assert getattr(roots, alias.name).__module__ == node.module
    assert Path(roots.__file__).with_name("py.typed").exists()


def test_generate_has_the_defaults_of_the_program():
    parameters = inspect.signature(roots.generate).parameters
    for name, about in program.flags_of(Settings).items():
        assert parameters[name].default == about.default, name
    assert roots.__version__.count(".") == 2


def test_the_flags_are_these():
    frozen = flags.FROZEN.read_text("utf-8").splitlines()
    found = flags.lines()
    gone, new = sorted(set(frozen) - set(found)), sorted(set(found) - set(frozen))
    assert not gone, (
        "flags that commands of others may give: say it in CHANGELOG.md, then see flags.py"
    )
    assert not new, "run python -m tests.flags"


def test_importing_it_loads_nothing_heavy_until_it_is_used():
    code = (
        "import sys, roots_tf as roots; dir(roots); hasattr(roots, 'lode');"
        "print(*{'absl', 'numpy', 'tensorflow', 'tokenizers'} & sys.modules.keys());"
        "roots.encode; roots.run; print('tensorflow' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n") == ["", "False", ""]

"""Pages: links lead somewhere, flags exist, what is made from the code agrees with it."""

import ast
import functools
import re
import subprocess
import sys

import pytest

from docs import build, generated
from roots_tf import commands as programs
from roots_tf import completion, program
from tests.docs.shown import BLOCK, PAGES, ROOT, commands, spans

# Flags of other programs that pages name.
OF_OTHERS = {
    "deepspeed", "do_whole_word_mask", "enable_batching", "batching_parameters_file", "fsdp",
    "batchsize",  # misspelt on purpose
    "help", "flagfile", "logdir", "nthreads", "random_init", "scheduler-file", "signal",
}  # fmt: skip
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(text: str) -> set[str]:
    """Places of a page that a link can name, as code hosts make them of headings."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", BLOCK.sub("", page.read_text("utf-8"))):
        if not link.startswith("http"):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text("utf-8")), link


def links(name: str) -> set[str]:
    return set(re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text("utf-8")))


def test_every_page_is_in_the_list_of_all():
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").glob("*.md")}
    assert pages - links("docs/README.md") == set()


def test_the_readme_is_short_and_leads_to_the_stages():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 100
    road = (ROOT / "docs" / "README.md").read_text("utf-8").split("## Along the road")[0]
    stages = {f"docs/{name}" for name in re.findall(r"^- \[.*?\]\((.*?)\)", road, re.MULTILINE)}
    assert stages - links("README.md") == set()


def test_the_chinese_readme_keeps_step():
    ours, theirs = "README.md", "README.zh.md"
    assert links(ours) - {theirs} == links(theirs) - {ours, "docs/zh.md"}
    shown = {
        name: {command.name for command in commands((ROOT / name).read_text("utf-8"))}
        for name in (ours, theirs)
    }
    assert shown[ours] == shown[theirs]
    rows = [len(re.findall(r"^\|", (ROOT / n).read_text("utf-8"), re.MULTILINE)) for n in shown]
    assert rows[0] == rows[1]


def flags_shown(text: str) -> list[tuple[str, set[str]]]:
    """Flags between backticks, with the program they are of; "" for those that name none.

    >>> flags_shown("of `roots embed --pooling=cls` and `--debug`")
    [('embed', {'pooling'}), ('', {'debug'})]
    """
    found = []
    for span in spans(text):
        name = re.search(r"\broots ([a-z][a-z-]*)", span)
        flags = set(re.findall(r"(?:^|[\s'])--([a-z]\w*(?:-\w+)*)", span))
        if not span.startswith("python -m benchmarks."):
            found.append((name[1] if name else "", flags))
    return found + [
        (name, set(re.findall(r"--(\w+)", flags)))
        for name, flags in re.findall(r"^\| `([a-z-]+)` \| (`--.*?) \|", text, re.MULTILINE)
    ]


@functools.cache
def flags_of(name: str) -> set[str]:
    """Flags of a program, or of all, with those that say no."""
    known = programs.programs()
    if name in completion.FURTHER:
        return set()
    names = [name.replace("-", "_")] if name else known
    assert set(names) <= set(known), name
    flags = set(program.MESSAGES).union(*(program.flags_of(programs.load(n).Config) for n in names))
    return flags | {f"no{flag}" for flag in flags}


@each_page
def test_flags_between_backticks_exist(page):
    text = page.read_text("utf-8")
    for name, flags in flags_shown(text):
        assert not flags or flags - flags_of(name) - OF_OTHERS == set(), name
    for name in re.findall(r"python -m (benchmarks\.\w+)", text):
        assert (ROOT / f"{name.replace('.', '/')}.py").exists(), name


def test_generated_pages_are_as_the_code_says():
    for name, text in generated.pages().items():
        path = ROOT / "docs" / name
        assert path.exists() and path.read_text("utf-8") == text, f"{name}: {generated.WRITTEN_BY}"
    reference = {path.name for path in (ROOT / "docs" / "reference").glob("*.md")}
    assert {f"reference/{name}" for name in reference} <= set(generated.pages())


def test_generating_pages_imports_no_tensorflow():
    code = "import sys; from docs import generated; generated.pages(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "'docs.generated'" in done.stdout and "'tensorflow'" not in done.stdout


def is_mark(node: ast.stmt) -> bool:
    """Whether it marks all tests of a file."""
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"


def test_what_is_promised_is_held_by_a_test():
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    rows = [row for row in text.splitlines() if row.startswith("| ") and "---" not in row]
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`( †)?", row)
        assert named or row == "| promise | test |", row
        for file, name, is_slow in named:
            tree = ast.parse((ROOT / file).read_text("utf-8"))
            functions = {f.name: f for f in tree.body if isinstance(f, ast.FunctionDef)}
            assert name in functions, f"{file}::{name}"
            marks = [*functions[name].decorator_list, *(n for n in tree.body if is_mark(n))]
            found = any("mark.slow" in ast.unparse(mark) for mark in marks)
            assert found == bool(is_slow), f"{file}::{name}"


def page(tmp_path, text: str):
    """A clone with one page of its own."""
    for name, content in {
        "README.md": "# A\n\n[all](docs/README.md)\n",
        "docs/README.md": "# All\n\n## Road\n\n- [one](one.md)\n- [all](README.md)\n",
        "docs/reference/README.md": "# Programs\n",
        "docs/one.md": f"# One\n\n## Two words\n\n{text}\n",
        "docs/conf.py": (ROOT / "docs" / "conf.py").read_text("utf-8"),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, "utf-8")


@pytest.mark.parametrize("link", ["two.md", "../two.py", "README.md#three"])
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path, link, capsys):
    pytest.importorskip("myst_parser")
    page(tmp_path, f"[two]({link})")
    with pytest.raises(SystemExit) as stopped:
        build.main(tmp_path / "build" / "site", tmp_path)
    assert stopped.value.code not in (0, None)


def test_the_site_is_built(tmp_path):
    pytest.importorskip("myst_parser")
    build.main(tmp_path / "site")
    index = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert 'href="docs/pretrain.html"' in index
    program_page = (tmp_path / "site" / "docs" / "reference" / "pretrain.html").read_text("utf-8")
    assert "--mask_rate" in program_page

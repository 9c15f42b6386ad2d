"""The site of the pages: `make docs` writes it to build/site.

    python -m docs.build

Takes some seconds and needs the extra `docs`, but neither TensorFlow nor a network. The pages are
copied, with what they link to, to a folder of their own, so that nothing else of a clone is walked;
the navigation is that of docs/README.md. A link that leads nowhere, to a page, a heading or a file,
ends the build with an error.
"""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "README.zh.md", "BUILD.md", "CHANGELOG.md")
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")


def main(output: Path = ROOT / "build" / "site", root: Path = ROOT) -> None:
    """Writes the site.

    Args:
        output: folder for its files; `index.html` leads in.
        root: of a clone.

    Raises:
        SystemExit: a link leads nowhere, or Sphinx warns of something.
    """
    try:
        from sphinx.cmd.build import build_main
    except ImportError as error:
        sys.exit(f"found no Sphinx ({error}); wanted the extra docs: pip install '.[docs]'")
    source = output.parent / "pages"
    shutil.rmtree(source, ignore_errors=True)
    stage(root, source)
    flags = ["-q", "--fail-on-warning", "--keep-going", "-b", "html", "-c", str(root / "docs")]
    if status := build_main([*flags, str(source), str(output)]):
        sys.exit(status)
    shutil.copyfile(output / "README.html", output / "index.html")
    print(f"{output}/index.html")


def stage(root: Path, source: Path) -> None:
    """Copies the pages, and the files that they link to.

    Args:
        root: of a clone.
        source: folder for the copies.

    Raises:
        SystemExit: a link leads to no file.
    """
    pages = [root / name for name in PAGES if (root / name).exists()]
    pages += sorted((root / "docs").rglob("*.md"))
    for page in pages:
        text = page.read_text("utf-8")
        copy = source / page.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text + navigation(page, root), "utf-8")
        for name, _ in LINK.findall(text):
            target = (page.parent / name).resolve()
            if "://" in name or target.suffix == ".md":
                continue
            if not target.is_file() or not target.is_relative_to(root):
                sys.exit(f"found a link to {name} in {page}; wanted a file of this repository")
            copied = source / target.relative_to(root)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target, copied)


def navigation(page: Path, root: Path) -> str:
    """What a page adds to the side of the site: of most pages, nothing.

    Args:
        page: README.md has the sections of docs/README.md, reference/README.md the programs.
        root: of a clone.
    """
    if page == root / "docs" / "reference" / "README.md":
        return tree("", page, page.read_text("utf-8"), root)
    if page != root / "README.md":
        return ""
    index = root / "docs" / "README.md"
    sections = re.findall(r"^## (.*)\n((?:(?!## ).*\n?)*)", index.read_text("utf-8"), re.MULTILINE)
    return "".join(tree(title, index, section, root) for title, section in sections)


def tree(title: str, page: Path, text: str, root: Path) -> str:
    """A branch of the navigation.

    Args:
        title: of the section; "" for none.
        page: in which it stands.
        text: whose list or table of links becomes the branch.
        root: of a clone.
    """
    names = re.findall(r"^(?:- |\| )\[[^\]]*\]\(([^)#]+)\)", text, re.MULTILINE)
    places = ["/" + str((page.parent / name).resolve().relative_to(root)) for name in names]
    caption = [f":caption: {title}"] if title else []
    return "\n".join(["", "", "```{toctree}", ":hidden:", *caption, "", *places, "```", ""])


if __name__ == "__main__":
    main()

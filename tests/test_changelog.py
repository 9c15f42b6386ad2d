"""CHANGELOG.md: the version that the package says, in order, and tests that there are."""

import re
from pathlib import Path

import roots_tf

ROOT = Path(roots_tf.__file__).parents[1]
TEXT = (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_versions_fall_and_the_first_is_this_one():
    found = re.findall(r"^## (\d+)\.(\d+)\.(\d+) - (\d{4}-\d\d-\d\d)$", TEXT, re.MULTILINE)
    assert len(found) == TEXT.count("\n## ")
    versions = [tuple(map(int, numbers[:3])) for numbers in found]
    assert versions == sorted(set(versions), reverse=True)
    assert [date for *_, date in found] == sorted((date for *_, date in found), reverse=True)
    assert ".".join(map(str, versions[0])) == roots_tf.__version__


def test_the_tests_that_are_named_are_there():
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)
    assert len(named) > 9
    for path, function in named:
        assert f"def {function}" in (ROOT / path).read_text("utf-8")

import collections
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from roots_tf.corpus import docstrings, reading
from roots_tf.corpus.docstrings import PythonFile, installed_files, prose, write_docstrings

CODE = b'''"""A module of some use."""
if True:
    class Sea:
        """Water, mostly salt.

            Deep.
        """
        async def sail(self):
            "not triple-quoted, yet a docstring"
            def inner(): """Inner."""
        x = """no docstring"""
try:
    pass
except OSError:
    def late(): r"""Late \\d."""
def lone(): """\\ud800"""
'''


def test_docstrings_of_every_definition_in_order():
    assert list(docstrings.docstrings(CODE)) == [
        "A module of some use.",
        "Water, mostly salt.\n\nDeep.",
        "not triple-quoted, yet a docstring",
        "Inner.",
        "Late \\d.",
        "?",
    ]


@pytest.mark.parametrize("code", [b'"""', b'def f(: """x"""', b'"""\0"""', b'"""' + b"(" * 10_000])
def test_code_that_cannot_be_parsed(code):
    with pytest.raises((SyntaxError, ValueError, RecursionError, MemoryError)):
        list(docstrings.docstrings(code))


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Adds `x` to\nthe :class:`~set`.\n\nSecond.", "Adds x to the set.\nSecond."),
        ("Sums.\n\n>>> sum([1,\n...      2])\n3\n\nThen rests.", "Sums.\nThen rests."),
        ("Sums.\n```python\nsum(x)\n```\nDone.", "Sums.\nDone."),
        ("Use it::\n\n    a = b\n\n    c = d\n\nas said.", "Use it:\nas said."),
        (".. note:: Mind\n   the gap.\n.. math::\n   x^2\nEnd.", "Mind the gap.\nEnd."),
        ("Title\n=====\nText goes\non.", "Title\nText goes on."),
        (
            "Args:\n  x: what to add,\n    hashable.\n  y: another.\nReturns:\n  None.",
            "Args:\nx: what to add, hashable.\ny: another.\nReturns: None.",
        ),
        (
            "Parameters\n----------\nx : int\n    The first.\ny, z : float, optional\n    Rest.",
            "Parameters\nx : int The first.\ny, z : float, optional Rest.",
        ),
        (
            "What this\nclass does is simple: it\nsails.",
            "What this class does is simple: it sails.",
        ),
        ("Example:\n\n  >>> f()\n\nUsage:\n\n  ```f```\n", ""),
        ("", ""),
    ],
)
def test_prose(docstring, expected):
    assert prose(docstring) == expected


def test_written_as_json_lines_that_the_reader_reads(tmp_path):
    long = "Sails over the sea and under the sun for as long as there is wind to sail with. " * 2
    sources = []
    for name, code in (("a", f'"""{long}"""'), ("b", 'x = """'), ("c", '"""Short."""')):
        path = tmp_path / f"{name}.py"
        path.write_text(code)
        sources.append(PythonFile(str(path), name))
    counts = write_docstrings(tmp_path / "out", sources=sources)
    assert counts == {
        "files": 3,
        "unparsable_files": 1,
        "documents": 1,
        "bytes": len(long.strip()),
    }
    paths = sorted((tmp_path / "out").glob("*.jsonl"))
    assert [document[:2] for document in reading.read_documents(paths)] == [(long.strip(), "a")]


def test_installed_files_are_sorted_and_hold_no_tests():
    found = installed_files()
    assert found == sorted(found, key=lambda file: (file.source, file.path))
    assert len({file.path for file in found}) == len(found)
    sources = collections.Counter(file.source for file in found)
    assert {"python", "numpy", "keras"} <= set(sources)
    assert not {"roots_tf", "pipelines", "site-packages"} & set(sources)
    assert not [file for file in found if "/tests/" in file.path or "_test.py" in file.path]


def test_standard_library_makes_real_prose(tmp_path):
    sources = [f for f in installed_files() if f.source == "python" and "asyncio" in f.path]
    with ThreadPoolExecutor(2) as executor:
        counts = write_docstrings(tmp_path, executor, sources)
    assert counts["unparsable_files"] == 0
    assert counts["documents"] > 100
    lines = (tmp_path / "docstrings-00000-of-00001.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    assert not any(">>>" in text for text in texts)
    letters = sum(c.isalpha() or c == " " for text in texts for c in text)
    assert letters > 0.93 * sum(map(len, texts))
    again = write_docstrings(tmp_path / "again", None, sources)
    assert again == counts
    name = "docstrings-00000-of-00001.jsonl"
    assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()

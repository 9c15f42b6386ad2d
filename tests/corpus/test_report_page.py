"""The report page: every number of the report, and no text of a document that acts on the page."""

import doctest
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import curate
from roots_tf.corpus import histograms, report_page
from tests.pages.parsed import Page

PROSE = "The ship lay at anchor for three days, and the captain wrote letters to his owners. " * 3
HOSTILE = (
    '<script>alert("x")</script> <img src=x onerror=alert(1)> \u202eetirw\u202c <style>* &amp; '
)
STEPS = ("repair", "basic_quality", "exact_duplicates", "repeated_paragraphs", "sample")


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """A run over hostile documents, some with a line in common."""
    folder = tmp_path_factory.mktemp("report")
    shared = "Subscribe to our letters and never miss a story of the sea."
    lines = [
        json.dumps({"text": f"{HOSTILE}\n{number}. {PROSE}\n{shared}", "source": f"<b>{number}"})
        for number in range(30)
    ]
    short = json.dumps({"text": f"{HOSTILE} short", "source": HOSTILE})
    (folder / "input.jsonl").write_text("\n".join([*lines, lines[0], short]))
    recipe = "".join(f'[[steps]]\nname = "{name}"\n' for name in STEPS) + "keep = 0.5\n"
    (folder / "recipe.toml").write_text(recipe.replace('"sample"\n', '"sample"\nseed = 1\n'))
    curate.main(
        curate.Config(
            input=(str(folder / "input.jsonl"),),
            output=str(folder / "out"),
            recipe=str(folder / "recipe.toml"),
            num_workers=1,
        )
    )
    return folder / "out"


def test_a_page_of_hostile_texts(output):
    report = json.loads((output / "report.json").read_text())
    page = Page((output / "report.html").read_text("utf-8"))
    assert not page.open
    assert not page.tags & {"script", "img", "iframe", "object", "link"}
    assert {link[1:] for link in page.links} <= page.ids  # none leads out of the page
    shown = "".join(page.words)
    assert 'alert("x")</script> <img src=x onerror=alert(1)>' in shown
    assert "\u202e" not in shown
    assert f"{report['documents_out']} of 32 documents kept" in shown
    for step in report["steps"]:
        assert step["name"] in shown
        for reason, counts in step["dropped"].items():
            assert f"{reason.replace('_', ' ')}{counts['documents']}" in shown


def test_the_page_follows_from_the_report(output):
    report = json.loads((output / "report.json").read_text())
    assert report_page.render(report) == (output / "report.html").read_text("utf-8")


@pytest.mark.parametrize("module", [report_page, histograms])
def test_examples_of_the_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


@given(
    st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.integers(1, 99)), min_size=1, unique_by=lambda x: x[0]
    ),
    st.floats(-1e6, 1e6),
    st.booleans(),
)
def test_choices_are_counted_by_going_over_all(bins, limit, lower):
    bins = sorted(bins)
    lowest, highest = (limit, None) if lower else (None, limit)
    found = histograms.choices(bins, lowest, highest)
    assert [c.value for c in found if c.chosen] == [limit]
    values = [edge for edge, documents in bins for _ in range(documents)]
    for choice in found:
        kept = [v for v in values if (v >= choice.value if lower else v <= choice.value)]
        assert choice.documents == len(kept)
        assert choice.share == pytest.approx(len(kept) / len(values))
    drawn = histograms.draw(bins, lowest, highest, "a <label>")
    page = Page(drawn)
    assert not page.open and "rect" in page.tags

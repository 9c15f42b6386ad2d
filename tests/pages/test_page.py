"""Pages: every text is escaped, and what cannot be seen is shown."""

import doctest
import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roots_tf.pages import axes, charts, page
from tests.pages.parsed import Page


@pytest.mark.parametrize("module", [axes, page])
def test_examples_of_the_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


@given(st.text())
def test_a_text_comes_back_and_shows_what_is_unseen(value):
    shown = page.text(value)
    parsed = Page(f"<p>{shown}</p>")
    assert parsed.tags <= {"p", "span"}
    hidden = [c for c in parsed.text if not (c.isprintable() or c in page.SHOWN)]
    assert all(c.isspace() or c > "\u0377" for c in hidden)  # unassigned, or spaces
    if value.isprintable():
        assert parsed.text == value


@given(st.text())
def test_a_text_of_an_attribute_ends_nothing(value):
    shown = page.plain(value)
    assert not set(shown) & set("<>\"'")
    if value.isprintable():
        assert html.unescape(shown) == value
    parsed = Page(f'<p title="{shown}">x</p>')
    assert parsed.text == "x"


def test_a_whole_page():
    sections = [page.Section("a", "A & B", "<p>x</p>"), page.Section("b", "<b>", "")]
    parsed = Page(page.render("</title><script>", "<h1>h</h1>", sections))
    assert {"a", "b"} <= parsed.ids
    assert parsed.links == {"#a", "#b"}
    assert parsed.titles == ["</title><script>"]
    assert parsed.text.count("A & B") == 2


def test_a_table_of_numbers_texts_and_nothing():
    shown = page.table(("a", "b", "c"), [("<i>", 1234.5, None), ("北京", float("nan"), 1e300)])
    assert Page(shown).text == "abc<i>1,234–北京no number1e+300"  # the even one of two as near
    assert '<td dir="auto">北京</td>' in shown


def curve_of(*values, **about) -> charts.Curve:
    return charts.Curve("loss", list(enumerate(values)), **about)


def test_every_point_says_its_value_and_a_gap_breaks_the_line():
    shown = charts.chart("Loss", [curve_of(3.0, 2.5, float("nan"), 2.0, float("inf"))], "step")
    parsed = Page(shown)
    assert parsed.titles == ["loss: 3 at step 0", "loss: 2.5 at step 1", "loss: 2 at step 3"]
    [line] = [part for part in shown.split("<path ") if part.startswith('class="c0"')]
    assert (line.count("M"), line.count("L")) == (2, 1)
    assert "no finite number at 2 of 5 points (at 2, 4); gaps stand for them" in parsed.text


def test_one_point_and_none():
    assert Page(charts.chart("Loss", [curve_of(3.0)], "step")).titles == ["loss: 3 at step 0"]
    for curves in ([], [curve_of()], [curve_of(None)]):
        assert "Nothing was logged" in Page(charts.chart("Loss", curves, "step")).text


def test_a_baseline_is_drawn_within_the_chart_and_named():
    shown = charts.chart("Loss", [curve_of(9.0, 8.0)], "step", rules=[charts.Rule("unigram", 6.0)])
    assert "unigram: 6" in Page(shown).titles
    low = axes.axis([9.0, 8.0, 6.0], 0.05).low
    assert low < 6.0


def test_a_long_curve_is_thinned_and_its_spikes_stay():
    values = [1.0] * 200_000
    values[77_777], values[123_456], values[150_000] = 50.0, -3.0, None
    points = charts.thinned([*enumerate(values)])
    assert len(points) <= charts.MOST_POINTS + 2
    assert points == sorted(points, key=lambda point: point[0])
    assert {(0, 1.0), (77_777, 50.0), (123_456, -3.0), (150_000, None)} <= set(points)
    assert points[-1] == (199_999, 1.0)


NUMBERS = st.one_of(st.none(), st.integers(), st.floats(), st.just(10**400), st.booleans())


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 2**70), NUMBERS), max_size=9), max_size=4),
    st.lists(st.floats(), max_size=2),
    st.booleans(),
    st.booleans(),
)
def test_whatever_the_numbers_what_is_drawn_is_inside(curves, rules, from_zero, diagonal):
    drawn = [charts.Curve(f"c{i}", sorted(c, key=lambda p: p[0])) for i, c in enumerate(curves)]
    rules = [charts.Rule("<r>", value) for value in rules]
    shown = charts.chart("<t>", drawn, "x", "y", rules, from_zero=from_zero, diagonal=diagonal)
    Page(shown)
    assert "nan" not in shown and "inf" not in shown.replace("finite", "")
    places = [
        float(value.split('"')[0])
        for name in ("cx=", "cy=")
        for value in shown.split(f'{name}"')[1:]
    ]
    assert all(0 <= place <= charts.WIDTH for place in places)
    known = [y for curve in curves for _, y in curve if axes.drawable(y) is not None]
    dots = shown.split('<svg class="curves"')[-1].count("<circle") if known else 0
    assert dots == len(known)


@given(st.lists(st.floats(-1e300, 1e300), max_size=5), st.sampled_from([0, 0.05]), st.booleans())
def test_an_axis_holds_its_values_and_its_ticks_rise(values, room, may_be_log):
    axis = axes.axis(values, room, may_be_log)
    assert axis.low < axis.high
    assert list(axis.ticks) == sorted(set(axis.ticks))
    assert len(axis.ticks) <= 14
    if values:
        assert axis.low <= min(values) and max(values) <= axis.high
    assert all(0 <= axis.place(value) <= 1 for value in (*values, *axis.ticks))
    texts = [axes.spell(tick) for tick in axis.ticks]
    assert all(len(text) <= 12 for text in texts)

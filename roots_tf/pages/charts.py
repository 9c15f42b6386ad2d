"""Charts as SVG that stands in the page: curves with gaps, dots, and what a point says on hover.

A chart is as wide as a telephone, so that its writing can be read there; on a wider page two stand
side by side. A curve of many points is thinned; the highest and lowest of each stretch stay.
"""

from collections.abc import Sequence
from typing import NamedTuple

from roots_tf.pages.axes import Axis, axis, drawable, spell
from roots_tf.pages.page import number, plain, text

WIDTH, HEIGHT = 400, 230
TOP, RIGHT, BOTTOM = 10, 12, 40
COLOURS = 8  # of the style sheet: `c0`, `c1`, ...
MOST_POINTS = 240  # of a curve as it is drawn
FEW_POINTS = 40  # up to which each is marked
MOST_CURVES = 40
MOST_NAMED = 12  # in the legend


class Curve(NamedTuple):
    """A series of numbers.

    Attributes:
        name: for the legend; curves of one name have one entry.
        points: (x, y), x rising; a y that is no finite number is a gap.
        colour: its place among the colours; more than there are begin again, dashed.
        is_dots: whether its points are not joined.
        is_dashed: whether its line is.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    colour: int = 0
    is_dots: bool = False
    is_dashed: bool = False


class Rule(NamedTuple):
    """A horizontal line at a value, such as of a baseline."""

    name: str
    value: float


def thinned(points: Sequence[tuple], most: int = MOST_POINTS) -> list[tuple]:
    """At most so many of the points, in order: the highest and the lowest of each stretch.

    A stretch without any number gives one of its gaps; the first and the last point stay.

    Args:
        points: (x, y), where y may be None.
        most: how many stay, 4 at least.
    """
    if len(points) <= most:
        return list(points)
    stretches = (most - 2) // 3
    kept = {0, len(points) - 1}
    for stretch in range(stretches):
        first, last = (len(points) * (stretch + i) // stretches for i in (0, 1))
        known = [place for place in range(first, last) if points[place][1] is not None]
        gaps = (place for place in range(first, last) if points[place][1] is None)
        kept |= {place for place in [next(gaps, None)] if place is not None}
        if known:
            kept.add(max(known, key=lambda place: points[place][1]))
            kept.add(min(known, key=lambda place: points[place][1]))
    return [points[place] for place in sorted(kept)]


def chart(
    title: str,
    curves: Sequence[Curve],
    x_name: str,
    y_name: str = "",
    rules: Sequence[Rule] = (),
    from_zero: bool = False,
    diagonal: bool = False,
) -> str:
    """A figure of curves over one x axis; it says so where there is nothing to draw.

    Args:
        title: above it.
        curves: those that are drawn, `MOST_CURVES` at most.
        x_name: what x counts, such as "step".
        y_name: unit of the values, such as "nats".
        rules: horizontal lines.
        from_zero: whether the values begin at 0; else far ones stand on a logarithmic axis.
        diagonal: whether the line on which x and y are equal is drawn.
    """
    notes = []
    if len(curves) > MOST_CURVES:
        notes.append(f"The first {MOST_CURVES} of {len(curves)} curves are drawn.")
    curves = [curve._replace(points=_drawable(curve.points)) for curve in curves[:MOST_CURVES]]
    notes += _notes(curves)
    curves = [
        curve._replace(
            points=thinned(curve.points, 4 * MOST_POINTS if curve.is_dots else MOST_POINTS)
        )
        for curve in curves
    ]
    rules = [rule for rule in rules if drawable(rule.value) is not None]
    ys = [y for curve in curves for _, y in curve.points if y is not None]
    xs = [x for curve in curves for x, y in curve.points if y is not None]
    heading = f"<figcaption>{text(title)}</figcaption>"
    if not ys:
        return f'<figure class="chart">{heading}<p class="soft">Nothing was logged.</p></figure>'
    both = [*xs, *ys] if diagonal else []
    across = axis(both or xs, 0.03 if diagonal or len(xs) == 1 else 0.0)
    if all(x == round(x) for x in xs):
        whole = tuple(tick for tick in across.ticks if tick == round(tick))
        across = across._replace(ticks=whole)
    values = both or [*ys, *(rule.value for rule in rules), *([0.0] if from_zero else ())]
    up = axis(values, 0.05, may_be_log=not diagonal)
    notes += ["The vertical axis is logarithmic."] * up.is_log
    said = "".join(f'<p class="soft">{text(note)}</p>' for note in notes)
    drawing = _svg(title, curves, rules, (across, up), (x_name, y_name), diagonal)
    return f'<figure class="chart">{heading}{_legend(curves, rules)}{drawing}{said}</figure>'


def _drawable(points: Sequence[tuple]) -> list[tuple[float, float | None]]:
    """The points that stand somewhere, with None for a y that is no number to be drawn."""
    return [(at, drawable(y)) for x, y in points if (at := drawable(x)) is not None]


def _notes(curves: Sequence[Curve]) -> list[str]:
    """What is to be said of gaps and of thinning."""
    notes = []
    for curve in curves:
        gaps = [x for x, y in curve.points if y is None]
        if gaps:
            steps = ", ".join(map(spell, gaps[:5])) + (", ..." if len(gaps) > 5 else "")
            notes.append(
                f"{curve.name}: no finite number at {len(gaps):,} of {len(curve.points):,} points "
                f"(at {steps}); gaps stand for them."
            )
    most = max((len(curve.points) for curve in curves if not curve.is_dots), default=0)
    if most > MOST_POINTS:
        notes.append(f"Thinned from {most:,} points; the highest and lowest of each stretch stay.")
    return notes[:6]


def _class(curve: Curve) -> str:
    is_dashed = curve.is_dashed or (curve.colour // COLOURS) % 2
    return f"c{curve.colour % COLOURS}{' dashed' if is_dashed else ''}"


def _legend(curves: Sequence[Curve], rules: Sequence[Rule]) -> str:
    """Names beside a sample of their lines; none of a single curve without rules."""
    named = list({curve.name: curve for curve in curves}.values())
    if len(named) + len(rules) < 2:
        return ""
    sample = '<svg class="sample" viewBox="0 0 22 8" aria-hidden="true">{}</svg>'
    entries = [
        sample.format(
            f'<circle class="dot {_class(curve)}" cx="11" cy="4" r="3"/>'
            if curve.is_dots
            else f'<path class="{_class(curve)}" d="M1 4H21"/>'
        )
        + f'<bdi title="{plain(curve.name)}">{text(_short(curve.name))}</bdi>'
        for curve in named[:MOST_NAMED]
    ]
    entries += [f"and {len(named) - MOST_NAMED} more"] * (len(named) > MOST_NAMED)
    entries += [
        sample.format('<path class="rule" d="M1 4H21"/>')
        + text(f"{rule.name}: {number(rule.value)}")
        for rule in rules
    ]
    return f'<p class="legend">{"".join(f"<span>{entry}</span>" for entry in entries)}</p>'


def _short(name: str, most: int = 40) -> str:
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 + 1 :]}"


def _svg(title, curves, rules, axes: tuple[Axis, Axis], names, diagonal: bool) -> str:
    """The drawing; `axes` and `names` are those of x, then y."""
    across, up = axes
    x_name, y_name = names
    left = 12 + 6.6 * max([len(spell(tick)) for tick in up.ticks], default=1)
    left += 14 if y_name else 0

    def x(value: float) -> float:
        return left + across.place(value) * (WIDTH - RIGHT - left)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - up.place(value) * (HEIGHT - BOTTOM - TOP)

    parts = [
        f'<path class="grid" d="M{left:.1f} {y(tick):.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{left - 5:.1f}" y="{y(tick) + 4:.1f}" text-anchor="end">{spell(tick)}</text>'
        for tick in up.ticks
    ]
    base = HEIGHT - BOTTOM
    parts += [
        f'<path class="grid" d="M{x(tick):.1f} {base}v4"/>'
        f'<text x="{x(tick):.1f}" y="{base + 16}" text-anchor="middle">{spell(tick)}</text>'
        for tick in across.ticks
    ]
    middle = (left + WIDTH - RIGHT) / 2
    parts.append(f'<path class="axis" d="M{left:.1f} {TOP}V{base}H{WIDTH - RIGHT}"/>')
    parts.append(
        f'<text x="{middle:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{plain(x_name)}</text>'
    )
    if y_name:
        parts.append(
            f'<text transform="translate(11 {(TOP + base) / 2}) rotate(-90)" text-anchor="middle">'
            f"{plain(y_name)}</text>"
        )
    if diagonal:
        ends = (across.low, across.high)
        line = "L".join(f"{x(end):.1f} {y(end):.1f}" for end in ends)
        parts.append(f'<path class="rule" d="M{line}"/>')
    parts += [
        f'<path class="rule" d="M{left:.1f} {y(rule.value):.1f}H{WIDTH - RIGHT}">'
        f"<title>{plain(rule.name)}: {number(rule.value)}</title></path>"
        for rule in rules
    ]
    parts += [_drawn(curve, x, y, names) for curve in curves]
    return (
        f'<svg class="curves" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{plain(title)}">{"".join(parts)}</svg>'
    )


def _drawn(curve: Curve, x, y, names) -> str:
    """The line of a curve, broken at gaps, and a circle with a title for each of its points."""
    line, is_on, parts = [], False, []
    known = [(at, value) for at, value in curve.points if value is not None]
    for at, value in () if curve.is_dots else curve.points:
        if value is not None:
            line.append(f"{'L' if is_on else 'M'}{x(at):.1f} {y(value):.1f}")
        is_on = value is not None
    if line:
        parts.append(f'<path class="{_class(curve)}" d="{"".join(line)}"/>')
    marked = "dot" if curve.is_dots or len(known) <= FEW_POINTS else "hover"
    name = plain(curve.name)
    parts += [
        f'<circle class="{marked} {_class(curve)}" cx="{x(at):.1f}" cy="{y(value):.1f}" r="3">'
        f"<title>{name}: {number(value)} at {plain(names[0])} {number(at)}</title></circle>"
        for at, value in known
    ]
    return "".join(parts)

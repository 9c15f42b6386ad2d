"""A measure drawn: its histogram with the thresholds, and what other thresholds would keep."""

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from roots_tf.pages.page import number

BARS = 60
WIDTH, HEIGHT, BASE = 600, 120, 100  # of the drawing, and the y of its axis
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)

Histogram = Sequence[Sequence[float]]  # [[lower edge of a bin, documents], ...] by edge


class ThresholdChoice(NamedTuple):
    """What a threshold would keep."""

    side: str  # "at least" or "at most"
    value: float
    documents: int
    share: float  # of all
    chosen: bool  # it is the threshold of the recipe


def choices(
    histogram: Histogram, lowest: float | None, highest: float | None
) -> list[ThresholdChoice]:
    """What looser and stricter thresholds would keep, each side for itself.

    Args:
        histogram: of the values of all documents.
        lowest: the lowest value that is kept; None: any.
        highest: the highest one.

    Returns:
        For each side that has a threshold: the threshold, and values that a hundredth to 99
        hundredths of the documents lie below, in order.

    >>> histogram = [[0.0, 10], [0.1, 60], [0.2, 20], [0.3, 10]]
    >>> [(c.value, c.documents, c.chosen) for c in choices(histogram, None, 0.2)]
    [(0.0, 10, False), (0.1, 70, False), (0.2, 90, True), (0.3, 100, False)]
    """
    total = sum(documents for _, documents in histogram)
    bars = []
    for side, limit in (("at least", lowest), ("at most", highest)):
        if limit is None:
            continue
        for value in sorted({limit, *(quantile(histogram, share) for share in QUANTILES)}):
            kept = sum(
                documents
                for edge, documents in histogram
                if (edge >= value if side == "at least" else edge <= value)
            )
            bars.append(ThresholdChoice(side, value, kept, kept / total, value == limit))
    return bars


def quantile(histogram: Histogram, share: float) -> float:
    """The value below which a share of the documents lies, as the lower edge of its bin.

    >>> [quantile([[1, 50], [2, 49], [10, 1]], share) for share in (0, 0.49, 0.5, 0.99)]
    [1, 1, 2, 10]

    Args:
        histogram: [lower edge, documents] of each bin, ascending.
        share: 0 to 1.
    """
    rank = math.floor(share * sum(documents for _, documents in histogram))
    for edge, documents in histogram:
        rank -= documents
        if rank < 0:
            return edge
    return histogram[-1][0]


def draw(histogram: Histogram, lowest: float | None, highest: float | None, label: str) -> str:
    """A histogram as SVG: bars of documents, dashed lines at the thresholds.

    Values up to 1 stand on a linear axis, others on that of log(1 + value). What is dropped is
    drawn in another colour.

    Args:
        histogram: of the values of all documents.
        lowest: the lowest value that is kept; None: any.
        highest: the highest one.
        label: description for screen readers.
    """
    limits = [limit for limit in (lowest, highest) if limit is not None]
    finite = [edge for edge, _ in histogram if math.isfinite(edge)] or [0.0]
    least, most = min(finite + limits), max(finite + limits)
    linear = least >= -1 and most <= 1

    def scaled(value: float) -> float:
        value = min(max(value, least), most)
        return value if linear else math.copysign(math.log1p(abs(value)), value)

    # Bins up to 1 are a hundredth wide; the last one has its room too.
    start, span = scaled(least), (scaled(most) - scaled(least)) * (1 + 1 / BARS) or 1.0

    def x(value: float) -> float:
        return (scaled(value) - start) / span * WIDTH

    bars: dict[tuple[int, bool], int] = {}
    for edge, documents in histogram:
        kept = (lowest is None or edge >= lowest) and (highest is None or edge <= highest)
        place = (min(int(x(edge) / WIDTH * BARS), BARS - 1), kept)
        bars[place] = bars.get(place, 0) + documents
    tallest = max(bars.values(), default=1)
    drawn, below = [], {}
    for (place, kept), documents in sorted(bars.items()):
        height = max(documents / tallest * (BASE - 14), 1.0)  # one document is to be seen
        y = BASE - height - below.get(place, 0)
        below[place] = below.get(place, 0) + height
        drawn.append(
            f'<rect class="{"kept" if kept else "dropped"}" x="{place * WIDTH / BARS:.1f}" '
            f'y="{y:.1f}" width="{WIDTH / BARS - 1:.1f}" height="{height:.1f}"/>'
        )
    for limit in limits:
        at = x(limit)
        anchor = "end" if at > WIDTH * 0.8 else "start"
        drawn.append(
            f'<line class="limit" x1="{at:.1f}" x2="{at:.1f}" y1="2" y2="{BASE}"/>'
            f'<text class="limit" x="{at + (-4 if anchor == "end" else 4):.1f}" y="11" '
            f'text-anchor="{anchor}">{"≥" if limit == lowest else "≤"} {number(limit)}</text>'
        )
    for edge, anchor, at in ((least, "start", 0), (most, "end", WIDTH)):
        drawn.append(f'<text x="{at}" y="{BASE + 15}" text-anchor="{anchor}">{number(edge)}</text>')
    return (
        f'<svg class="histogram" viewBox="0 -2 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(label)}"><line class="axis" x1="0" x2="{WIDTH}" y1="{BASE}" '
        f'y2="{BASE}"/>{"".join(drawn)}</svg>'
    )

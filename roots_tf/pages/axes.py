"""Axes of charts: which stretch of numbers is drawn, where its ticks stand and what they say."""

import math
from collections.abc import Iterable
from typing import NamedTuple

LARGEST = 1e300  # of what is drawn: a difference of two such numbers is still finite
_LOG_FROM = 50.0  # times the least, above which a logarithmic axis shows more


def drawable(value) -> float | None:
    """The value as a number that can be drawn; None of what is none, is infinite or too large.

    >>> [drawable(value) for value in (1, 2.5, float("nan"), None, "3", 10**400)]
    [1.0, 2.5, None, None, None, None]
    """
    if type(value) is int:
        value = float(value) if -LARGEST < value < LARGEST else math.inf
    if type(value) is not float:
        return None
    return value if -LARGEST <= value <= LARGEST else None  # false of NaN


class Axis(NamedTuple):
    """A stretch of numbers.

    Attributes:
        low, high: its ends, the first below the second.
        is_log: whether equal distances are equal quotients.
        ticks: numbers in it that are written beside it, rising.
    """

    low: float
    high: float
    is_log: bool
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Where a value stands, 0 at the low end to 1 at the high one."""
        low, high, value = map(self._scaled, (self.low, self.high, value))
        return min(max((value - low) / (high - low), 0.0), 1.0)

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-320)) if self.is_log else value


def axis(values: Iterable[float], room: float = 0.0, may_be_log: bool = False) -> Axis:
    """The axis that holds all values, with about three to six ticks.

    >>> axis([3.0, 41.0]).ticks
    (10.0, 20.0, 30.0, 40.0)
    >>> axis([2.0, 900.0], may_be_log=True).ticks
    (10.0, 100.0)

    Args:
        values: that are drawn, each `drawable`; none give an axis from 0 to 1.
        room: share of the axis beyond the values, on both sides.
        may_be_log: whether values above 0 that are far apart stand on a logarithmic axis.
    """
    values = list(values) or [0.0, 1.0]
    low, high = min(values), max(values)
    if may_be_log and low > 1e-200 and high / _LOG_FROM > low:
        least, most = math.log10(low), math.log10(high)
        beyond = (most - least) * room
        low, high = 10 ** (least - beyond), max(10 ** min(most + beyond, 300.0), high)
        return Axis(min(low, min(values)), high, True, _log_ticks(low, high))
    least = max(abs(low), abs(high)) * 1e-6
    if high - low <= least:  # one value, or noise of its last digits
        half = max(abs(high) * 0.05, 1e-9)
        low, high = low - half, high + half
    beyond = (high - low) * room
    ends = (0.0 if low == 0 else low - beyond, 0.0 if high == 0 else high + beyond)
    return Axis(*ends, False, _ticks(*ends))


def _ticks(low: float, high: float) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten: the largest of which three are in the stretch.

    >>> _ticks(0.688, 0.701)
    (0.69, 0.695, 0.7)
    """
    power = 10.0 ** math.floor(math.log10(high - low))
    for step in (5 * power, 2 * power, power, power / 2, power / 5, power / 10):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first >= 2:
            break
    return tuple(float(f"{place * step:.12g}") for place in range(first, last + 1))


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Powers of ten; between two of them also 2 and 5 times the lower one, where few are in it."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = [10.0**n for n in range(first, last + 1, max(1, (last - first) // 4))]
    inside = [power for power in powers if low <= power <= high]
    if len(inside) < 2:
        inside = [m * p for p in powers for m in (1, 2, 5) if low <= m * p <= high]
    return tuple(inside)


def spell(value: float) -> str:
    """A tick as text: at most four digits, thousands as k, M, G.

    >>> [spell(value) for value in (0, 0.25, 0.0002, 1500.0, 20000, 3e6, 1e-07, 12345678)]
    ['0', '0.25', '0.0002', '1,500', '20k', '3M', '1e-07', '12.35M']
    """
    size = abs(value)
    if size >= 1e15:
        return f"{value:.3g}"
    for letter, unit in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if size >= unit and (letter != "k" or size >= 10_000):
            return f"{value / unit:.4g}{letter}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.4g}"

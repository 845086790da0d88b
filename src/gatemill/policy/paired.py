"""What two ways of doing the same come to, item by item. Rule: pure; looked at once, when all is done.

Who looks again and again while it goes on needs `confidence.py` instead.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

_Z = 1.959963984540054  # 97.5 % of a normal distribution lie below
_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}  # the same of Student's t, by degrees of freedom


class Paired(Struct, frozen=True):
    """Means over the items that have both figures, and the mean of the differences."""

    count: int
    before: float
    after: float
    difference: float  # after minus before
    low: float | None  # of the 95 % interval of the difference; None for fewer than two items
    high: float | None


class Part(Struct, frozen=True):
    """How often something is so."""

    count: int
    share: float
    low: float  # of the 95 % interval
    high: float


def paired(before: Sequence[float], after: Sequence[float]) -> Paired | None:
    """`before` and `after` stand in the same order; None where there are none.

    Source: the paired t-test, Student 1908.
    """
    count = len(before)
    if not count:
        return None
    steps = [b - a for a, b in zip(before, after, strict=True)]
    mean = sum(steps) / count
    low = high = None
    if count > 1:
        variance = sum((step - mean) ** 2 for step in steps) / (count - 1)
        half = t_975(count - 1) * sqrt(variance / count)
        low, high = mean - half, mean + half
    return Paired(count, sum(before) / count, sum(after) / count, mean, low, high)


def part(times: float, count: int) -> Part | None:
    """`times` of `count`; a half is a tie. None for none. Source: Wilson, 1927."""
    if not count:
        return None
    share = times / count
    square = _Z * _Z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _Z / (1 + square / count) * sqrt(share * (1 - share) / count + square / 4 / count**2)
    return Part(count, share, max(0.0, middle - half), min(1.0, middle + half))


def t_975(freedom: int) -> float:
    """Below which 97.5 % of Student's t lie, to 0.2 %. Source: Abramowitz and Stegun, 26.7.5."""
    if freedom in _T:
        return _T[freedom]
    z = _Z
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )

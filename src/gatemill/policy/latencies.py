"""Durations in buckets, and the quantiles that these still tell.

Rule: bounds never change, because what is in the database was counted with them. Ten buckets a decade:
a quantile is wrong by at most 12 % of itself, whatever the durations were.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Milliseconds, from 0.1 ms to 1000 s. Bucket 0 ends with the first bound; the last one has no end.
BOUNDS_MS: tuple[float, ...] = tuple(round(10.0 ** (place / 10), 6) for place in range(-10, 61))
LAST = len(BOUNDS_MS)


def bucket(ms: float) -> int:
    """The number of the bucket that a duration falls into: 0 to LAST."""
    return bisect_left(BOUNDS_MS, ms)


def quantile(times: Mapping[int, int], share: float) -> float | None:
    """The milliseconds that so large a part (0 to 1) does not exceed; None when nothing was counted.

    `times` are counts by bucket. Inside a bucket durations count as spread evenly. What took longer
    than the last bound counts as that bound.
    """
    whole = sum(times.values())
    if whole <= 0:
        return None
    wanted = share * whole
    below = 0
    for number in sorted(times):
        count = times[number]
        if count > 0 and below + count >= wanted:
            return _inside(number, (wanted - below) / count)
        below += count
    return BOUNDS_MS[-1]  # only by rounding


def _inside(number: int, part: float) -> float:
    """The milliseconds at a part (0 to 1) of a bucket's width."""
    if number >= LAST:
        return BOUNDS_MS[-1]
    low = BOUNDS_MS[number - 1] if number else 0.0
    return low + (BOUNDS_MS[number] - low) * part

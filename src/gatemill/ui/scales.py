"""Where the numbers of a chart stand, and what its axes say. Rule: pure; nothing here knows SVG."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
_SMALLEST, _LARGEST = 1e-9, 1e18  # that can be told apart from nothing, and be drawn
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_STEPS_S = (
    *(_MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
    *(_DAY, 2 * _DAY, 5 * _DAY, 10 * _DAY, 30 * _DAY, 90 * _DAY, 365 * _DAY),
)
_MONDAY = 4 * _DAY  # 1970-01-05: days are counted from here, so that the lines do not wander


class Tick(NamedTuple):
    """One mark of an axis."""

    at: float
    text: str


def clean(value: float | None) -> float | None:
    """The value, or None for one that cannot be drawn."""
    return value if value is not None and abs(value) < _LARGEST else None


def top(values: Iterable[float | None]) -> float:
    """The largest of them, 0 for none."""
    return max((value for value in values if value is not None), default=0.0)


def ticks(low: float, high: float, most: int = 5, *, whole: bool = False) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, at most about `most`, at least two.

    `whole`: nothing between whole numbers.
    """
    size = max(abs(low), abs(high))
    if size < _SMALLEST:
        low = high = size = 0.0
    if high - low <= size * 1e-6:
        high = low + (max(1.0, size * 1e-3) if whole or not size else size)
    raw = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(nice * power for nice in _NICE if nice * power >= raw * 0.999)
    if whole:
        step = max(1.0, math.ceil(step))
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    # Numbers that a multiplication has bent: 0.30000000000000004.
    return [float(f"{place * step:.10g}") for place in range(first, last + 1)]


def moments(since_s: float, until_s: float, most: int = 7) -> list[Tick]:
    """Round times, UTC, inside of [since, until]; a midnight among hours says its date."""
    span_s = max(1.0, until_s - since_s)
    years = math.ceil(span_s / _STEPS_S[-1] / most)
    step_s = next((step for step in _STEPS_S if span_s / step <= most), _STEPS_S[-1] * years)
    offset_s = _MONDAY if step_s >= _DAY else 0
    first = math.ceil((since_s - offset_s) / step_s)
    last = math.floor((until_s - offset_s) / step_s)
    return [_moment(place * step_s + offset_s) for place in range(first, last + 1)]


def _moment(at_s: float) -> Tick:
    when = datetime.fromtimestamp(at_s, UTC)
    is_midnight = not at_s % _DAY
    return Tick(at_s, f"{when.day} {when:%b}" if is_midnight else f"{when:%H:%M}")


def when(at_s: float, step_s: float) -> str:
    """The span that one point of a chart is about."""
    begun = datetime.fromtimestamp(at_s, UTC)
    if step_s >= _DAY:
        return f"{begun.day} {begun:%b %Y}"
    ended = datetime.fromtimestamp(at_s + step_s, UTC)
    return f"{begun.day} {begun:%b}, {begun:%H:%M} to {ended:%H:%M}"

"""Calendar periods in UTC: when the one that holds a moment began, and when it ends.

Rule: a window is derived from the clock each time, so nothing has to be reset when one ends.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

DAY_S = 86_400
_THURSDAY = 3  # 1970-01-01, where Monday is 0


def start_s(period: str, unix_s: float) -> float:
    """Unix time at which the period that holds `unix_s` began; 0 for "total".

    `period` is "day", "week" (from Monday), "month" or "total"; anything else is a ValueError.
    """
    # Whole seconds first: datetime rounds to microseconds, which can be the next day's.
    second = math.floor(unix_s)
    day = second // DAY_S
    if period == "day":
        return float(day * DAY_S)
    if period == "week":
        return float((day - (day + _THURSDAY) % 7) * DAY_S)
    if period == "month":
        return (
            datetime.fromtimestamp(second, UTC)
            .replace(day=1, hour=0, minute=0, second=0)
            .timestamp()
        )
    if period == "total":
        return 0.0
    raise ValueError(f"no such period: {period}")


def end_s(period: str, unix_s: float) -> float:
    """Unix time of the first moment after the period that holds `unix_s`; infinite for "total"."""
    if period == "total":
        return math.inf
    began_s = start_s(period, unix_s)
    if period == "day":
        return began_s + DAY_S
    if period == "week":
        return began_s + 7 * DAY_S
    # No month has more than 31 days, and none has fewer than 28.
    return start_s("month", began_s + 31.5 * DAY_S)

"""Calendar periods: derived from the clock, gapless, in UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatemill.policy.period import DAY_S, end_s, start_s

FINITE = ("day", "week", "month")


def _unix(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("period", "at", "start", "end"),
    [
        ("day", "2026-11-25T13:14:15", "2026-11-25", "2026-11-26"),
        ("day", "2026-11-25T00:00:00", "2026-11-25", "2026-11-26"),
        ("week", "2026-11-25T13:14:15", "2026-11-23", "2026-11-30"),  # a Wednesday
        ("week", "2026-11-23T00:00:00", "2026-11-23", "2026-11-30"),  # a Monday
        ("week", "2026-11-29T23:59:59", "2026-11-23", "2026-11-30"),  # a Sunday
        ("month", "2026-11-25T13:14:15", "2026-11-01", "2026-12-01"),
        ("month", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),  # a leap year
        ("month", "2027-02-01T00:00:00", "2027-02-01", "2027-03-01"),
    ],
)
def test_a_period_begins_and_ends_where_the_calendar_says(period, at, start, end):
    assert start_s(period, _unix(at)) == _unix(start)
    assert end_s(period, _unix(at)) == _unix(end)


@pytest.mark.parametrize("period", FINITE)
@given(at_s=st.floats(0, 4e9))
@example(at_s=math.nextafter(_unix("2026-12-01"), 0))  # datetime would round it into December
@example(at_s=0.0)
def test_every_moment_lies_in_its_own_period(period, at_s):
    begins_s, ends_s = start_s(period, at_s), end_s(period, at_s)
    assert begins_s <= at_s < ends_s
    assert start_s(period, ends_s) == ends_s
    assert start_s(period, begins_s) == begins_s
    assert end_s(period, math.nextafter(ends_s, 0)) == ends_s
    assert (ends_s - begins_s) % DAY_S == 0


@given(at_s=st.floats(0, 4e9))
def test_a_total_has_no_end(at_s):
    assert start_s("total", at_s) == 0
    assert end_s("total", at_s) == math.inf


@pytest.mark.parametrize("function", [start_s, end_s])
def test_another_word_is_no_period(function):
    with pytest.raises(ValueError, match="fortnight"):
        function("fortnight", 0.0)

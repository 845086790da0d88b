import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.ui import scales

AT_S = 1_795_286_400  # 2026-11-21 18:40:00 UTC
values = st.floats(-1e12, 1e12, allow_nan=False)


@pytest.mark.parametrize(
    ("low", "high", "whole", "expected"),
    [
        (0, 0, True, [0, 1]),
        (0, 3, True, [0, 1, 2, 3]),
        (0, 97, True, [0, 25, 50, 75, 100]),
        (0, 0.4, False, [0, 0.1, 0.2, 0.3, 0.4]),
        (-2, 2, False, [-2, -1, 0, 1, 2]),
        (4, 4, False, [4, 5, 6, 7, 8]),
    ],
)
def test_ticks_are_round_numbers_around_all_values(low, high, whole, expected):
    assert scales.ticks(low, high, whole=whole) == expected


@given(values, values, st.booleans())
def test_ticks_hold_what_they_are_for_and_are_few(one, other, whole):
    low, high = sorted((one, other))
    found = scales.ticks(low, high, whole=whole)
    size = max(abs(low), abs(high), 1e-3)
    assert 2 <= len(found) <= 12
    assert found[0] <= low + size * 1e-6
    assert found[-1] >= high - size * 1e-6
    assert found == sorted(set(found))


@pytest.mark.parametrize(
    ("span_s", "texts"),
    [
        (3_600, ["18:40", "18:50", "19:00", "19:10", "19:20", "19:30", "19:40"]),
        (21_600, ["19:00", "20:00", "21:00", "22:00", "23:00", "22 Nov"]),
        (7 * 86_400, ["22 Nov", "23 Nov", "24 Nov", "25 Nov", "26 Nov", "27 Nov", "28 Nov"]),
    ],
)
def test_moments_are_round_and_midnight_says_its_date(span_s, texts):
    assert [tick.text for tick in scales.moments(AT_S, AT_S + span_s)] == texts


@given(st.integers(0, 2**33), st.integers(1, 2**30))
def test_moments_are_inside_and_few(since_s, span_s):
    found = scales.moments(since_s, since_s + span_s)
    assert len(found) <= 8
    assert all(since_s <= tick.at <= since_s + span_s for tick in found)


def test_what_cannot_be_drawn_is_a_gap():
    assert [scales.clean(value) for value in (1.5, None, math.nan, math.inf)] == [
        1.5,
        None,
        None,
        None,
    ]


def test_a_point_says_the_span_that_it_is_about():
    assert scales.when(AT_S, 60) == "21 Nov, 18:40 to 18:41"
    assert scales.when(AT_S, 86_400) == "21 Nov 2026"

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.policy.latencies import BOUNDS_MS, LAST, bucket, quantile

durations = st.floats(0.0, 2e6, allow_nan=False)


def test_bounds_rise_ten_a_decade_from_a_tenth_of_a_millisecond_to_a_thousand_seconds():
    assert (BOUNDS_MS[0], BOUNDS_MS[10], BOUNDS_MS[-1]) == (0.1, 1.0, 1e6)
    assert len(BOUNDS_MS) == LAST == 71
    assert sorted(set(BOUNDS_MS)) == list(BOUNDS_MS)


@pytest.mark.parametrize(("ms", "number"), [(0, 0), (0.1, 0), (0.11, 1), (1e6, 70), (1e9, 71)])
def test_a_duration_falls_into_the_bucket_that_ends_at_or_above_it(ms, number):
    assert bucket(ms) == number


def test_nothing_has_no_quantile():
    assert quantile({}, 0.5) is None
    assert quantile({3: 0}, 0.5) is None


def test_what_took_longer_than_the_last_bound_counts_as_that():
    assert quantile({LAST: 5}, 0.95) == BOUNDS_MS[-1]


def test_counts_that_were_taken_away_do_not_disturb():
    assert quantile({2: 0, 5: 4}, 0.5) == quantile({5: 4}, 0.5)


@given(st.lists(durations, min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values, share):
    times = {}
    for ms in values:
        times[bucket(ms)] = times.get(bucket(ms), 0) + 1
    rank = max(1, math.ceil(share * len(values) - 1e-9))
    true_ms = sorted(values)[rank - 1]
    found_ms = quantile(times, share)
    number = bucket(true_ms)
    low = BOUNDS_MS[number - 1] if number else 0.0
    high = BOUNDS_MS[min(number, LAST - 1)]
    assert min(low, high) * 0.999 <= found_ms <= high * 1.001

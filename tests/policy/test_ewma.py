"""The mean that takes bad news at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.policy.ewma import DECAY_S, PeakEwma


def test_a_target_that_nobody_tried_takes_no_time():
    assert PeakEwma().value_s(100.0) == 0


def test_a_slow_answer_counts_at_once_and_a_fast_one_slowly():
    mean = PeakEwma()
    mean.observe(0.1, 0)
    mean.observe(2.0, 1)
    assert mean.value_s(1) == 2.0
    mean.observe(0.1, 1)
    assert mean.value_s(1) == 2.0  # no time has passed
    mean.observe(0.1, 1 + DECAY_S)
    assert mean.value_s(1 + DECAY_S) == pytest.approx(0.1 + 1.9 / 2.718281828)


def test_it_fades_when_nothing_is_heard():
    mean = PeakEwma()
    mean.observe(5.0, 0)
    assert mean.value_s(DECAY_S) == pytest.approx(5.0 / 2.718281828)
    assert mean.value_s(1000) < 1e-9


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10)), min_size=1, max_size=50))
def test_it_lies_between_the_smallest_and_the_largest_sample(samples):
    mean, now_s = PeakEwma(), 0.0
    for sample_s, later_s in samples:
        now_s += later_s
        mean.observe(sample_s, now_s)
    seen = [sample_s for sample_s, _ in samples]
    assert min(seen) - 1e-9 <= mean.value_s(now_s) <= max(seen)

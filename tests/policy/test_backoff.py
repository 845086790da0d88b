"""The pause before a repeat."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.policy.backoff import pause_s


@pytest.mark.parametrize(
    ("repeat", "longest_s"), [(1, 0.25), (2, 0.5), (3, 1.0), (6, 8.0), (7, 8.0), (5000, 8.0)]
)
def test_the_longest_pause_doubles_up_to_a_maximum(repeat: int, longest_s: float):
    assert pause_s(repeat, 0.25, 8.0, 1.0) == longest_s
    assert pause_s(repeat, 0.25, 8.0, 0.5) == longest_s / 2


@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True))
def test_it_lies_between_nothing_and_the_longest(repeat: int, unit: float):
    assert 0 <= pause_s(repeat, 0.25, 8.0, unit) < 8.0

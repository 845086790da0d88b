"""Repeats of one target, bounded by its requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.policy.retry_budget import SAVED_MAX, RetryBudget


def withdrawn(budget: RetryBudget, most: int = 1000) -> int:
    return sum(budget.withdraw() for _ in range(most))


def test_the_floor_is_there_from_the_start_and_no_more():
    assert withdrawn(RetryBudget(0.2, 3)) == 3
    assert withdrawn(RetryBudget(0.2, 0)) == 0


@given(
    requests=st.integers(0, 400),
    share=st.floats(0, 1),
    floor=st.integers(0, 5),
)
def test_repeats_never_exceed_the_floor_and_the_share(requests: int, share: float, floor: int):
    budget = RetryBudget(share, floor)
    repeats = 0
    for _ in range(requests):
        budget.deposit()
        repeats += withdrawn(budget, 2)
    assert repeats <= floor + share * requests


def test_a_fifth_of_the_requests_is_a_fifth():
    budget = RetryBudget(0.2, 3)
    repeats = 0
    for _ in range(1000):
        budget.deposit()
        repeats += budget.withdraw()
    assert repeats == 203


@pytest.mark.parametrize(("floor", "most"), [(3, SAVED_MAX), (500, 500)])
def test_what_can_be_saved_is_bounded(floor: int, most: int):
    budget = RetryBudget(1.0, floor)
    for _ in range(10_000):
        budget.deposit()
    assert withdrawn(budget, 2000) == most


def test_new_numbers_keep_what_is_saved_as_far_as_they_may():
    budget = RetryBudget(0.2, 500)
    budget.configure(0.5, 3)
    assert withdrawn(budget) == SAVED_MAX
    budget.deposit()
    budget.deposit()
    assert withdrawn(budget) == 1

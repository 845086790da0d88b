"""The limit that a target's overload lowers and its answers raise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gatemill.policy.adaptive import Concurrency


def test_it_begins_at_the_maximum_and_stays_there_while_all_is_well():
    concurrency = Concurrency(10)
    for _ in range(100):
        concurrency.success()
    assert concurrency.limit == 10


def test_overload_cuts_it_once_a_second():
    concurrency = Concurrency(100)
    for _ in range(50):
        concurrency.overload(5.0)
    assert concurrency.limit == 70
    concurrency.overload(5.9)
    assert concurrency.limit == 70
    concurrency.overload(6.0)
    assert concurrency.limit == 49


def test_it_grows_by_one_for_each_limit_of_good_answers():
    concurrency = Concurrency(10)
    concurrency.overload(0)
    for _ in range(7):
        assert concurrency.limit == 7
        concurrency.success()
    assert concurrency.limit == 8


def test_a_cut_forgets_the_good_answers_before_it():
    concurrency = Concurrency(10)
    concurrency.overload(0)
    for _ in range(6):
        concurrency.success()
    concurrency.overload(2)
    concurrency.success()
    assert concurrency.limit == 4


@given(st.integers(1, 50), st.lists(st.booleans(), max_size=200))
def test_it_never_leaves_its_bounds(most: int, moves: list[bool]):
    concurrency = Concurrency(most)
    for number, good in enumerate(moves):
        if good:
            concurrency.success()
        else:
            concurrency.overload(number)
        assert 1 <= concurrency.limit <= most


def test_a_new_maximum_lifts_a_limit_that_was_at_the_old_one_and_keeps_one_that_was_cut():
    whole, cut = Concurrency(10), Concurrency(10)
    cut.overload(0)
    whole.configure(20)
    cut.configure(20)
    assert (whole.limit, cut.limit) == (20, 7)
    whole.configure(5)
    cut.configure(5)
    assert (whole.limit, cut.limit) == (5, 5)

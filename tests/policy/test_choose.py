"""Which target first: always the same for the same call, and by weight over many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gatemill.policy.choose import ordered, unit


@given(st.text())
def test_a_name_always_gets_the_same_number_in_range(name):
    assert unit(name) == unit(name)
    assert 0 <= unit(name) < 1


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=6), st.floats(0, 0.999999999))
def test_each_item_stands_once_and_the_rest_keep_their_order(weights, at):
    items = tuple(range(len(weights)))
    first, *rest = ordered(items, tuple(weights), at)
    assert rest == [item for item in items if item != first]


def test_places_fall_on_items_by_weight():
    items, weights = ("a", "b", "c"), (1.0, 2.0, 1.0)
    firsts = [ordered(items, weights, at)[0] for at in (0, 0.24, 0.26, 0.74, 0.76, 0.999)]
    assert firsts == ["a", "a", "b", "b", "c", "c"]


def test_what_rounding_leaves_over_falls_on_the_last():
    assert ordered(("a", "b"), (1.0, 1.0), 1.0)[0] == "b"


def test_many_names_are_spread_by_weight():
    firsts = [ordered(("a", "b"), (1.0, 3.0), unit(f"req_{n}"))[0] for n in range(4000)]
    assert 0.72 < firsts.count("b") / 4000 < 0.78

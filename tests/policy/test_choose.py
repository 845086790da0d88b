"""Which target first: always the same for the same seed, and by weight or load over many."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.policy.choose import ordered, soonest, unit

WEIGHTS = st.lists(st.floats(0.1, 100), min_size=1, max_size=6)
AT = st.floats(0, 0.999999999)


@given(st.text())
def test_a_name_always_gets_the_same_number_in_range(name):
    assert unit(name) == unit(name)
    assert 0 <= unit(name) < 1


def test_half_a_character_is_a_name_like_any_other():
    assert 0 <= unit("\ud800") < 1


# --- By weight -----------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 100), max_size=6), st.floats(0, 1))
def test_each_item_stands_once_whatever_the_weights(weights, at):
    items = list(range(len(weights)))
    assert sorted(ordered(items, weights, at)) == items
    assert ordered(items, weights, at) == ordered(items, weights, at)


@given(WEIGHTS, AT, st.floats(0.1, 100))
def test_a_larger_weight_never_takes_the_first_place_away(weights, at, more):
    items = list(range(len(weights)))
    first = ordered(items, weights, at)[0]
    weights[first] += more
    assert ordered(items, weights, at)[0] == first


def test_places_fall_on_items_by_weight():
    items, weights = ("a", "b", "c"), (1.0, 2.0, 1.0)
    firsts = [ordered(items, weights, at)[0] for at in (0, 0.24, 0.26, 0.74, 0.76, 0.999)]
    assert firsts == ["a", "a", "b", "b", "c", "c"]


def test_the_second_place_is_drawn_by_weight_too():
    # So that the load of a target that fails is spread over the others.
    seconds = Counter(
        ordered("abc", (2.0, 3.0, 1.0), unit(f"req_{n}"))[1]
        for n in range(8000)
        if ordered("abc", (2.0, 3.0, 1.0), unit(f"req_{n}"))[0] == "a"
    )
    assert 0.71 < seconds["b"] / seconds.total() < 0.79


def test_items_without_weight_stand_last_in_their_order():
    assert ordered("abcd", (0.0, 1.0, 0.0, 1.0), 0.9) == ["d", "b", "a", "c"]
    assert ordered("ab", (0.0, 0.0), 0.9) == ["a", "b"]


def test_what_rounding_leaves_over_falls_on_the_last_that_has_a_weight():
    assert ordered("ab", (1.0, 1.0), 1.0) == ["b", "a"]
    assert ordered("abc", (1.0, 1.0, 0.0), 1.0) == ["b", "a", "c"]


def test_many_names_are_spread_by_weight():
    firsts = [ordered(("a", "b"), (1.0, 3.0), unit(f"req_{n}"))[0] for n in range(4000)]
    assert 0.72 < firsts.count("b") / 4000 < 0.78


# --- By load -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loads", "order"),
    [
        ((0.2, 0.1, 0.0), "bca"),  # the best of the two drawn, not of all
        ((0.1, 0.2, 0.0), "acb"),
        ((0.1, 0.1, 0.1), "abc"),
        ((0.3,), "a"),
        ((), ""),
    ],
)
def test_the_better_of_two_is_first_and_the_others_follow_by_load(loads, order):
    assert soonest("abc"[: len(loads)], loads) == list(order)


@given(st.lists(st.floats(0, 10), max_size=6))
def test_by_load_too_each_stands_once(loads):
    items = list(range(len(loads)))
    assert sorted(soonest(items, loads)) == items

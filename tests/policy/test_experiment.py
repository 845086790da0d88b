"""Versions: everybody keeps theirs, the shares are right, and few move when they change."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls import call_for
from gatemill.policy.experiment import Arm, Experiment, arm, who
from gatemill.wire import chat

UNITS = [f"user-{number}" for number in range(10_000)]


def split(*weights: float, salt: str = "m") -> Experiment:
    arms = tuple(Arm(f"v{n}", f"model-{n}", weight) for n, weight in enumerate(weights, 1))
    return Experiment(arms=arms, by="user", salt=salt)


def arms(experiment: Experiment) -> list[str]:
    return [arm(experiment, unit).name for unit in UNITS]


@given(st.text(max_size=20), st.lists(st.floats(0.01, 1000), min_size=1, max_size=5))
def test_everybody_has_one_arm_and_keeps_it(unit, weights):
    made = split(*weights)
    assert arm(made, unit) is arm(made, unit)
    assert arm(made, unit) in made.arms


def test_shares_are_as_configured():
    # Five standard deviations of 10,000 draws with 80 % are 200.
    counts = Counter(arms(split(80, 20)))
    assert 7_800 < counts["v1"] < 8_200
    assert counts.total() == 10_000


def test_three_arms_share_by_weight():
    counts = Counter(arms(split(1, 1, 2)))
    assert 4_750 < counts["v3"] < 5_250
    assert 2_280 < counts["v1"] < 2_720


def test_a_changed_weight_moves_only_the_share_that_has_to():
    before, after = arms(split(80, 20)), arms(split(60, 40))
    moved = Counter(pair for pair in zip(before, after, strict=True) if pair[0] != pair[1])
    assert list(moved) == [("v1", "v2")]
    assert 1_800 < moved["v1", "v2"] < 2_200


def test_a_new_arm_takes_from_the_others_and_moves_nobody_between_them():
    before, after = arms(split(50, 50)), arms(split(50, 50, 25))
    moved = {pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]}
    assert moved == {("v1", "v3"), ("v2", "v3")}


@given(st.text(max_size=10), st.lists(st.floats(0.1, 100), min_size=2, max_size=4), st.data())
def test_more_weight_never_loses_a_unit(unit, weights, data):
    first = arm(split(*weights), unit).name
    index = int(first[1:]) - 1
    weights[index] += data.draw(st.floats(0.1, 100))
    assert arm(split(*weights), unit).name == first


def test_another_salt_is_another_split():
    splits = [arms(split(1, 1, salt=salt)) for salt in ("a", "b", "c")]
    for one, other in pairwise(splits):
        same = sum(a == b for a, b in zip(one, other, strict=True))
        assert 4_700 < same < 5_300


@pytest.mark.parametrize(
    ("by", "user", "conversation", "unit"),
    [
        ("key", "u", "c", "k"),
        ("user", "u", "c", "u"),
        ("user", "", "c", "k"),
        ("conversation", "u", "c", "c"),
        ("conversation", "u", "", "u"),
        ("conversation", "", "", "k"),
    ],
)
def test_who_says_nothing_narrower_is_placed_by_the_next_wider(by, user, conversation, unit):
    call = call_for(chat, {"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
    call.user, call.conversation = user, conversation
    assert who(Experiment(arms=(), by=by, salt=""), "k", call) == unit

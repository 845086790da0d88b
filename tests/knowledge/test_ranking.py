"""Orders of passages: fused by place, thinned by likeness, scored from 0 to 1."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.knowledge import ranking

IDS = st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=8)


def test_first_everywhere_is_one_and_both_orders_count_alike():
    found = ranking.fused([["a", "b", "c"], ["a", "c", "b"]])
    assert found[0] == ("a", 1.0)
    assert dict(found)["b"] == dict(found)["c"] == pytest.approx((61 / 62 + 61 / 63) / 2)


def test_one_found_twice_goes_before_one_found_first_once():
    found = ranking.fused([["a", "x"], ["b", "x"]])
    assert [one for one, _ in found] == ["x", "a", "b"]
    assert dict(found)["a"] == pytest.approx(0.5)


def test_nothing_found_is_nothing():
    assert ranking.fused([]) == []
    assert ranking.fused([[], []]) == []
    assert ranking.diverse([], {}, {}, 3) == []


@given(st.lists(IDS, max_size=4))
def test_scores_fall_from_one_at_most_and_no_id_is_lost(orders: list[list[str]]):
    found = ranking.fused(orders)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 + 1e-9 for score in scores)
    assert {one for one, _ in found} == {one for order in orders for one in order}


@given(IDS)
def test_one_order_alone_stays_as_it_is(order: list[str]):
    assert [one for one, _ in ranking.fused([order])] == order


def unit(*values: float) -> np.ndarray:
    found = np.array(values, dtype=np.float32)
    return found / np.linalg.norm(found)


def test_a_near_double_waits_for_another_thought():
    vectors = {"a": unit(1, 0), "double": unit(1, 0.01), "other": unit(0, 1)}
    scores = {"a": 0.9, "double": 0.89, "other": 0.6}
    assert ranking.diverse(["a", "double", "other"], scores, vectors, 2) == ["a", "other"]
    assert ranking.diverse(["a", "double", "other"], scores, vectors, 3)[2] == "double"


def test_without_likeness_the_order_is_that_of_the_scores():
    vectors = {
        name: unit(*(float(at == place) for at in range(3))) for place, name in enumerate("abc")
    }
    assert ranking.diverse(list("abc"), {"a": 0.1, "b": 0.3, "c": 0.2}, vectors, 9) == [
        "b",
        "c",
        "a",
    ]


def test_an_id_without_a_vector_is_near_to_nothing():
    found = ranking.diverse(
        ["a", "b", "none"], {"a": 0.9, "b": 0.8, "none": 0.7}, {"a": unit(1, 0), "b": unit(1, 0)}, 3
    )
    assert found == ["a", "none", "b"]
    assert ranking.diverse(["x", "y"], {"x": 0.1, "y": 0.2}, {}, 2) == ["y", "x"]


def test_scores_of_a_model_stay_or_become_shares():
    assert ranking.shares([0.0, 0.5, 1.0]) == [0.0, 0.5, 1.0]
    low, middle, high = ranking.shares([-1000.0, 0.0, 3.0])
    assert (low, middle) == (0.0, 0.5)
    assert high == pytest.approx(1 / (1 + math.exp(-3)))

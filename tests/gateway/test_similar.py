"""Vectors near and far, scopes apart, bounds kept."""

from __future__ import annotations

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from gatemill.gateway.similar import ENTRIES_MAX, PRODUCTS_MAX, SCOPES_MAX, Similar

S, T = b"scope", b"other"


def test_the_nearest_of_those_that_are_near_enough_is_found():
    index = Similar()
    index.add(S, [1, 0, 0], b"east", 10)
    index.add(S, [1, 0.5, 0], b"almost", 10)
    index.add(S, [0, 0, 1], b"up", 10)
    near = index.find(S, [2, 0.1, 0], 0.9, 0)
    assert near is not None
    assert near.digest == b"east"
    assert math.isclose(near.score, 2 / math.hypot(2, 0.1), rel_tol=1e-6)
    assert index.find(S, [0, -1, 0], 0.9, 0) is None


def test_length_does_not_count_only_direction():
    index = Similar()
    index.add(S, [3, 4], b"a", 10)
    near = index.find(S, [0.003, 0.004], 0.999, 0)
    assert near is not None


def test_scopes_never_see_each_other():
    index = Similar()
    index.add(S, [1, 0], b"a", 10)
    assert index.find(T, [1, 0], 0.1, 0) is None


def test_what_ended_is_not_found():
    index = Similar()
    index.add(S, [1, 0], b"a", 10)
    assert index.find(S, [1, 0], 0.9, 9.9)
    assert index.find(S, [1, 0], 0.9, 10) is None


def test_vectors_without_direction_or_of_another_length_are_left_out():
    index = Similar()
    for odd in ([], [0.0, 0.0], [math.inf, 1], [math.nan, 1]):
        index.add(S, odd, b"odd", 10)
        assert index.find(S, odd, 0, 0) is None
    index.add(S, [1, 0, 0], b"three", 10)
    assert index.find(S, [1, 0], 0, 0) is None
    assert index.find(S, [0, 0, 0], 0, 0) is None


def test_a_scope_holds_no_more_than_its_share_and_the_oldest_goes():
    index = Similar()
    for at in range(ENTRIES_MAX + 1):
        angle = at / ENTRIES_MAX * math.pi / 2
        index.add(S, [math.cos(angle), math.sin(angle)], b"%d" % at, 10)
    near = index.find(S, [1, 0], 0, 0)
    assert near is not None
    assert near.digest == b"1"


def test_the_scope_that_was_not_asked_for_longest_goes():
    index = Similar()
    for at in range(SCOPES_MAX):
        index.add(b"%d" % at, [1, 0], b"a", 10)
    assert index.find(b"0", [1, 0], 0.9, 0)
    index.add(b"new", [1, 0], b"a", 10)
    assert index.evicted == 1
    assert index.find(b"0", [1, 0], 0.9, 0)
    assert index.find(b"1", [1, 0], 0.9, 0) is None


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 1 << 30))
def test_among_many_long_vectors_the_signs_lead_to_the_near_one(seed):
    rng = random.Random(seed)
    size = PRODUCTS_MAX // 32  # so that 32 of the 64 are compared
    index = Similar()
    vectors = [[rng.gauss(0, 1) for _ in range(size)] for _ in range(64)]
    for at, vector in enumerate(vectors):
        index.add(S, vector, b"%d" % at, 10)
    at = rng.randrange(64)
    near = index.find(S, [x + rng.gauss(0, 0.2) for x in vectors[at]], 0.95, 0)
    assert near is not None
    assert near.digest == b"%d" % at

"""Counts that go up and down."""

from __future__ import annotations

import math

from gatemill.policy.tally import Tally


def test_a_tally_counts_what_is_taken():
    tally = Tally(-math.inf, math.inf)
    assert [tally.take(1), tally.take(2)] == [1, 3]
    assert tally.used == 3


def test_a_tally_is_idle_when_it_is_empty_or_over():
    tally = Tally(0.0, 10.0)
    assert tally.is_idle(5.0)
    tally.take(1)
    assert not tally.is_idle(9.999)
    assert tally.is_idle(10.0)

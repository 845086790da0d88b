"""The gate: how many requests may be under way, and when none may start."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.errors import Draining, GatemillError, Overloaded
from gatemill.gateway.admit import Gate
from gatemill.observe.metrics import Meter


def test_the_gate_is_full_at_its_maximum_and_opens_again_when_one_leaves():
    meter = Meter()
    gate = Gate(2, meter)
    gate.enter()
    gate.enter()
    with pytest.raises(Overloaded) as caught:
        gate.enter()
    assert caught.value.retry_after_s == 1
    assert meter.in_flight == 2
    gate.leave()
    gate.enter()
    assert meter.in_flight == 2


def test_nobody_enters_while_draining_and_those_inside_can_leave():
    meter = Meter()
    gate = Gate(2, meter)
    gate.enter()
    gate.draining = True
    with pytest.raises(Draining) as caught:
        gate.enter()
    assert caught.value.retry_after_s == 1
    gate.leave()
    assert meter.in_flight == 0


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 4))
def test_the_count_is_those_inside_whatever_the_order(moves, in_flight_max):
    meter = Meter()
    gate = Gate(in_flight_max, meter)
    inside = 0
    for enters in moves:
        if enters:
            try:
                gate.enter()
            except GatemillError:
                assert inside == in_flight_max
            else:
                inside += 1
        elif inside:
            gate.leave()
            inside -= 1
        assert meter.in_flight == inside <= in_flight_max

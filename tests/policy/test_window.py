"""Sliding windows: never too much in any 60 seconds, never refused below the limit, exact waits."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gatemill.policy.window import RING, SLOT_S, SPAN_S, Window

NOW_S = 1_700_000_000.0


def _slot(unix_s):
    return int(unix_s / SLOT_S)


def _taken(window, unix_s, amount, most):
    """Whether `amount` was taken; the way an engine uses a window."""
    window.turn(_slot(unix_s))
    if window.used + amount > most:
        return False
    window.take(amount)
    return True


@pytest.mark.parametrize("most", [1, 2, 3, 7, 20, 60, 100, 1000, 100_000])
def test_a_client_at_95_percent_of_its_limit_is_never_refused_in_ten_minutes(most):
    window = Window(_slot(NOW_S))
    step_s = 60 / (0.95 * most)
    count = int(600 / step_s)
    refused = [n for n in range(count) if not _taken(window, NOW_S + n * step_s, 1, most)]
    assert refused == []


def test_a_second_minute_of_requests_does_not_fit_behind_the_first():
    window = Window(_slot(NOW_S))
    times = [NOW_S + n * 0.3 for n in range(200)]  # all within 60 s
    assert sum(_taken(window, at_s, 1, 100) for at_s in times) == 100


def test_the_edge_of_a_minute_lets_nothing_extra_through():
    start_s = 1_699_999_980.0  # a full minute
    window = Window(_slot(start_s))
    around = [start_s + 59.9] * 60 + [start_s + 60.1] * 60
    assert sum(_taken(window, at_s, 1, 60) for at_s in around) == 60


@pytest.mark.parametrize("offset_s", [0.0, 0.5, 1.999])
def test_what_was_taken_counts_for_60_to_62_seconds(offset_s):
    at_s = NOW_S + offset_s
    window = Window(_slot(at_s))
    window.take(1)
    assert window.used_at(_slot(at_s + SPAN_S)) == 1
    assert window.used_at(_slot(at_s + SPAN_S + SLOT_S)) == 0


def test_used_at_looks_ahead_without_turning():
    window = Window(10)
    window.take(3)
    window.turn(12)
    window.take(4)
    assert [window.used_at(slot) for slot in (11, 12, 40, 41, 42, 43, 999)] == [7, 7, 7, 4, 4, 0, 0]
    assert window.used == 7


def test_a_long_silence_empties_the_window():
    window = Window(10)
    window.take(3)
    window.turn(10 + RING)
    assert window.used == 0
    window.take(2)
    window.turn(100_000)
    assert window.used == 0


def test_slots_do_not_go_back():
    window = Window(10)
    with pytest.raises(AssertionError):
        window.turn(9)


def test_the_wait_ends_when_the_oldest_that_must_go_has_gone():
    window = Window(100)
    window.take(3)
    window.turn(105)
    window.take(4)
    now_s = 105 * SLOT_S + 0.5
    oldest_gone_s = (100 + RING) * SLOT_S - now_s
    newest_gone_s = (105 + RING) * SLOT_S - now_s
    assert window.wait_s(3, 10, now_s) == 0
    assert window.wait_s(4, 10, now_s) == oldest_gone_s
    assert window.wait_s(6, 10, now_s) == oldest_gone_s
    assert window.wait_s(7, 10, now_s) == newest_gone_s
    assert window.wait_s(10, 10, now_s) == newest_gone_s
    assert window.wait_s(11, 10, now_s) == math.inf


def test_a_settled_amount_replaces_what_was_taken_in_its_own_slot():
    window = Window(100)
    window.take(50)
    window.turn(101)
    window.take(7)
    window.settle(100, 50, 20)
    assert window.used == 27
    window.turn(100 + RING)
    assert window.used == 7


def test_what_is_too_old_is_not_settled_or_moved():
    window = Window(100)
    window.take(50)
    window.turn(100 + RING)
    window.take(5)
    window.settle(100, 50, 20)
    assert not window.move(100, 50)
    assert window.used == 5


def test_what_is_moved_counts_from_now_on():
    window = Window(100)
    window.take(50)
    window.turn(110)
    assert window.move(100, 50)
    assert window.used_at(100 + RING) == 50
    assert window.used_at(110 + RING) == 0


def test_a_window_is_idle_once_its_last_slot_is_too_old():
    window = Window(100)
    assert not window.is_idle((100 + RING) * SLOT_S - 0.001)
    assert window.is_idle((100 + RING) * SLOT_S)


class WindowMachine(RuleBasedStateMachine):
    """A window against a list of what happened when."""

    @initialize(most=st.integers(1, 30), at_s=st.floats(1.6e9, 1.8e9))
    def begin(self, most, at_s):
        self.most = most
        self.now_s = at_s
        self.window = Window(_slot(at_s))
        self.events = []  # [unix_s, amount]

    def _counting(self, at_s):
        return [each for each in self.events if _slot(at_s) - _slot(each[0]) < RING]

    @rule(seconds=st.one_of(st.floats(0, 3), st.floats(0, 70), st.just(200.0)))
    def wait(self, seconds):
        self.now_s += seconds

    @rule(amount=st.integers(1, 12))
    def take(self, amount):
        room = sum(size for _, size in self._counting(self.now_s)) + amount <= self.most
        assert _taken(self.window, self.now_s, amount, self.most) == room
        if room:
            self.events.append([self.now_s, amount])

    @rule(amount=st.integers(1, 12))
    def retry_at_the_stated_time(self, amount):
        self.window.turn(_slot(self.now_s))
        wait_s = self.window.wait_s(amount, self.most, self.now_s)
        if wait_s == math.inf:
            assert amount > self.most
            return
        if wait_s > 0.001:
            earlier = self.window.used_at(_slot(self.now_s + wait_s - 0.001))
            assert earlier + amount > self.most
        self.now_s += wait_s
        self.take(amount)
        assert self.events[-1] == [self.now_s, amount]

    @rule(which=st.integers(0, 5), share=st.floats(0, 1))
    def settle_lower(self, which, share):
        if which < len(self.events):
            event = self.events[-1 - which]
            actual = int(event[1] * share)
            self.window.turn(_slot(self.now_s))
            self.window.settle(_slot(event[0]), event[1], actual)
            event[1] = actual

    @invariant()
    def no_60_seconds_hold_more_than_the_limit(self):
        for at_s, _ in self.events[-8:]:
            inside = sum(size for when, size in self.events if at_s - SPAN_S < when <= at_s)
            assert inside <= self.most

    @invariant()
    def the_sum_is_that_of_the_events(self):
        slot = _slot(self.now_s)
        assert self.window.used_at(slot) == sum(size for _, size in self._counting(self.now_s))


TestWindowMachine = WindowMachine.TestCase
TestWindowMachine.settings = settings(stateful_step_count=40)

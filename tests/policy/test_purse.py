"""One budget's money in one window."""

from __future__ import annotations

from gatemill.core.limits import Kind, Rule
from gatemill.policy.purse import Purse


def _rule(most=1000, alert_at=(1.0, 0.8)):
    return Rule("budget:key:a:day", Kind.BUDGET, "key", "a", most, "day", alert_at=alert_at)


def _purse(spent=0):
    return Purse(0.0, 100.0, spent)


def test_what_is_held_counts_until_it_is_settled():
    purse = _purse(spent=10)
    assert purse.take(50) == 60
    purse.settle(_rule(), 50, 30)
    assert (purse.spent, purse.used) == (40, 40)


def test_each_share_is_reached_once():
    purse, rule = _purse(), _rule()
    assert purse.settle(rule, 0, 1)  # nobody has asked yet
    assert purse.reached(rule) == []
    assert not purse.settle(rule, 0, 798)
    assert purse.settle(rule, 0, 1)
    assert purse.reached(rule) == [0.8]
    assert not purse.settle(rule, 0, 199)
    assert purse.settle(rule, 0, 1)
    assert purse.reached(rule) == [1.0]
    assert not purse.settle(rule, 0, 10_000)
    assert purse.reached(rule) == []


def test_shares_passed_in_one_step_are_told_together_and_in_order():
    assert _purse(spent=5000).reached(_rule()) == [0.8, 1.0]


def test_a_lower_limit_is_noticed_at_the_next_settlement():
    purse = _purse()
    purse.settle(_rule(), 0, 500)
    assert purse.reached(_rule()) == []
    lower = _rule(most=600)
    assert purse.settle(lower, 0, 0)
    assert purse.reached(lower) == [0.8]


def test_a_purse_is_idle_when_its_window_is_over_and_nothing_is_held():
    rule, purse = _rule(), _purse()
    assert not purse.is_idle(99.0)
    assert purse.is_idle(100.0)
    purse.take(5)
    assert not purse.is_idle(100.0)
    purse.settle(rule, 5, 5)
    purse.before = _purse()
    assert purse.is_idle(100.0)
    purse.before.take(1)
    assert not purse.is_idle(100.0)

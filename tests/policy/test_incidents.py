"""What is wrong for long enough is found once, and what moves about a threshold is one finding."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.policy.incidents import (
    CLEAR_SHARE,
    RULES,
    SUBJECTS_MAX,
    Reading,
    Watch,
    quantile,
    runbook,
)

FOR_S = 60.0


def lag(value: float, subject: str = "") -> Reading:
    return Reading("EventLoopLag", subject, value, 1.0)


def test_what_is_wrong_for_long_enough_is_found():
    watch = Watch()
    assert watch.see([lag(1.0)], (), 0.0, FOR_S) == []
    assert watch.see([lag(3.0)], (), 59.0, FOR_S) == []
    (found,) = watch.see([lag(2.0)], (), 60.0, FOR_S)
    assert (found.name, found.severity) == ("EventLoopLag", "warning")
    assert (found.value, found.threshold, found.for_s) == (2.0, 1.0, 60.0)


def test_what_is_better_for_a_moment_begins_anew():
    watch = Watch()
    watch.see([lag(2.0)], (), 0.0, FOR_S)
    watch.see([lag(0.99)], (), 30.0, FOR_S)  # before it was found, the threshold is exact
    assert watch.see([lag(2.0)], (), 60.0, FOR_S) == []
    assert watch.see([lag(2.0)], (), 120.0, FOR_S)


def test_a_finding_goes_on_until_the_value_is_clearly_below():
    watch = Watch()
    assert watch.see([lag(2.0)], (), 0.0, 0.0)
    assert watch.see([lag(0.96)], (), 1.0, 0.0)
    assert watch.see([lag(0.94)], (), 2.0, 0.0) == []
    assert watch.see([lag(0.96)], (), 3.0, 0.0) == []


def test_subjects_are_told_apart_and_one_that_is_gone_is_over():
    watch = Watch()
    both = [lag(2.0, "a"), lag(2.0, "b")]
    assert {one.subject for one in watch.see(both, (), 0.0, 0.0)} == {"a", "b"}
    assert [one.subject for one in watch.see(both[:1], (), 1.0, 0.0)] == ["a"]
    assert watch.see(both, (), 2.0, 1.0)[0].for_s == 2.0


def test_what_cannot_be_read_stays_as_it_was():
    watch = Watch()
    watch.see([lag(2.0)], (), 0.0, FOR_S)
    assert watch.see([], {"EventLoopLag"}, 50.0, FOR_S) == []
    (found,) = watch.see([lag(2.0)], (), 70.0, FOR_S)
    assert found.for_s == 70.0


def test_no_rule_has_more_findings_than_it_may_and_the_worst_are_kept():
    watch = Watch()
    many = [lag(1.0 + n, f"s{n}") for n in range(SUBJECTS_MAX + 5)]
    found = watch.see(many, (), 0.0, 0.0)
    assert len(found) == SUBJECTS_MAX
    assert min(one.value for one in found) == 6.0
    assert watch.left_out == 5


@given(st.lists(st.tuples(st.floats(0.1, 40), st.floats(0, 3)), max_size=60))
def test_a_finding_is_open_exactly_while_its_history_says_so(steps):
    """Against the definition, written down another way: the run of values that keep it wrong."""
    watch, now_s, began_s, is_open = Watch(), 0.0, None, False
    for pause_s, value in steps:
        now_s += pause_s
        if value < (CLEAR_SHARE if is_open else 1.0):
            began_s, is_open = None, False
        else:
            began_s = now_s if began_s is None else began_s
            is_open = is_open or now_s - began_s >= FOR_S
        assert bool(watch.see([lag(value)], (), now_s, FOR_S)) == is_open


def test_every_rule_has_words_and_a_page():
    for name, rule in RULES.items():
        assert rule.severity in {"critical", "warning"}
        assert rule.summary.endswith(".")
        assert rule.remedy.endswith(".")
        assert runbook(name).startswith("docs/runbooks/")
    assert runbook("TtftP95") == "docs/runbooks/ttft-p95.md"


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [
        ([0, 0, 0], 0.95, None),
        ([100, 0, 0], 0.5, 0.5),
        ([50, 50, 0], 0.75, 1.5),
        ([0, 0, 10], 0.95, 2.0),  # beyond the last bound nothing is known
        ([0, 4, 0], 0.0, 1.0),
    ],
)
def test_a_quantile_lies_evenly_in_its_bucket(counts, share, value):
    assert quantile((1.0, 2.0), counts, share) == value


@given(st.lists(st.integers(0, 50), min_size=4, max_size=4), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise_and_stay_within_the_bounds(counts, one, other):
    bounds = (0.1, 1.0, 10.0)
    values = [quantile(bounds, counts, share) for share in sorted((one, other))]
    if sum(counts):
        assert 0 <= values[0] <= values[1] <= bounds[-1] or math.isclose(*values)
    else:
        assert values == [None, None]

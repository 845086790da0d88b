"""One target's breaker: opens on rate or count, one probe, growing pauses, a gentle return."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gatemill.core.clock import FakeClock
from gatemill.policy.breaker import (
    CLOSED,
    HALF_OPEN,
    IGNORED,
    OPEN,
    PROBING_S,
    RAMP_FROM,
    Breaker,
    BreakerSettings,
)

SIMPLE = BreakerSettings(window_s=60, attempts_min=1_000_000, failures=3, open_s=30)
QUICK = BreakerSettings(attempts_min=2, failure_share=1.0)


def fail(breaker: Breaker, now_s: float) -> bool:
    generation = breaker.begin(now_s)
    assert generation is not None
    return breaker.failure(generation, now_s)


def succeed(breaker: Breaker, now_s: float) -> bool:
    generation = breaker.begin(now_s)
    assert generation is not None
    return breaker.success(generation, now_s)


def opened(config: BreakerSettings = QUICK, at_s: float = 0.0) -> Breaker:
    breaker = Breaker(config)
    assert not fail(breaker, at_s)
    assert fail(breaker, at_s)
    return breaker


def test_the_simple_policy_is_three_failures_in_a_minute_and_a_probe_after_thirty_seconds():
    breaker = Breaker(SIMPLE)
    assert [fail(breaker, at_s) for at_s in (5, 40, 62)] == [False, False, True]
    assert breaker.begin(91.9) is None
    assert succeed(breaker, 92)
    assert breaker.state == CLOSED


def test_three_failures_in_more_than_a_minute_do_not_open_it():
    breaker = Breaker(SIMPLE)
    assert [fail(breaker, at_s) for at_s in (0, 1, 61)] == [False, False, False]
    assert fail(breaker, 61)


@given(
    at_s=st.lists(st.floats(0, 50), min_size=1, max_size=30),
    failures=st.integers(1, 5),
)
def test_the_count_is_exact_over_any_times(at_s: list[float], failures: int):
    config = BreakerSettings(window_s=10, attempts_min=1_000, failures=failures)
    breaker = Breaker(config)
    times: list[float] = []
    for now_s in sorted(at_s):
        times.append(now_s)
        expected = len([t for t in times if now_s - t <= 10]) >= failures
        assert fail(breaker, now_s) == expected
        if expected:
            return


def test_failures_every_other_time_open_it_at_half():
    breaker = Breaker(BreakerSettings())
    now_s = 0.0
    for number in range(1, 30):
        now_s += 0.1
        if number % 2:
            succeed(breaker, now_s)
        elif fail(breaker, now_s):
            break
    assert number == 10
    assert (breaker.attempts, breaker.failures) == (10, 5)


def test_it_does_not_open_below_the_share_nor_below_the_attempts():
    breaker = Breaker(BreakerSettings())
    for _ in range(9):
        assert not fail(breaker, 1)
    rare = Breaker(BreakerSettings())
    for _ in range(20):
        succeed(rare, 1)
        succeed(rare, 1)
        assert not fail(rare, 1)


def test_a_share_of_zero_needs_a_failure():
    breaker = Breaker(BreakerSettings(failure_share=0, attempts_min=1))
    assert not succeed(breaker, 0)
    assert breaker.state == CLOSED
    assert fail(breaker, 0)


def test_what_is_older_than_the_window_is_forgotten():
    breaker = Breaker(BreakerSettings(window_s=10, attempts_min=4))
    for now_s in (0, 1, 2):
        fail(breaker, now_s)
    assert not fail(breaker, 10.5)  # that at 0 is gone
    assert (breaker.attempts, breaker.failures) == (3, 3)
    succeed(breaker, 100)
    assert (breaker.attempts, breaker.failures) == (1, 0)


def test_only_one_probe_begins():
    breaker = opened()
    assert not breaker.is_ready(9.9)
    assert breaker.is_ready(10)
    assert breaker.begin(10) is not None
    assert [breaker.begin(10) for _ in range(500)] == [None] * 500
    assert breaker.state == HALF_OPEN


def test_each_failed_probe_doubles_the_time_up_to_the_longest():
    breaker = opened(BreakerSettings(attempts_min=2, open_s=10, open_max_s=50))
    now_s = 0.0
    waits = []
    for _ in range(5):
        waits.append(breaker.opens_s(now_s))
        now_s += waits[-1]
        assert fail(breaker, now_s)
    assert waits == [10, 20, 40, 50, 50]
    now_s += 50
    assert succeed(breaker, now_s)
    fail(breaker, now_s)
    fail(breaker, now_s)
    assert breaker.opens_s(now_s) == 10


def test_a_longest_time_below_the_first_is_the_first():
    assert opened(BreakerSettings(attempts_min=2, open_s=10, open_max_s=1)).opens_s(0) == 10


def test_a_thousand_failed_probes_are_no_overflow():
    breaker = opened(BreakerSettings(attempts_min=2, open_s=1, open_max_s=2))
    for number in range(1, 1100):
        assert fail(breaker, number * 2.0)
    assert breaker.opens_s(1099 * 2.0) == 2


def test_a_probe_that_says_nothing_lets_the_next_one_begin():
    breaker = opened()
    probe = breaker.begin(10)
    assert probe is not None
    breaker.neutral(probe)
    assert breaker.state == OPEN
    assert breaker.begin(10) is not None
    breaker.neutral(probe)  # once is enough
    assert breaker.state == HALF_OPEN


def test_saying_nothing_while_it_is_closed_changes_nothing():
    breaker = Breaker(QUICK)
    breaker.neutral(breaker.generation)
    assert (breaker.state, breaker.attempts) == (CLOSED, 0)


@pytest.mark.parametrize("late", ["success", "failure"])
def test_a_late_result_changes_nothing(late: str):
    breaker = Breaker(QUICK)
    old = breaker.begin(0)
    assert old is not None
    fail(breaker, 0)
    fail(breaker, 0)
    assert not getattr(breaker, late)(old, 1)
    assert breaker.state == OPEN
    assert succeed(breaker, 10)
    assert not getattr(breaker, late)(old, 11)
    assert not getattr(breaker, late)(IGNORED, 11)
    assert (breaker.state, breaker.attempts) == (CLOSED, 0)


def test_a_recovered_target_gets_its_share_back_slowly():
    breaker = opened()
    assert breaker.share(5) == 0
    assert breaker.share(10) == 1  # of which only the probe comes
    probe = breaker.begin(10)
    assert probe is not None
    assert breaker.share(10) == 0
    breaker.success(probe, 10)
    assert breaker.share(10) == pytest.approx(RAMP_FROM)
    assert breaker.share(15) == pytest.approx(0.55)
    assert breaker.share(20) == breaker.share(1e9) == 1


def test_a_target_that_never_failed_has_its_whole_share_and_so_it_is_without_a_ramp():
    assert Breaker(BreakerSettings()).share(0) == 1
    breaker = opened(BreakerSettings(attempts_min=2, ramp_s=0))
    succeed(breaker, 10)
    assert breaker.share(10) == 1


def test_the_time_until_an_attempt_may_begin_is_known():
    assert Breaker(QUICK).opens_s(0) == 0
    breaker = opened()
    assert (breaker.opens_s(4), breaker.opens_s(11)) == (6, 0)
    breaker.begin(11)
    assert breaker.opens_s(11) == PROBING_S


def test_new_settings_keep_the_state_and_empty_the_window():
    breaker = Breaker(QUICK)
    fail(breaker, 0)
    breaker.configure(SIMPLE)
    assert (breaker.attempts, breaker.failures) == (0, 0)
    is_open = opened()
    is_open.configure(SIMPLE)
    assert is_open.state == OPEN


@given(st.lists(st.sampled_from(["success", "neutral"]), max_size=100))
def test_leaving_callers_and_their_mistakes_never_open_it(results: list[str]):
    breaker = Breaker(BreakerSettings(attempts_min=1, failure_share=0, failures=1))
    for number, result in enumerate(results):
        generation = breaker.begin(number)
        assert generation is not None
        if result == "success":
            breaker.success(generation, number)
        else:
            breaker.neutral(generation)
    assert breaker.state == CLOSED


class Histories(RuleBasedStateMachine):
    """Attempts begin, overlap, and end late or never, while the clock goes on."""

    config = BreakerSettings(window_s=10, attempts_min=4, open_s=5, open_max_s=20, ramp_s=3)

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.breaker = Breaker(self.config)
        self.under_way: list[tuple[int, bool]] = []  # generation, probe
        self.changes = 0

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def begin(self) -> None:
        now_s = self.clock.monotonic_s()
        was, ready = self.breaker.state, self.breaker.is_ready(now_s)
        generation = self.breaker.begin(now_s)
        assert (generation is not None) == ready
        if generation is not None:
            self.under_way.append((generation, was != CLOSED))

    @rule()
    def force(self) -> None:
        self.under_way.append((IGNORED, False))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), result=st.sampled_from(["success", "failure", "neutral"]))
    def end(self, data: st.DataObject, result: str) -> None:
        at = data.draw(st.integers(0, len(self.under_way) - 1))
        generation, is_probe = self.under_way.pop(at)
        before, known = self.breaker.state, self.breaker.generation
        now_s = self.clock.monotonic_s()
        if result == "neutral":
            self.breaker.neutral(generation)
            changed = False
        else:
            changed = getattr(self.breaker, result)(generation, now_s)
        after = self.breaker.state
        if generation != known:
            assert after == before, "a late result changes nothing"
        if changed:
            assert after == (OPEN if result == "failure" else CLOSED) != before
        if before == HALF_OPEN and after != HALF_OPEN:
            assert is_probe
        if before == CLOSED and after == OPEN:
            assert result == "failure"
            assert self.breaker.failures >= 0.5 * self.breaker.attempts >= 2

    @invariant()
    def there_is_at_most_one_probe(self) -> None:
        probes = [g for g, probe in self.under_way if probe and g == self.breaker.generation]
        assert len(probes) == (self.breaker.state == HALF_OPEN)

    @invariant()
    def what_it_says_agrees(self) -> None:
        now_s = self.clock.monotonic_s()
        ready = self.breaker.is_ready(now_s)
        assert ready == (self.breaker.opens_s(now_s) == 0) == (self.breaker.share(now_s) > 0)
        assert 0 <= self.breaker.share(now_s) <= 1
        assert self.breaker.opens_s(now_s) <= self.config.open_max_s
        assert 0 <= self.breaker.failures <= self.breaker.attempts

    def teardown(self) -> None:
        """A target that is healthy again comes back, whatever was."""
        for generation, _ in self.under_way:
            self.breaker.neutral(generation)
        self.clock.advance(self.config.open_max_s)
        succeed(self.breaker, self.clock.monotonic_s())
        assert self.breaker.state == CLOSED


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=settings().max_examples * 2, stateful_step_count=40)

"""The engine in memory against a list of everything that ever happened.

The model knows no counters: it adds up events, so it cannot make the engine's mistakes.
"""

from __future__ import annotations

import asyncio
import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Struct

from gatemill.core.clock import FakeClock
from gatemill.core.limits import Budget, Hold, Kind, Limits, Refusal, Wanted, rules
from gatemill.kv.memory.limits import MemoryLimiter
from gatemill.policy.period import end_s, start_s

EVENING_S = 1_796_083_140.0  # Monday 2026-11-30 23:59, UTC: a day and a month are about to end


class Event(Struct):
    """One admitted request."""

    hold: Hold
    at_s: float  # when it was admitted, or last extended
    tokens: int
    cost: int
    open: bool = True
    spent: int = 0


def _counts(event_s, now_s):
    """As the decision says: a slot of two seconds counts until all of it is older than 60."""
    return math.floor(event_s / 2) > math.floor(now_s / 2) - 31


_most = st.none() | st.integers(1, 12)
_limits = st.builds(
    Limits,
    requests_per_minute=_most,
    requests_per_day=_most,
    tokens_per_minute=st.none() | st.integers(10, 60),
    concurrency=st.none() | st.integers(1, 4),
    budgets=st.lists(
        st.builds(
            Budget,
            st.sampled_from(["day", "month", "total"]),
            st.integers(0, 200),
            hard=st.booleans(),
            alert_at=st.just((0.5, 1.0)),
        ),
        max_size=3,
        unique_by=lambda each: each.period,
    ).map(tuple),
)


class LimiterMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self._run = self.loop.run_until_complete
        self.events: list[Event] = []

    @initialize(key=_limits, team=_limits)
    def begin(self, key, team):
        self.clock = FakeClock(EVENING_S)
        self.rules = rules("key", "k", key) + rules("team", "t", team)
        self.told = []
        self.overran = False
        self.limiter = MemoryLimiter(self.ledger, self.crossed, self.clock)

    async def ledger(self, budget, since_s, until_s):
        """What the ledger would hold: settled costs of the requests in the window."""
        return sum(each.spent for each in self.events if since_s <= each.hold.unix_s < until_s)

    def crossed(self, budget, start, spent_microusd, share):
        self.told.append((budget.name, start, share))
        assert spent_microusd >= round(share * budget.most)

    def _used(self, each, now_s):
        """What the model says that a rule has used."""
        kind, events = each.kind, self.events
        if kind is Kind.CONCURRENCY:
            return sum(event.open for event in events)
        if kind is Kind.REQUESTS:
            return sum(_counts(event.hold.unix_s, now_s) for event in events)
        if kind is Kind.TOKENS:
            return sum(event.tokens for event in events if _counts(event.at_s, now_s))
        period = each.period or "day"
        starts_s, ends_s = start_s(period, now_s), end_s(period, now_s)
        inside = [event for event in events if starts_s <= event.hold.unix_s < ends_s]
        if kind is Kind.REQUESTS_DAY:
            return len(inside)
        return sum(event.cost if event.open else event.spent for event in inside)

    def _usage(self):
        now_s = self.clock.unix_s()
        return [self._used(each, now_s) for each in self.rules]

    def _refusers(self, amounts):
        return [
            each
            for each, used in zip(self.rules, self._usage(), strict=True)
            if each.hard and amounts[each.kind] and used + amounts[each.kind] > each.most
        ]

    @rule(seconds=st.one_of(st.floats(0, 5), st.floats(0, 70), st.just(40_000.0)))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @rule(tokens=st.integers(0, 20), cost=st.integers(0, 60))
    def ask(self, tokens, cost):
        now_s = self.clock.unix_s()
        refusers = self._refusers((1, 1, 1, tokens, cost))
        wanted = Wanted(f"req_{len(self.events)}", self.rules, tokens, cost, now_s)
        seen, answer = self._run(self.limiter.peek(wanted)), self._run(self.limiter.admit(wanted))
        assert seen == answer
        if isinstance(answer, Refusal):
            assert answer.rule in refusers
            assert answer.retry_after_s > 0
            return
        assert refusers == []
        self.events.append(Event(answer, now_s, tokens, cost))
        counted = [each for each in self.rules if each.kind is not Kind.CONCURRENCY]
        assert [each.rule for each in answer.standings] == counted
        used = dict(zip(self.rules, self._usage(), strict=True))
        assert all(each.used == used[each.rule] for each in answer.standings)

    @rule(tokens=st.integers(0, 20))
    def ask_again_at_the_stated_time(self, tokens):
        wanted = Wanted(f"req_{len(self.events)}", self.rules, tokens, 0, self.clock.unix_s())
        seen = self._run(self.limiter.peek(wanted))
        if isinstance(seen, Hold) or seen.by_holds:
            return
        if seen.retry_after_s == math.inf:
            assert tokens > seen.rule.most
            return
        self.clock.advance(seen.retry_after_s)
        again = Wanted(wanted.hold_id, self.rules, tokens, 0, self.clock.unix_s())
        answer = self._run(self.limiter.peek(again))
        # Only requests under way, which no clock ends, may still be in the way.
        assert isinstance(answer, Hold) or answer.by_holds
        self.ask(tokens, 0)

    @precondition(lambda self: any(each.open for each in self.events))
    @rule(data=st.data(), tokens=st.integers(0, 10), cost=st.integers(0, 40))
    def extend(self, data, tokens, cost):
        event = data.draw(st.sampled_from([each for each in self.events if each.open]))
        now_s = self.clock.unix_s()
        before = self._usage()
        refusal = self._run(self.limiter.extend(event.hold, tokens, cost))
        if refusal is not None:
            assert refusal.rule.kind in (Kind.TOKENS, Kind.BUDGET)
            assert self._usage() == before
            return
        event.cost += cost
        if tokens:
            still = event.tokens if _counts(event.at_s, now_s) else 0
            event.tokens, event.at_s = still + tokens, now_s
        assert (event.hold.cost_microusd, event.hold.tokens >= event.tokens) == (event.cost, True)

    @precondition(lambda self: any(each.open for each in self.events))
    @rule(data=st.data(), part=st.floats(0, 1.0), over=st.sampled_from([0, 0, 0, 0, 7]))
    def settle(self, data, part, over):
        event = data.draw(st.sampled_from([each for each in self.events if each.open]))
        self._settle(event, int(event.tokens * part) + over, int(event.cost * part) + over)

    def _settle(self, event, tokens, cost):
        self.overran |= tokens > event.tokens or cost > event.cost
        event.open, event.tokens, event.spent = False, tokens, cost
        self.limiter.settle(event.hold, tokens, cost)
        self.limiter.settle(event.hold, 99, 99)  # a second time is ignored

    @invariant()
    def levels_are_those_of_the_model(self):
        levels = self._run(self.limiter.levels(self.rules, self.clock.unix_s()))
        assert [each.used + each.held for each in levels] == self._usage()

    @invariant()
    def no_60_seconds_and_no_budget_hold_more_than_they_may(self):
        for each, used in zip(self.rules, self._usage(), strict=True):
            if each.kind is Kind.REQUESTS:
                times = [event.hold.unix_s for event in self.events]
                assert all(
                    sum(at_s - 60 < other <= at_s for other in times) <= each.most for at_s in times
                )
            elif each.hard and not self.overran:
                assert used <= each.most

    @invariant()
    def nobody_is_told_twice(self):
        assert len(self.told) == len(set(self.told))

    def teardown(self):
        for event in self.events:
            if event.open:
                self._settle(event, event.tokens, event.cost)
        if self.events:
            levels = self._run(self.limiter.levels(self.rules, self.clock.unix_s()))
            assert all(each.held == 0 for each in levels)
            self.levels_are_those_of_the_model()
        self.loop.close()


TestLimiterMachine = LimiterMachine.TestCase
TestLimiterMachine.settings = settings(max_examples=80, stateful_step_count=40)

"""What the contract of limits is written with: a ledger that is told what to say, rules, and an engine.

Rule: nothing here knows which engine it is.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contract.limiter_engines import ENGINES, written
from gatemill.core.clock import FakeClock
from gatemill.core.limits import Hold, Kind, Refusal, Rule, Wanted

NOON_S = 1_795_608_000.0  # 2026-11-25 12:00 UTC, a Wednesday
DAY_S = 86_400.0
_NAMES = itertools.count()


class Ledger:
    """What the ledger would say, and what it was asked and told."""

    def __init__(self):
        self.spent_microusd = {}  # by (rule name, start)
        self.asked = []
        self.told = []
        self.error = None
        self.question = asyncio.Event()  # somebody has asked
        self.answers = asyncio.Event()  # may be given
        self.answers.set()

    async def spent(self, rule, start_s, end_s):
        self.asked.append((rule.name, start_s, end_s))
        self.question.set()
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return self.spent_microusd.get((rule.name, start_s), 0)

    def crossed(self, rule, start_s, spent_microusd, share):
        self.told.append((rule.name, start_s, spent_microusd, share))


class Bench:
    """One engine under test."""

    def __init__(self, limiter, clock, ledger):
        self.limiter = limiter
        self.clock = clock
        self.ledger = ledger

    def wanted(self, rules, tokens=0, cost=0, unix_s=None):
        at_s = self.clock.unix_s() if unix_s is None else unix_s
        return Wanted(f"req_{next(_NAMES)}", tuple(rules), tokens, cost, at_s)

    async def admit(self, rules, tokens=0, cost=0, unix_s=None):
        return await self.limiter.admit(self.wanted(rules, tokens, cost, unix_s))

    async def hold(self, rules, tokens=0, cost=0, unix_s=None):
        answer = await self.admit(rules, tokens, cost, unix_s)
        assert isinstance(answer, Hold), answer
        return answer

    async def refusal(self, rules, tokens=0, cost=0, unix_s=None):
        answer = await self.admit(rules, tokens, cost, unix_s)
        assert isinstance(answer, Refusal), answer
        return answer

    async def settle(self, hold, tokens=0, cost=0):
        self.limiter.settle(hold, tokens, cost)
        await written(self.limiter)

    async def level(self, rule, unix_s=None):
        at_s = self.clock.unix_s() if unix_s is None else unix_s
        (level,) = await self.limiter.levels([rule], at_s)
        return level

    async def sums(self, rules):
        """Used and held together, which all engines agree on at any moment."""
        found = await self.limiter.levels(rules, self.clock.unix_s())
        return [each.used + each.held for each in found]


@asynccontextmanager
async def opened(engine: str) -> AsyncIterator[Bench]:
    clock, ledger = FakeClock(NOON_S), Ledger()
    async with ENGINES[engine](clock, ledger.spent, ledger.crossed) as limiter:
        yield Bench(limiter, clock, ledger)


def requests(most, scope_id="a"):
    return Rule(f"requests:key:{scope_id}", Kind.REQUESTS, "key", scope_id, most)


def per_day(most):
    return Rule("requests_day:key:a", Kind.REQUESTS_DAY, "key", "a", most)


def tokens_rule(most):
    return Rule("tokens:key:a", Kind.TOKENS, "key", "a", most)


def concurrency(most):
    return Rule("concurrency:key:a", Kind.CONCURRENCY, "key", "a", most)


def budget(most, period="day", scope="key", *, hard=True, alert_at=()):
    return Rule(f"budget:{scope}:a:{period}", Kind.BUDGET, scope, "a", most, period, hard, alert_at)

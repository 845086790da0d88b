"""Every engine counts the same money in the same windows. Time moves by hand."""

from __future__ import annotations

import asyncio
import math

import pytest

from contract.limiter_bench import (
    DAY_S,
    NOON_S,
    budget,
    concurrency,
    opened,
    per_day,
    requests,
    tokens_rule,
)
from contract.limiter_engines import ENGINES, written
from gatemill.core.errors import LedgerUnavailable
from gatemill.core.limits import Hold, Refusal


@pytest.fixture(params=ENGINES)
async def bench(request):
    async with opened(request.param) as found:
        yield found


async def test_a_budget_begins_with_what_the_ledger_says_and_asks_once(bench):
    rule = budget(1000)
    bench.ledger.spent_microusd[rule.name, NOON_S - 43_200] = 900
    await bench.hold([rule], cost=60)
    refusal = await bench.refusal([rule], cost=60)
    assert refusal.by_holds
    assert bench.ledger.asked == [(rule.name, NOON_S - 43_200, NOON_S + 43_200)]
    level = await bench.level(rule)
    assert (level.used, level.held) == (900, 60)


async def test_many_first_requests_share_one_question(bench):
    rule = budget(100)
    bench.ledger.answers.clear()
    asking = [asyncio.ensure_future(bench.admit([rule], cost=10)) for _ in range(20)]
    await bench.ledger.question.wait()
    bench.ledger.answers.set()
    answers = await asyncio.gather(*asking)
    assert sum(isinstance(each, Hold) for each in answers) == 10
    assert len(bench.ledger.asked) == 1


async def test_a_spent_budget_is_refused_until_its_window_ends(bench):
    rule = budget(100)
    await bench.settle(await bench.hold([rule], cost=100), cost=100)
    refusal = await bench.refusal([rule], cost=1)
    assert (refusal.by_holds, refusal.retry_after_s) == (False, pytest.approx(43_200))
    bench.clock.advance(43_200)
    await bench.hold([rule], cost=100)


@pytest.mark.parametrize(
    ("period", "starts_s", "ends_s"),
    [
        ("day", NOON_S - 43_200, NOON_S + 43_200),
        ("week", NOON_S - 43_200 - 2 * DAY_S, NOON_S + 43_200 + 4 * DAY_S),
        ("month", NOON_S - 43_200 - 24 * DAY_S, NOON_S + 43_200 + 5 * DAY_S),
        ("total", 0.0, math.inf),
    ],
)
async def test_a_budget_covers_its_calendar_period(bench, period, starts_s, ends_s):
    rule = budget(100, period)
    hold = await bench.hold([rule], cost=100)
    assert bench.ledger.asked == [(rule.name, starts_s, ends_s)]
    assert hold.standings[0].reset_s == pytest.approx(ends_s - NOON_S)
    await bench.settle(hold, cost=100)
    assert (await bench.refusal([rule], cost=1)).retry_after_s == pytest.approx(ends_s - NOON_S)
    level = await bench.level(rule)
    assert (level.starts_s, level.ends_s) == (starts_s, 0.0 if ends_s == math.inf else ends_s)


async def test_what_is_not_used_comes_back(bench):
    rule = budget(100)
    hold = await bench.hold([rule], cost=90)
    await bench.settle(hold, cost=30)
    level = await bench.level(rule)
    assert (level.used, level.held) == (30, 0)
    await bench.hold([rule], cost=70)


async def test_a_soft_budget_counts_and_never_refuses(bench):
    rule = budget(100, hard=False, alert_at=(0.5, 1.0))
    await bench.settle(await bench.hold([rule], cost=500), cost=60)
    await bench.settle(await bench.hold([rule], cost=500), cost=500)
    start_s = NOON_S - 43_200
    assert bench.ledger.told == [(rule.name, start_s, 60, 0.5), (rule.name, start_s, 560, 1.0)]
    assert (await bench.level(rule)).used == 560


async def test_each_share_is_told_once_in_each_window(bench):
    rule = budget(1000, alert_at=(0.8, 1.0))
    for _ in range(4):
        await bench.settle(await bench.hold([rule], cost=250), cost=250)
    start_s = NOON_S - 43_200
    first_day = [(rule.name, start_s, 1000, 0.8), (rule.name, start_s, 1000, 1.0)]
    assert bench.ledger.told == first_day
    bench.clock.advance(DAY_S)
    await bench.settle(await bench.hold([rule], cost=800), cost=800)
    assert bench.ledger.told == [*first_day, (rule.name, start_s + DAY_S, 800, 0.8)]


async def test_money_goes_to_the_window_in_which_the_request_arrived(bench):
    rule = budget(100)
    hold = await bench.hold([rule], cost=80)
    bench.clock.advance(DAY_S)
    bench.ledger.spent_microusd[rule.name, NOON_S + 43_200] = 5
    await bench.hold([rule], cost=20)
    await bench.settle(hold, cost=70)
    level = await bench.level(rule)
    assert (level.used, level.held) == (5, 20)
    before = await bench.level(rule, NOON_S)
    assert (before.used, before.held) == (70, 0)


async def test_a_request_that_arrived_before_midnight_is_charged_there(bench):
    rules = [per_day(2), budget(100)]
    bench.clock.advance(43_200.5)
    await bench.hold(rules, cost=100)
    late = await bench.hold(rules, cost=60, unix_s=NOON_S + 43_199)
    assert [each.used for each in late.standings] == [1, 60]
    assert isinstance(await bench.admit(rules, cost=60, unix_s=NOON_S + 43_199), Refusal)
    assert await bench.sums(rules) == [1, 100]


async def test_when_the_ledger_cannot_say_the_error_travels_and_nothing_is_taken(bench):
    rules = [requests(9), concurrency(9), tokens_rule(9), budget(100)]
    bench.ledger.error = LedgerUnavailable("The database is away.")
    with pytest.raises(LedgerUnavailable):
        await bench.admit(rules, tokens=5, cost=5)
    with pytest.raises(LedgerUnavailable):
        await bench.limiter.peek(bench.wanted(rules, tokens=5, cost=5))
    bench.ledger.error = None
    assert await bench.sums(rules) == [0, 0, 0, 0]
    await bench.hold(rules, tokens=5, cost=5)


async def test_of_500_callers_at_once_exactly_as_many_pass_as_the_budget_pays(bench):
    rules = [concurrency(500), requests(1000), budget(100 * 250), budget(10**9, scope="team")]
    bench.ledger.spent_microusd[rules[2].name, NOON_S - 43_200] = 0

    async def call():
        answer = await bench.admit(rules, cost=250)
        await asyncio.sleep(0)
        if isinstance(answer, Hold):
            bench.limiter.settle(answer, 0, 250)
        return isinstance(answer, Hold)

    assert sum(await asyncio.gather(*(call() for _ in range(500)))) == 100
    await written(bench.limiter)
    levels = await bench.limiter.levels(rules, bench.clock.unix_s())
    standing = [(each.used, each.held) for each in levels]
    assert standing == [(0, 0), (100, 0), (25_000, 0), (25_000, 0)]

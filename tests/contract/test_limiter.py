"""Every engine of limits gives the same answers. Time moves by hand."""

from __future__ import annotations

import math

import pytest

from contract.limiter_bench import (
    NOON_S,
    budget,
    concurrency,
    opened,
    per_day,
    requests,
    tokens_rule,
)
from contract.limiter_engines import ENGINES
from gatemill.core.limits import Hold, Refusal


@pytest.fixture(params=ENGINES)
async def bench(request):
    async with opened(request.param) as found:
        yield found


async def test_without_rules_everything_is_admitted(bench):
    hold = await bench.hold([], tokens=10, cost=10)
    assert (hold.tokens, hold.cost_microusd, hold.standings) == (10, 10, ())
    assert await bench.limiter.extend(hold, 5, 5) is None
    assert (hold.tokens, hold.cost_microusd) == (15, 15)
    await bench.settle(hold, 3, 3)
    assert bench.ledger.asked == []


async def test_exactly_the_limit_passes_in_a_minute(bench):
    rule = requests(100)
    answers = []
    for _ in range(150):
        answers.append(await bench.admit([rule]))
        bench.clock.advance(0.3)  # 45 s in all: a bucket of 100 that refills would let 150 through
    assert sum(isinstance(each, Hold) for each in answers) == 100


async def test_the_edge_of_a_minute_lets_nothing_extra_through(bench):
    rule = requests(20)
    bench.clock.advance(59.9)  # noon is the beginning of a minute
    first = [await bench.admit([rule]) for _ in range(20)]
    bench.clock.advance(0.2)
    second = [await bench.admit([rule]) for _ in range(20)]
    assert all(isinstance(each, Hold) for each in first)
    assert all(isinstance(each, Refusal) for each in second)


@pytest.mark.parametrize("most", [20, 60])
async def test_a_client_at_95_percent_of_its_limit_is_never_refused(bench, most):
    rule, step_s = requests(most), 60 / (0.95 * most)
    for _ in range(int(600 / step_s)):
        await bench.hold([rule])
        bench.clock.advance(step_s)


async def test_a_request_passes_at_the_stated_time_and_not_before(bench):
    rule = requests(5)
    for _ in range(5):
        await bench.hold([rule])
        bench.clock.advance(3.7)
    refusal = await bench.refusal([rule])
    assert 0 < refusal.retry_after_s <= 62
    bench.clock.advance(refusal.retry_after_s - 0.01)
    again = await bench.refusal([rule])
    assert again.retry_after_s == pytest.approx(0.01, abs=1e-6)
    bench.clock.advance(again.retry_after_s)
    await bench.hold([rule])


async def test_a_failed_request_stays_counted_and_its_tokens_come_back(bench):
    rules = [requests(2), per_day(9), tokens_rule(100)]
    hold = await bench.hold(rules, tokens=100)
    assert await bench.sums(rules) == [1, 1, 100]
    await bench.settle(hold)
    assert await bench.sums(rules) == [1, 1, 0]


async def test_tokens_are_corrected_in_the_slot_of_admission(bench):
    rule = tokens_rule(100)
    hold = await bench.hold([rule], tokens=80)
    bench.clock.advance(40)
    assert (await bench.refusal([rule], tokens=30)).retry_after_s == pytest.approx(22)
    await bench.settle(hold, tokens=70)
    await bench.hold([rule], tokens=30)
    assert await bench.sums([rule]) == [100]
    bench.clock.advance(22)  # what was admitted first is too old now
    assert await bench.sums([rule]) == [30]


async def test_tokens_settled_too_late_change_nothing(bench):
    rule = tokens_rule(100)
    hold = await bench.hold([rule], tokens=80)
    bench.clock.advance(70)
    await bench.hold([rule], tokens=50)
    await bench.settle(hold, tokens=10)
    assert await bench.sums([rule]) == [50]


async def test_more_tokens_than_reserved_count_beyond_the_limit(bench):
    rule = tokens_rule(100)
    hold = await bench.hold([rule], tokens=50)
    await bench.settle(hold, tokens=130)
    assert await bench.sums([rule]) == [130]
    refusal = await bench.refusal([rule], tokens=1)
    bench.clock.advance(refusal.retry_after_s)
    await bench.hold([rule], tokens=1)


async def test_more_tokens_than_the_limit_can_never_pass(bench):
    refusal = await bench.refusal([tokens_rule(100)], tokens=101)
    assert refusal.retry_after_s == math.inf


async def test_what_asks_for_nothing_is_not_refused_by_what_is_used_up(bench):
    rules = [tokens_rule(100), budget(100)]
    hold = await bench.hold(rules, tokens=100, cost=100)
    await bench.settle(hold, tokens=200, cost=200)
    assert isinstance(await bench.limiter.peek(bench.wanted(rules)), Hold)
    hold = await bench.hold(rules)
    assert (await bench.refusal(rules, cost=1)).rule == rules[1]
    assert (await bench.limiter.extend(hold, 0, 1)).rule == rules[1]


async def test_concurrency_counts_requests_under_way(bench):
    rule = concurrency(2)
    first, _ = await bench.hold([rule]), await bench.hold([rule])
    refusal = await bench.refusal([rule])
    assert (refusal.by_holds, refusal.retry_after_s) == (True, 1.0)
    level = await bench.level(rule)
    assert (level.used, level.held) == (0, 2)
    await bench.settle(first)
    await bench.hold([rule])


async def test_requests_per_day_begin_anew_at_midnight(bench):
    rule = per_day(2)
    await bench.hold([rule])
    bench.clock.advance(3600)
    hold = await bench.hold([rule])
    (standing,) = hold.standings
    assert (standing.used, standing.reset_s, standing.remaining) == (2, 11 * 3600, 0)
    assert (await bench.refusal([rule])).retry_after_s == pytest.approx(11 * 3600)
    bench.clock.advance(11 * 3600)
    await bench.hold([rule])
    level = await bench.level(rule)
    assert (level.used, level.starts_s, level.ends_s) == (1, NOON_S + 43_200, NOON_S + 129_600)


# --- All or nothing --------------------------------------------------------------------------


async def test_a_refused_request_takes_nothing_from_any_rule(bench):
    free = [concurrency(9), requests(9), per_day(9), tokens_rule(90), budget(90), requests(9, "b")]
    full = requests(1, "full")
    await bench.hold([full])
    for place in range(len(free) + 1):
        await bench.refusal([*free[:place], full, *free[place:]], tokens=5, cost=5)
    assert await bench.sums(free) == [0] * len(free)


async def test_the_longest_wait_is_the_answer(bench):
    rules = [concurrency(1), requests(1), per_day(1), tokens_rule(10), budget(10)]
    first = await bench.hold(rules, tokens=10, cost=10)
    assert (await bench.refusal(rules, tokens=1, cost=1)).rule == rules[2]
    without_day = [rules[0], rules[1], rules[4]]
    assert (await bench.refusal(without_day, cost=1)).rule == rules[1]
    # Equal waits: the order of the kinds decides, not that of the rules.
    for pair in ([rules[4], rules[0]], [rules[0], rules[4]]):
        assert (await bench.refusal(pair, cost=1)).rule == rules[0]
    await bench.settle(first, tokens=10, cost=10)
    same_wait = await bench.refusal([rules[4], rules[2]], cost=1)
    assert (same_wait.rule, same_wait.retry_after_s) == (rules[2], pytest.approx(43_200))


async def test_standings_name_every_rule_but_concurrency_after_the_take(bench):
    rules = [concurrency(9), requests(9), tokens_rule(90), budget(900)]
    await bench.hold(rules, tokens=20, cost=300)
    hold = await bench.hold(rules, tokens=30, cost=100)
    assert [(each.rule, each.used) for each in hold.standings] == [
        (rules[1], 2),
        (rules[2], 50),
        (rules[3], 400),
    ]
    assert [each.remaining for each in hold.standings] == [7, 40, 500]
    assert [each.reset_s for each in hold.standings] == pytest.approx([62, 62, 43_200])


async def test_peek_answers_as_admit_does_and_changes_nothing(bench):
    rules = [concurrency(2), requests(2), per_day(9), tokens_rule(50), budget(500)]
    for _ in range(2):
        before = await bench.sums(rules)
        wanted = bench.wanted(rules, 20, 100)
        seen = await bench.limiter.peek(wanted)
        assert await bench.sums(rules) == before
        assert seen == await bench.limiter.admit(wanted)
    wanted = bench.wanted(rules, 20, 100)
    seen = await bench.limiter.peek(wanted)
    assert isinstance(seen, Refusal)
    assert seen == await bench.limiter.admit(wanted)


# --- Extending and settling ------------------------------------------------------------------


async def test_a_retry_takes_more_or_nothing(bench):
    rules = [concurrency(1), requests(1), per_day(1), tokens_rule(100), budget(100)]
    hold = await bench.hold(rules, tokens=60, cost=40)
    assert await bench.limiter.extend(hold, 10, 40) is None
    assert (hold.tokens, hold.cost_microusd) == (70, 80)
    assert await bench.sums(rules) == [1, 1, 1, 70, 80]
    money = await bench.limiter.extend(hold, 10, 40)
    assert (money.rule, money.by_holds) == (rules[4], False)
    tokens = await bench.limiter.extend(hold, 40, 0)
    assert tokens.rule == rules[3]
    assert (hold.tokens, hold.cost_microusd) == (70, 80)
    assert await bench.sums(rules) == [1, 1, 1, 70, 80]
    await bench.settle(hold, tokens=65, cost=70)
    assert await bench.sums(rules) == [0, 1, 1, 65, 70]


async def test_a_retry_is_held_up_by_the_holds_of_others_only(bench):
    rule = budget(100)
    other, hold = await bench.hold([rule], cost=50), await bench.hold([rule], cost=40)
    refusal = await bench.limiter.extend(hold, 0, 40)
    assert refusal.by_holds
    await bench.settle(other, cost=0)
    assert await bench.limiter.extend(hold, 0, 40) is None


async def test_a_soft_budget_lets_every_retry_through(bench):
    rule = budget(100, hard=False)
    hold = await bench.hold([rule], cost=90)
    assert await bench.limiter.extend(hold, 0, 90) is None
    assert await bench.sums([rule]) == [180]


async def test_tokens_of_a_retry_count_from_the_retry_on(bench):
    rule = tokens_rule(100)
    hold = await bench.hold([rule], tokens=40)
    bench.clock.advance(50)
    assert await bench.limiter.extend(hold, 20, 0) is None
    bench.clock.advance(20)
    assert await bench.sums([rule]) == [60]
    await bench.settle(hold, tokens=45)
    assert await bench.sums([rule]) == [45]


async def test_a_second_settlement_changes_nothing(bench):
    rules = [concurrency(3), tokens_rule(100), budget(100)]
    await bench.hold(rules, tokens=10, cost=10)
    hold = await bench.hold(rules, tokens=10, cost=10)
    await bench.settle(hold, tokens=5, cost=5)
    await bench.settle(hold, tokens=5, cost=5)
    assert await bench.sums(rules) == [1, 15, 15]


async def test_a_lower_limit_holds_from_the_next_request_on(bench):
    await bench.hold([requests(9)])
    await bench.hold([requests(9)])
    assert (await bench.refusal([requests(2)])).rule.most == 2
    await bench.hold([requests(3)])


async def test_levels_come_in_the_order_of_their_rules_also_unused(bench):
    rules = [budget(5), requests(5), concurrency(5), per_day(5), tokens_rule(5)]
    bench.ledger.spent_microusd[rules[0].name, NOON_S - 43_200] = 3
    levels = await bench.limiter.levels(rules, bench.clock.unix_s())
    assert [(each.rule, each.used, each.held) for each in levels] == [
        (rule, 3 if rule is rules[0] else 0, 0) for rule in rules
    ]

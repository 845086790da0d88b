"""Limits and budgets on the way of a request: all or nothing, the worst case first, the truth afterwards."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from msgspec.structs import force_setattr, replace

from gatemill.core.call import Key
from gatemill.core.errors import (
    BudgetSpent,
    GatemillError,
    InvalidValue,
    LimitsUnavailable,
    PriceUnknown,
    RateLimited,
    UpstreamTimeout,
)
from gatemill.core.limits import Budget, Kind, Limits, Refusal, rules
from gatemill.core.ports import Incoming
from gatemill.gateway.standing import headers
from gateway_parts import PRICE, SECRET, KeyTable, Stage, asking, route
from playbook import HELLO, Scene, Scripted, event, target

# 5 prompt tokens at 1 and 7 answer tokens at 2 micro-dollars.
USED = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
COST = 5 + 14


def answer(usage: dict[str, int]) -> Incoming:
    return Incoming(200, {}, msgspec.json.encode({"choices": [], "usage": usage}))


def a_key(limits: Limits, **fields: object) -> dict[str, Key]:
    return {SECRET.decode(): Key(id="k1", name="k", limits=limits, **fields)}


def stage_with(limits: Limits, *answers: object, price: object = PRICE, **fields: object) -> Stage:
    made = replace(target(*answers), price=price)
    return Stage(route(made, **fields), **a_key(limits))


def day(limit_microusd: int, *, hard: bool = True) -> Limits:
    return Limits(budgets=(Budget("day", limit_microusd, hard),))


async def level(stage: Stage, limits: Limits, scope: str = "key") -> tuple[int, int]:
    (found,) = await stage.limiter.levels(rules(scope, "k1", limits), stage.clock.unix_s())
    return found.used, found.held


async def test_who_has_no_limits_holds_nothing():
    stage = stage_with(Limits(), answer(USED))
    reply = await stage.ask()
    assert reply.call.hold is None
    assert reply.call.output_cap is None


async def test_a_request_over_the_limit_consumes_nothing_and_says_when_to_return():
    limits = Limits(requests_per_minute=1)
    stage = stage_with(limits, answer(USED), answer(USED))
    await stage.ask()
    with pytest.raises(RateLimited, match="1 requests per minute") as caught:
        await stage.ask()
    assert 58 <= caught.value.retry_after_s <= 62
    assert b"x-ratelimit-remaining-requests: 0" in caught.value.headers
    assert await level(stage, limits) == (1, 0)
    assert len(stage.rows) == 1
    assert stage.meter.in_flight == 0
    stage.clock.advance(caught.value.retry_after_s)
    await stage.ask()


async def test_a_budget_holds_the_worst_case_and_is_charged_what_it_cost():
    limits = day(1_000_000)
    stage = stage_with(limits, answer(USED))
    body = asking(max_tokens=7)
    reply = await stage.ask(body=body)
    worst = len(body) * 3 + 7 * 4  # the dearest rate of each side
    assert reply.call.hold.cost_microusd == worst
    assert stage.rows[0].cost_microusd == COST
    assert await level(stage, limits) == (COST, 0)


async def test_a_spent_hard_budget_refuses_without_asking_to_retry():
    stage = stage_with(day(100), answer(USED))
    with pytest.raises(BudgetSpent, match=r"\$0.0001 per day") as caught:
        await stage.ask(body=asking(max_tokens=50))
    assert caught.value.retry is False
    assert stage.rows == []


async def test_a_soft_budget_lets_pass_and_tells():
    limits = day(10, hard=False)
    stage = stage_with(limits, answer(USED), answer(USED))
    await stage.ask(body=asking(max_tokens=50))
    await stage.ask(body=asking(max_tokens=50))
    assert await level(stage, limits) == (2 * COST, 0)
    assert [share for _, _, _, share in stage.crossed] == [0.8, 1.0]


async def test_a_hard_budget_bounds_an_answer_that_nobody_bounded():
    made = target(answer(USED))
    stage = Stage(route(replace(made, price=PRICE)), **a_key(day(1_000_000)))
    reply = await stage.ask()
    assert reply.call.output_cap == 100
    (sent,) = made.transport.asked
    assert b'"max_completion_tokens":100' in sent.body


async def test_an_unbounded_answer_stays_so_under_a_soft_budget():
    made = target(answer(USED))
    stage = Stage(route(replace(made, price=PRICE)), **a_key(day(1_000_000, hard=False)))
    await stage.ask()
    assert b"max_completion_tokens" not in made.transport.asked[0].body


async def test_a_model_without_a_price_is_refused_under_a_hard_budget():
    stage = stage_with(day(1_000_000), answer(USED), price=None)
    with pytest.raises(PriceUnknown, match="prices"):
        await stage.ask()


async def test_more_tokens_than_any_minute_allows_is_the_callers_mistake():
    stage = stage_with(Limits(tokens_per_minute=50), answer(USED))
    with pytest.raises(InvalidValue, match="max_tokens") as caught:
        await stage.ask(body=asking(max_tokens=100))
    assert caught.value.status == 400


async def test_tokens_are_taken_as_a_guess_and_kept_as_they_were():
    limits = Limits(tokens_per_minute=1000)
    stage = stage_with(limits, answer(USED))
    reply = await stage.ask(body=asking(max_tokens=100))
    assert reply.call.hold.tokens > 100
    assert b"x-ratelimit-limit-tokens: 1000" in headers(reply.call.hold)
    assert await level(stage, limits) == (12, 0)


async def test_every_scope_is_asked_and_the_tightest_refuses():
    team = Limits(requests_per_minute=2)
    keys = a_key(Limits(requests_per_minute=10), above=(("team", "core", team),))
    model = rules("model", "m", Limits(concurrency=5))
    made = replace(target(answer(USED), answer(USED)), price=PRICE)
    stage = Stage(route(made, rules=model), **keys)
    await stage.ask()
    await stage.ask()
    with pytest.raises(RateLimited, match="team"):
        await stage.ask()
    assert stage.admission.refusals == {("team", "requests"): 1}


async def test_a_key_without_limits_gets_the_default_ones():
    made = replace(target(answer(USED)), price=PRICE)
    stage = Stage(route(made), default=Limits(requests_per_minute=1))
    await stage.ask()
    with pytest.raises(RateLimited):
        await stage.ask()


async def test_limits_of_a_changed_key_count_at_once():
    stage = stage_with(Limits(requests_per_minute=1), answer(USED), answer(USED), answer(USED))
    await stage.ask()
    changed = Key(id="k1", name="k", limits=Limits(requests_per_minute=3))
    stage.gateway.keys._keys[SECRET] = changed
    await stage.ask()
    await stage.ask()


async def test_a_failed_request_gives_its_money_back_and_counts_as_a_request():
    limits = Limits(requests_per_minute=5, budgets=(Budget("day", 1_000_000),))
    stage = stage_with(limits)
    stage.gateway.routes.exact["m"].targets[0].transport._answers[:] = []
    with pytest.raises(IndexError):
        await stage.ask()
    found = await stage.limiter.levels(rules("key", "k1", limits), stage.clock.unix_s())
    assert {each.rule.kind: each.held for each in found} == {Kind.REQUESTS: 0, Kind.BUDGET: 0}
    assert found[0].used == 1


async def test_money_that_others_hold_is_waited_for():
    limits = day(600)
    stage = stage_with(limits, answer(USED), answer(USED))
    body = asking(max_tokens=50)
    first = asyncio.Event()
    scene = stage.gateway.routes.exact["m"].targets[0].transport
    exchange = scene.exchange

    async def slow(*parts: object):
        if not first.is_set():
            first.set()
            for _ in range(5):
                await asyncio.sleep(0)
        return await exchange(*parts)

    scene.exchange = slow
    one = asyncio.ensure_future(stage.ask(body=body))
    await first.wait()
    two = await stage.ask(body=body)
    assert two.call.hold is not None
    await one
    assert await level(stage, limits) == (2 * COST, 0)


async def test_money_that_nobody_gives_back_is_not_waited_for_longer_than_allowed():
    limits = day(600)
    stage = stage_with(limits, answer(USED))
    body = asking(max_tokens=50)
    blocked = asyncio.Event()
    scene = stage.gateway.routes.exact["m"].targets[0].transport
    exchange = scene.exchange

    async def hang(*parts: object):
        blocked.set()
        await asyncio.Event().wait()
        return await exchange(*parts)

    scene.exchange = hang
    one = asyncio.ensure_future(stage.ask(body=body))
    await blocked.wait()
    before_s = stage.clock.monotonic_s()
    with pytest.raises(RateLimited, match="held by requests under way"):
        await stage.ask(body=body)
    assert stage.clock.monotonic_s() - before_s == pytest.approx(5.0)
    one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one
    assert stage.admission.waiting == 0


async def test_an_attempt_that_may_have_to_be_paid_needs_money_for_the_next_one():
    limits = day(700)
    late = replace(target(UpstreamTimeout("late")), price=PRICE)
    good = replace(target(answer(USED), name="b"), price=PRICE)
    stage = Stage(route(late, good), **a_key(limits))
    with pytest.raises(GatemillError) as caught:
        await stage.ask(body=asking(max_tokens=50))
    assert caught.value.code == "upstream_timeout"
    assert len(stage.rows) == 1


async def test_an_attempt_that_was_not_sent_needs_no_money_for_the_next_one():
    late = replace(target(UpstreamTimeout.unsent("no connection")), price=PRICE)
    good = replace(target(answer(USED), name="b"), price=PRICE)
    stage = Stage(route(late, good), **a_key(day(700)))
    await stage.ask(body=asking(max_tokens=50))
    assert [row.error for row in stage.rows] == ["upstream_timeout", ""]


async def test_money_for_the_next_attempt_is_held_where_a_failed_one_has_told_its_usage():
    failed = event(choices=[], usage=USED) + event(error={"code": "overloaded"})
    bad = replace(target(Scripted(failed)), price=PRICE)
    good = replace(target(Scripted(HELLO), name="b"), price=PRICE)
    stage = Stage(route(bad, good), **a_key(day(700)))
    with pytest.raises(GatemillError) as caught:
        await stage.ask(body=asking(max_tokens=50, stream=True))
    assert caught.value.code == "upstream_error"
    (row,) = stage.rows
    assert row.cost_microusd


async def test_an_attempt_is_kept_for_a_crash_before_it_is_sent_and_not_after_it_is_recorded():
    stage = stage_with(Limits(), answer(USED))
    scene: Scene = stage.gateway.routes.exact["m"].targets[0].transport
    exchange = scene.exchange
    seen: list[tuple[str, bool, int | None]] = []

    async def look(*parts: object):
        seen.extend((r.attempt_id, r.unsettled, r.cost_microusd) for r in stage.book.held.values())
        return await exchange(*parts)

    scene.exchange = look
    body = asking(max_tokens=7)
    await stage.ask(body=body)
    assert seen == [("req_1-1", True, len(body) * 3 + 7 * 4)]
    assert stage.book.held == {}
    assert not stage.rows[0].unsettled


async def test_a_picture_is_held_by_the_settings_and_not_by_its_bytes():
    stage = stage_with(Limits(), answer(USED))
    data = "data:image/png;base64," + "A" * 10_000
    content = [{"type": "image_url", "image_url": {"url": data}}]
    body = asking(messages=[{"role": "user", "content": content}])
    assert stage.admission.prompt_most(body) == len(body) - len(data) + 50


class Away:
    """A limiter whose shared counters are away for so many questions."""

    def __init__(self, limiter, times: int) -> None:
        self._limiter = limiter
        self._times = times

    async def admit(self, wanted):
        if self._times:
            self._times -= 1
            return Refusal(wanted.rules[0], 1.0, unavailable=True)
        return await self._limiter.admit(wanted)


async def test_counters_that_are_away_for_a_moment_are_not_noticed():
    stage = stage_with(day(1_000_000), answer(USED))
    stage.admission.limiter = Away(stage.limiter, 3)
    reply = await stage.ask(body=asking(max_tokens=50))
    assert reply.call.hold is not None


async def test_counters_that_stay_away_refuse_a_hard_budget_after_a_second():
    stage = stage_with(day(1_000_000), answer(USED))
    stage.admission.limiter = Away(stage.limiter, 1000)
    with pytest.raises(LimitsUnavailable) as caught:
        await stage.ask(body=asking(max_tokens=50))
    assert caught.value.retry_after_s == 1.0
    assert stage.clock.monotonic_s() == pytest.approx(1.0)


async def test_a_budget_that_comes_back_knows_what_was_spent_without_it():
    limits = day(1_000_000)
    stage = stage_with(limits, *[answer(USED)] * 6)

    def now(limits: Limits) -> None:
        force_setattr(stage.gateway, "keys", KeyTable(**a_key(limits)))

    await stage.ask()
    now(Limits())
    for _ in range(3):
        await stage.ask()
    now(limits)
    assert await level(stage, limits) == (4 * COST, 0)
    now(day(COST))
    with pytest.raises(BudgetSpent):
        await stage.ask()


async def test_a_budget_that_was_taken_away_refuses_nobody():
    stage = stage_with(day(1_000_000), *[answer(USED)] * 2, price=None)
    with pytest.raises(PriceUnknown):
        await stage.ask()
    force_setattr(stage.gateway, "keys", KeyTable(**a_key(Limits())))
    reply = await stage.ask()
    assert reply.call.output_cap is None
    assert stage.crossed == []

"""Redis freezes, dies and comes back: nobody waits, nothing fails, nothing is counted twice."""

from __future__ import annotations

import asyncio
import secrets
import time

import pytest
from structlog.testing import capture_logs

import heavy
import redis_service
from gatemill.core.clock import FakeClock
from gatemill.core.limits import Hold, Kind, Refusal, Rule, Wanted
from gatemill.kv.redis.connection import DEADLINE_S
from gatemill.kv.redis.limits import Identity
from gatemill.kv.redis.wire import QUEUED_S_MAX
from redis_limiter import made, ready

NOW_S = 1_795_608_000.0
# Also to a Redis that the machine keeps waiting, and that is not away.
SILENCE_S = DEADLINE_S if heavy.is_wanted() else QUEUED_S_MAX
BACK_S = heavy.within(5.0)  # after which Redis must be in use again
REQUESTS = Rule("requests:key:a", Kind.REQUESTS, "key", "a", 31)
CONCURRENCY = Rule("concurrency:key:a", Kind.CONCURRENCY, "key", "a", 100)
TOKENS = Rule("tokens:key:a", Kind.TOKENS, "key", "a", 1000)
MONEY = Rule("budget:key:a:total", Kind.BUDGET, "key", "a", 1000, "total")
SOFT = Rule("budget:key:a:day", Kind.BUDGET, "key", "a", 50, "day", False)
EASY = (CONCURRENCY, REQUESTS, TOKENS)


@pytest.fixture
def server():
    found = redis_service.Server()
    yield found
    found.remove()


@pytest.fixture
async def process(server, monkeypatch):
    monkeypatch.setattr("gatemill.kv.redis.limits.CLOSE_S", 0.1)
    limiters = []

    async def start(*, guesses=False, **more):
        identity = Identity(secrets.token_hex(4), guesses=guesses)
        found = made(server.url, FakeClock(NOW_S), identity, deadline_s=SILENCE_S, **more)
        limiters.append(await ready(found))
        await found.members.beat()
        return found

    yield start
    server.thaw()
    for each in limiters:
        await each.close()


def _wanted(rules, tokens=7, cost=10):
    return Wanted(f"req_{secrets.token_hex(6)}", tuple(rules), tokens, cost, NOW_S)


async def _timed(limiter, rules, **amounts):
    began_s = time.perf_counter()
    answer = await limiter.admit(_wanted(rules, **amounts))
    return answer, time.perf_counter() - began_s


async def _sums(limiter, rules):
    return [(each.used, each.held) for each in await limiter.levels(rules, NOW_S)]


async def _back(limiter):
    """Redis is in use again, in time, and has heard of everything."""
    returned = asyncio.Event()
    before = limiter._connection.returned

    def note():
        before()
        returned.set()

    limiter._connection.returned = note
    async with asyncio.timeout(BACK_S):
        if limiter.away:
            await returned.wait()
        await limiter.written()
    limiter._connection.returned = before
    await limiter.members.beat()
    await limiter.members.beat()
    await limiter.written()


async def test_a_frozen_redis_costs_one_deadline_and_then_nothing(server, process):
    limiter, other, third = await process(), await process(), await process()
    await limiter.members.beat()
    assert limiter.members.alive == 3
    before = await limiter.admit(_wanted(EASY))
    with capture_logs() as logs:
        server.freeze()
        asked = limiter._connection.calls
        # All at once: nobody waits longer because others wait too.
        first = await asyncio.gather(*(_timed(limiter, EASY) for _ in range(20)))
        assert max(wait_s for _, wait_s in first) < heavy.within(0.25)
        later = [await _timed(limiter, EASY) for _ in range(20)]
        assert sum(wait_s for _, wait_s in later) < heavy.within(0.4)
        assert limiter._connection.calls == asked + 20  # of those later, none has asked Redis
        # The share of 31 among three is 11, and the true rule is named.
        answers = [answer for answer, _ in first + later]
        holds = [answer for answer in answers if isinstance(answer, Hold)]
        assert len(holds) == 11 and all(hold.local for hold in holds)
        (standing,) = [each for each in holds[-1].standings if each.rule is REQUESTS]
        assert standing.remaining == 0
        refusals = [answer for answer in answers if isinstance(answer, Refusal)]
        assert {refusal.rule for refusal in refusals} == {REQUESTS}
        assert await limiter.extend(holds[0], 2, 0) is None
        too_much = await limiter.extend(holds[0], 900, 0)
        assert too_much.rule is TOKENS
        assert await limiter.extend(before, 2, 0) is None
        for hold in (before, *holds, holds[0]):
            limiter.settle(hold, 3, 0)
        assert limiter.settles_pending > 0
        server.thaw()
        await _back(limiter)
        await _back(other)
        await _back(third)
    # What Redis took after everybody had gone is given back; the settlement is applied.
    assert await _sums(limiter, EASY) == [(0, 0), (1, 0), (3, 0)]
    assert (limiter.timeouts, limiter.away, limiter.settles_pending) == (1, 0, 0)
    ours = [each["event"] for each in logs if each["event"].startswith("redis_")]
    assert ours.count("redis_away") == ours.count("redis_back") <= 3


async def test_what_was_settled_while_redis_was_frozen_arrives_once(server, process):
    limiter = await process()
    hold = await limiter.admit(_wanted([CONCURRENCY, TOKENS, MONEY], cost=100))
    server.freeze()
    limiter.settle(hold, 5, 60)
    await asyncio.sleep(0)  # it is sent, and nobody answers
    assert (await limiter.admit(_wanted([MONEY]))).unavailable
    assert limiter.away == 1
    assert limiter.settles_pending >= 1
    server.thaw()
    await _back(limiter)
    assert await _sums(limiter, [CONCURRENCY, TOKENS, MONEY]) == [(0, 0), (5, 0), (60, 0)]


async def test_a_redis_frozen_for_longer_gets_a_new_connection_and_nothing_twice(
    server, process, monkeypatch
):
    monkeypatch.setattr("gatemill.kv.redis.connection.PROBE_S", 0.1)
    monkeypatch.setattr("gatemill.kv.redis.connection.SILENT_S_MAX", 0.2)
    limiter = await process()
    hold = await limiter.admit(_wanted([MONEY], cost=100))
    drop, dropped = limiter._connection._drop, asyncio.Event()
    limiter._connection._drop = lambda: (drop(), dropped.set())
    server.freeze()
    limiter.settle(hold, 0, 60)
    late = await limiter.admit(_wanted([CONCURRENCY]))
    assert late.local
    async with asyncio.timeout(BACK_S):
        await dropped.wait()
    server.thaw()
    await _back(limiter)
    assert await _sums(limiter, [CONCURRENCY, MONEY]) == [(0, 0), (60, 0)]


async def test_redis_that_died_comes_back_empty_and_money_is_read_from_the_ledger(server, process):
    spent_microusd = 0

    async def spent(rule, start_s, end_s):
        return spent_microusd

    limiter = await process(spent=spent)
    hold = await limiter.admit(_wanted([*EASY, MONEY], cost=100))
    await limiter.members.beat()
    server.stop()
    answer, wait_s = await _timed(limiter, EASY)
    assert answer.local and wait_s < heavy.within(0.25)
    limiter.settle(answer, 1, 0)
    limiter.settle(hold, 5, 60)
    spent_microusd = 60  # the ledger has the row
    server.start()
    await _back(limiter)
    rules = [*EASY, MONEY]
    assert await _sums(limiter, rules) == [(0, 0), (0, 0), (0, 0), (60, 0)]
    again = await limiter.admit(_wanted(rules, cost=100))
    assert not again.local
    assert await _sums(limiter, rules) == [(0, 1), (1, 0), (7, 0), (60, 100)]


async def test_a_hard_budget_is_shared_if_that_is_wanted_and_booked_afterwards(server, process):
    limiter, other = await process(guesses=True), await process(guesses=True)
    await limiter.members.beat()
    before = await limiter.admit(_wanted([MONEY, SOFT], cost=200))
    passed = 0
    for _ in range(2):  # the second time, what was spent the first time is known
        limiter.settle(await limiter.admit(_wanted([MONEY, SOFT])), 0, 0)
        server.freeze()
        left = 1000 - await _used(limiter, MONEY)
        answers = [await limiter.admit(_wanted([MONEY, SOFT], cost=100)) for _ in range(8)]
        holds = [each for each in answers if isinstance(each, Hold)]
        assert len(holds) == left // 2 // 100  # two processes
        assert answers[-1].rule is MONEY
        passed += len(holds)
        if before is not None:
            limiter.settle(before, 0, 200)
            before = None
        for hold in holds:
            limiter.settle(hold, 0, 30)
        server.thaw()
        await _back(limiter)
        await _back(other)
    assert await _sums(limiter, [MONEY]) == [(200 + 30 * passed, 0)]
    assert await _sums(limiter, [SOFT]) == [(200 + 30 * passed, 0)]


async def _used(limiter, rule):
    """What the limiter saw when Redis last answered."""
    limiter._share._used = None
    return limiter._share._last_used(rule, 0.0)


async def test_a_budget_never_seen_is_asked_of_the_ledger_while_redis_is_away(server, process):
    async def spent(rule, start_s, end_s):
        return 900

    limiter = await process(guesses=True, spent=spent)
    server.stop()
    await limiter.admit(_wanted([CONCURRENCY]))
    assert isinstance(await limiter.admit(_wanted([MONEY], cost=101)), Refusal)
    assert isinstance(await limiter.admit(_wanted([MONEY], cost=100)), Hold)


async def test_a_hold_of_redis_does_not_grow_by_a_guess(server, process):
    limiter = await process()
    hold = await limiter.admit(_wanted([MONEY, TOKENS]))
    server.stop()
    refusal = await limiter.extend(hold, 1, 1)
    assert (refusal.rule, refusal.unavailable) == (MONEY, True)
    assert (hold.tokens, hold.cost_microusd) == (7, 10)


async def test_what_cannot_be_written_at_the_end_does_not_keep_the_process(server, process):
    limiter = await process()
    hold = await limiter.admit(_wanted([MONEY]))
    server.stop()
    limiter.settle(hold, 1, 1)
    await limiter.close()
    assert limiter.settles_pending == 1


async def test_a_redis_that_refuses_commands_is_away(server, process):
    limiter = await process()
    redis_service.command(server.url, "CONFIG", "SET", "maxmemory", "1")
    answer = await limiter.admit(_wanted(EASY))
    assert answer.local and limiter.away == 1
    redis_service.command(server.url, "CONFIG", "SET", "maxmemory", "0")
    await _back(limiter)
    assert not (await limiter.admit(_wanted(EASY))).local

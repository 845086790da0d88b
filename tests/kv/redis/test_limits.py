"""Limits of several processes on one Redis: exact together, and nothing lost when one of them dies."""

from __future__ import annotations

import asyncio
import random
import secrets
import time

import pytest

import redis_process
import redis_service
from gatemill.core.call import Price
from gatemill.core.clock import FakeClock
from gatemill.core.errors import LedgerUnavailable, LimitsUnavailable, StartRefused
from gatemill.core.limits import Hold, Kind, Refusal, Rule, Wanted
from gatemill.kv.redis.limits import Identity
from gatemill.kv.redis.members import BEAT_S, SILENT_S
from gatemill.policy.reserve import worst_microusd
from redis_limiter import forget, made, prefix, ready
from redis_process import COST, RULES

NOW_S = 1_795_608_000.0
CONCURRENCY, TOKENS, MONEY = RULES["concurrency"], RULES["tokens"], RULES["budget"]
ALL = (CONCURRENCY, RULES["requests"], TOKENS, MONEY)


@pytest.fixture
def shared():
    url, begin = redis_service.address(), prefix()
    yield url, begin
    forget(url, begin)


@pytest.fixture
async def process(shared):
    """Makes limiters of several processes; all are closed afterwards."""
    url, begin = shared
    limiters = []

    async def start(clock, name=None, **more):
        found = made(url, clock, Identity(name or secrets.token_hex(4), begin), **more)
        limiters.append(found)
        return await ready(found)

    yield start
    for each in limiters:
        await each.close()


def _wanted(rules, tokens=7, cost=COST, unix_s=NOW_S):
    return Wanted(f"req_{secrets.token_hex(6)}", tuple(rules), tokens, cost, unix_s)


async def _sums(limiter, rules, unix_s=NOW_S):
    return [(each.used, each.held) for each in await limiter.levels(rules, unix_s)]


@pytest.mark.parametrize("name", ["budget", "requests"])
def test_three_processes_together_admit_exactly_the_limit(shared, name):
    url, begin = shared
    processes = [
        redis_process.started(url, begin, f"p{number}", 200, "exit", name) for number in range(3)
    ]
    said = [each.communicate(timeout=180)[0].split() for each in processes]
    assert sum(int(admitted) for admitted, _ in said) == 100
    assert sum(int(local) for _, local in said) == 0


async def test_a_killed_process_leaves_nothing_held(shared, process):
    clock = FakeClock(time.time())
    survivor = await process(clock)
    names = ("concurrency", "tokens", "budget")
    victim = redis_process.started(*shared, "victim", 3, "stay", *names)
    assert await asyncio.to_thread(victim.stdout.readline) == b"3 0\n"
    victim.kill()
    await asyncio.to_thread(victim.communicate)
    rules = [RULES[name] for name in names]
    assert await _sums(survivor, rules, clock.unix_s()) == [(0, 3), (21, 0), (0, 30)]

    swept = []
    survivor.members.on_swept = swept.append
    for _ in range(int(SILENT_S / BEAT_S) + 1):
        await survivor.members.beat()
        clock.advance(BEAT_S)
    await survivor.members.beat()
    assert sorted(swept) == ["victim-0", "victim-1", "victim-2"]
    assert (survivor.swept, survivor.members.alive) == (3, 1)
    # Nobody can say that the money was not spent.
    (running, _, money) = await _sums(survivor, rules, clock.unix_s())
    assert (running, money) == ((0, 0), (30, 0))
    window = await survivor.levels([TOKENS], clock.unix_s() - 2 * BEAT_S)
    assert window[0].used == 0


async def test_nobody_is_swept_by_a_process_that_was_not_heard_itself(process):
    clock = FakeClock(NOW_S)
    one, other = await process(clock), await process(clock)
    await one.admit(_wanted(ALL))
    await one.members.beat()
    await other.members.beat()
    clock.advance(60)  # Redis was frozen: everybody looks dead
    await other.members.beat()
    assert (other.swept, other.members.alive) == (0, 1)
    await one.members.beat()
    for _ in range(6):
        clock.advance(BEAT_S)
        await other.members.beat()
        await one.members.beat()
    assert (other.swept, other.members.alive) == (0, 2)


async def test_a_process_that_was_taken_for_dead_settles_what_was_booked_for_it(process):
    clock = FakeClock(NOW_S)
    frozen, other = await process(clock), await process(clock)
    used_less, gone = await frozen.admit(_wanted(ALL)), await frozen.admit(_wanted(ALL))
    assert isinstance(used_less, Hold)
    await frozen.members.beat()
    while other.swept < 2:
        await other.members.beat()
        clock.advance(BEAT_S)
    assert await _sums(other, [CONCURRENCY, MONEY]) == [(0, 0), (2 * COST, 0)]
    assert await frozen.extend(gone, 1, 1) is None  # what it uses is booked when it settles
    frozen.settle(used_less, 5, 4)
    frozen.settle(used_less, 5, 4)
    await frozen.written()
    assert frozen.settled_twice == 1
    assert await _sums(other, [CONCURRENCY, TOKENS, MONEY]) == [(0, 0), (5, 0), (COST + 4, 0)]
    frozen.settle(gone, 0, 0)
    await frozen.written()
    assert await _sums(other, [CONCURRENCY, MONEY]) == [(0, 0), (4, 0)]


async def test_a_large_number_of_holds_is_swept_in_several_calls(process):
    clock = FakeClock(NOW_S)
    dead, other = await process(clock), await process(clock)
    for _ in range(25):
        await asyncio.gather(*(dead.admit(_wanted([CONCURRENCY])) for _ in range(10)))
    for _ in range(10):
        await other.members.beat()
        clock.advance(BEAT_S)
    assert other.swept == 250
    assert await _sums(other, [CONCURRENCY]) == [(0, 0)]


async def test_a_process_that_closes_is_no_longer_counted(process):
    clock = FakeClock(NOW_S)
    one, other = await process(clock), await process(clock)
    for each in (one, other):
        await each.members.beat()
    assert other.members.alive == 2
    await one.close()
    await other.members.beat()
    assert other.members.alive == 1


async def test_a_place_that_was_given_back_is_free_for_the_next_request(process):
    limiter = await process(FakeClock(NOW_S))
    rules = (Rule("concurrency:key:b", Kind.CONCURRENCY, "key", "b", 1),)
    for _ in range(200):
        hold = await limiter.admit(_wanted(rules))
        assert isinstance(hold, Hold)
        limiter.settle(hold, 0, 0)
    await limiter.written()
    assert limiter.settles_pending == 0


async def test_cancelled_requests_hold_nothing_and_disturb_nobody(process):
    limiter = await process(FakeClock(NOW_S))
    rng = random.Random(7)
    rules = [Rule(f"tokens:key:{n}", Kind.TOKENS, "key", str(n), 10**9) for n in range(20)]

    async def use(number):
        hold = await limiter.admit(_wanted([rules[number]], tokens=number + 1))
        assert hold.standings[0].rule is rules[number]
        assert hold.standings[0].used % (number + 1) == 0
        return hold

    holds = []
    for _ in range(30):
        tasks = [asyncio.ensure_future(use(number)) for number in range(20)]
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        for task in tasks:
            if rng.random() < 0.5:
                task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        holds += [each for each in done if isinstance(each, Hold)]
        assert all(isinstance(each, Hold | asyncio.CancelledError) for each in done)
    assert 100 < len(holds) < 500
    await limiter.written()
    expected = [sum(hold.tokens for hold in holds if hold.rules[0] is rule) for rule in rules]
    assert [used for used, _ in await _sums(limiter, rules)] == expected
    assert limiter.away == 0


async def test_what_redis_holds_and_nobody_knows_is_undone(process):
    limiter = await process(FakeClock(NOW_S))
    await limiter.members.beat()  # after the one that it begins with
    await limiter.admit(_wanted(ALL))
    limiter._open_holds.clear()  # its undo was lost
    await limiter.members.beat()
    assert limiter.undone == 0  # it may be on its way still
    await limiter.members.beat()
    await limiter.written()
    assert limiter.undone == 1
    assert await _sums(limiter, ALL) == [(0, 0)] * 4


async def test_a_flushed_script_is_loaded_again():
    server = redis_service.Server()  # others are using the scripts of the shared one
    try:
        await _settled_without_scripts(server.url)
    finally:
        server.remove()


async def _settled_without_scripts(url):
    limiter = await ready(made(url, FakeClock(NOW_S), Identity("p")))
    money = Rule("budget:key:b:total", Kind.BUDGET, "key", "b", 10**6, "total")
    for _ in range(3):
        holds = [await limiter.admit(_wanted([money])) for _ in range(300)]
        redis_service.command(url, "SCRIPT", "FLUSH")
        for hold in holds:
            limiter.settle(hold, 0, 3)
        await limiter.written()
    assert await _sums(limiter, [money]) == [(2700, 0)]
    assert limiter.away == 0
    await limiter.close()


async def test_concurrent_first_requests_ask_the_ledger_once_between_them(process):
    asked = []

    async def spent(rule, start_s, end_s):
        asked.append(rule.name)
        await asyncio.sleep(0)
        return 95 * COST

    limiter = await process(FakeClock(NOW_S), spent=spent)
    answers = await asyncio.gather(*(limiter.admit(_wanted([MONEY])) for _ in range(20)))
    assert sum(isinstance(each, Hold) for each in answers) == 5
    assert asked == [MONEY.name]


async def test_a_ledger_that_cannot_say_refuses_and_nothing_is_held(process):
    async def spent(rule, start_s, end_s):
        raise LedgerUnavailable("The ledger is away.")

    limiter = await process(FakeClock(NOW_S), spent=spent)
    with pytest.raises(LedgerUnavailable):
        await limiter.admit(_wanted(ALL))
    await limiter.written()
    assert await _sums(limiter, ALL[:3]) == [(0, 0)] * 3


async def test_two_processes_tell_of_a_crossed_share_once(process):
    told = []

    def crossed(rule, start_s, spent, share):
        told.append((rule.name, spent, share))

    clock = FakeClock(NOW_S)
    one, other = await process(clock, crossed=crossed), await process(clock, crossed=crossed)
    soft = Rule("budget:key:s:day", Kind.BUDGET, "key", "s", 100, "day", False, (0.8, 1.0))
    for limiter in (one, other, one, other):
        hold = await limiter.admit(_wanted([soft]))
        limiter.settle(hold, 0, 45)
        await limiter.written()
    assert told == [(soft.name, 90, 0.8), (soft.name, 135, 1.0)]


async def test_the_largest_reserve_there_is_can_be_counted(process):
    limiter = await process(FakeClock(NOW_S))
    soft = Rule("budget:key:t:day", Kind.BUDGET, "key", "t", 100, "day", hard=False)
    most = worst_microusd(Price(*[10**10] * 7), 10**30, 10**30)
    holds = [await limiter.admit(_wanted([CONCURRENCY, soft], 0, most)) for _ in range(3)]
    assert not limiter.away
    for hold in holds:
        limiter.settle(hold, 0, 1)
    await limiter.written()
    assert await _sums(limiter, [CONCURRENCY, soft]) == [(0, 0), (3, 0)]


async def test_without_redis_the_first_request_is_answered_by_the_local_share():
    limiter = made("redis://127.0.0.1:1/0", FakeClock(NOW_S), Identity("p"))
    try:
        requests = Rule("requests:key:a", Kind.REQUESTS, "key", "a", 1)
        hold = await limiter.admit(_wanted([requests]))
        assert hold.local and hold.rules == (requests,)
        limiter.settle(hold, 0, 0)
        refusal = await limiter.admit(_wanted([requests]))
        assert isinstance(refusal, Refusal) and refusal.rule is requests
        assert isinstance(await limiter.peek(_wanted([requests])), Refusal)
        unavailable = await limiter.admit(_wanted([MONEY]))
        assert (unavailable.rule, unavailable.unavailable) == (MONEY, True)
        assert (limiter.refused_away, limiter.away) == (1, 1)
        with pytest.raises(LimitsUnavailable):
            await limiter.levels([requests], NOW_S)
    finally:
        await limiter.close()


async def test_a_limiter_that_was_never_used_closes():
    await made("redis://127.0.0.1:1/0", FakeClock(NOW_S), Identity("p")).close()


def test_an_address_that_is_none_is_refused_without_showing_it():
    with pytest.raises(StartRefused) as refused:
        made("redis://user:secret@host:port", FakeClock(NOW_S), Identity("p"))
    assert "secret" not in str(refused.value)

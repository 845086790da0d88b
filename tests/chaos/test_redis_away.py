"""Losing Redis is a degradation, not an outage. Frozen is harder than gone: nothing is refused."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import heavy
import redis_service
from crowd import crowd, until
from gatemill.core.clock import SystemClock
from gatemill.core.limits import Hold, Kind, Rule, Wanted
from gatemill.kv.redis.limits import Identity, RedisLimiter
from gatemill.kv.redis.wire import QUEUED_S_MAX
from house_for_tests import Opened, opened
from peer import post
from redis_limiter import PATIENT_S, made, ready
from running import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from crowd import Told

CALLERS = 20
ROUND_S = 1.2  # away, and as long here again. docs/guides/prove-it.md does 60 s.
ROUNDS = 3 if heavy.is_wanted() else 1
ROUNDS_MAX = 12  # on a machine so busy that everybody waits, Redis or not
EXTRA_S_MAX = 0.15
RECOVERY_S_MAX = heavy.within(5.0)
LIMIT = 100
CONFIG = """
[models.echo]
targets = ["echo/echo"]
[limits.default]
requests_per_minute = {limit}
[stores]
counters = "{redis}"
"""
HOW = {
    "frozen": (redis_service.Server.freeze, redis_service.Server.thaw),
    "killed": (redis_service.Server.stop, redis_service.Server.start),
}


@asynccontextmanager
async def _redis() -> AsyncIterator[redis_service.Server]:
    server = await asyncio.to_thread(redis_service.Server)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.remove)


def _limiter(gate: Opened) -> RedisLimiter:
    limiter = gate.home.lasting.limiter
    assert isinstance(limiter, RedisLimiter)
    return limiter


def _wait(gate: Opened, silence_s: float) -> None:
    """To it Redis is away after so much silence."""
    connection = _limiter(gate)._connection
    assert connection._wire is not None
    connection._deadline_s = connection._wire._late_s = silence_s


async def _steady(gate: Opened) -> None:
    """It counts in Redis, also when the machine keeps that waiting, and says that it is there."""
    limiter = await ready(_limiter(gate))
    _wait(gate, PATIENT_S)
    await limiter.members.beat()


async def _back(*gates: Opened) -> None:
    """Every process counts in Redis again. Raises TimeoutError."""
    await until(lambda: not any(_limiter(gate).away for gate in gates), RECOVERY_S_MAX)


async def _flow(gate: Opened) -> list[Told]:
    """What callers are told who ask all the time, for ROUND_S."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + ROUND_S
    told: list[Told] = []
    while loop.time() < end_s:
        told += await crowd([gate], [post(gate)] * 200, CALLERS)
    return told


@pytest.mark.parametrize("how", HOW)
async def test_callers_do_not_notice_that_redis_is_away(
    tmp_path: Path, say: Callable[[str], None], how: str
):
    leave, come_back = HOW[how]
    extra_s: list[float] = []
    # A busy machine can add to a wait and take nothing away, so the best round says what is ours.
    async with _redis() as redis:
        config = CONFIG.format(limit=10_000_000, redis=redis.url)
        async with opened(tmp_path, config) as gate:
            while len(extra_s) < ROUNDS or min(extra_s) > EXTRA_S_MAX:
                assert len(extra_s) < ROUNDS_MAX, extra_s
                calm = await _flow(gate)
                leave(redis)
                told = await _flow(gate)
                assert _limiter(gate).away == 1
                await asyncio.to_thread(come_back, redis)
                await _back(gate)
                assert {each.status for each in calm + told} == {200}
                extra_s.append(max(e.took_s for e in told) - max(e.took_s for e in calm))
    waits = ", ".join(f"{1000 * each_s:+.0f} ms" for each_s in extra_s)
    say(f"Redis {how} {len(extra_s)} times: all answers 200, longest wait against before: {waits}")


@pytest.mark.parametrize("how", HOW)
async def test_without_redis_each_process_gives_its_share_of_the_limit(
    tmp_path: Path, say: Callable[[str], None], how: str
):
    leave, come_back = HOW[how]
    async with _redis() as redis, AsyncExitStack() as stack:
        config = CONFIG.format(limit=LIMIT, redis=redis.url)
        gates = [await stack.enter_async_context(opened(tmp_path, config)) for _ in range(2)]
        for gate in (*gates, *gates):  # the second time both have heard of both
            await _steady(gate)
        for gate in gates:
            _wait(gate, QUEUED_S_MAX)
        leave(redis)
        # Each is asked by callers of its own: one may know a while before the other.
        asked = [crowd([gate], [post(gate)] * 2 * LIMIT, CALLERS) for gate in gates]
        for told in await asyncio.gather(*asked):
            statuses = [each.status for each in told]
            assert (statuses.count(200), statuses.count(429)) == (LIMIT // 2, 3 * LIMIT // 2)
        await asyncio.to_thread(come_back, redis)
        await _back(*gates)
        for gate in gates:
            _wait(gate, PATIENT_S)
        told = await crowd(gates, [post(gates[0])] * 2 * LIMIT, CALLERS)
        statuses = [each.status for each in told]
        assert (statuses.count(200), statuses.count(429)) == (LIMIT, LIMIT)
    say(f"Redis {how}: 2 processes give {LIMIT // 2} each of {LIMIT}, and {LIMIT} together after")


async def test_nobody_counts_alone_while_the_first_request_connects():
    """500 callers who come first, all at once, meet the shared limit."""
    for _ in range(ROUNDS_MAX):
        if await _meet_the_limit():
            return
    raise AssertionError("Redis does not answer in time")


async def _meet_the_limit() -> bool:
    """They do; False where Redis itself stood still, so that nothing is shown."""
    rule = Rule("requests:key:a", Kind.REQUESTS, "key", "a", LIMIT)
    async with _redis() as redis:
        clock = SystemClock()
        limiters = [made(redis.url, clock, Identity(name, "test:")) for name in "abc"]
        answers = await asyncio.gather(
            *(
                limiters[number % 3].admit(Wanted(f"h{number}", (rule,), 0, 0, clock.unix_s()))
                for number in range(500)
            )
        )
        holds = [each for each in answers if isinstance(each, Hold)]
        was_away = any(limiter._connection.times_away for limiter in limiters)
        for limiter in limiters:
            await limiter.close()
    if was_away:
        return False
    assert (len(holds), [each for each in holds if each.local]) == (LIMIT, [])
    return True


async def test_a_start_without_redis_costs_no_request_anything(tmp_path: Path):
    async with _redis() as redis:
        redis.freeze()
        running = serve(tmp_path, CONFIG.format(limit=LIMIT, redis=redis.url))
        server = await asyncio.to_thread(running.__enter__)
        (told,) = await crowd([server], [post(server)], 1)
        redis.thaw()
        await asyncio.to_thread(running.__exit__, None, None, None)
    assert told.status == 200
    said = [line["event"] for line in server.lines()]
    assert said.index("redis_away") < said.index("ready")

"""Settlements reach Redis once and in order, and what waits is bounded."""

from __future__ import annotations

import asyncio
import secrets

import pytest

import redis_service
from gatemill.core.clock import FakeClock
from gatemill.core.limits import Kind, Rule, Wanted
from gatemill.kv.redis import settlements
from gatemill.kv.redis.limits import Identity
from gatemill.kv.redis.packing import SETTLE, Packing
from redis_limiter import forget, made, prefix, ready

NOW_S = 1_795_608_000.0
MONEY = Rule("budget:key:a:total", Kind.BUDGET, "key", "a", 1000, "total", alert_at=(0.01,))
RULES = (Rule("concurrency:key:a", Kind.CONCURRENCY, "key", "a", 10_000), MONEY)


@pytest.fixture
async def limiter():
    url, begin = redis_service.address(), prefix()
    found = await ready(made(url, FakeClock(NOW_S), Identity("p", begin)))
    yield found
    await found.close()
    forget(url, begin)


def _wanted():
    return Wanted(secrets.token_hex(6), RULES, 0, 1, NOW_S)


async def _spent(limiter):
    return [(each.used, each.held) for each in await limiter.levels(RULES, NOW_S)]


async def test_many_at_once_go_in_batches_and_wait_for_room(limiter, monkeypatch):
    monkeypatch.setattr(settlements, "_BATCH_HOLDS", 3)
    monkeypatch.setattr(settlements, "_BATCHES_MAX", 2)
    holds = [await limiter.admit(_wanted()) for _ in range(50)]
    for hold in holds:
        limiter.settle(hold, 0, 2)
    assert limiter.settles_pending == 50
    await asyncio.gather(limiter.written(), limiter.written())
    assert await _spent(limiter) == [(0, 0), (100, 0)]
    assert limiter.settles_pending == 0


async def test_a_batch_is_applied_once_and_says_the_same_again(limiter):
    await limiter.admit(_wanted())
    packed = Packing().of(RULES, NOW_S)

    async def send(number, oldest):
        item = ("book", 0, packed.data, 0, 20)
        return await limiter._connection.run(SETTLE, limiter._tag, "q", number, oldest, *item)

    assert await send(2, 1) == [0]  # the first one is missing
    assert await send(1, 1) == [1, [0, 2, b"0.01", 20]]
    assert await send(1, 1) == [1, [0, 2, b"0.01", 20]]
    assert await send(2, 1) == [1]
    assert await send(1, 1) == [1, [0, 2, b"0.01", 20]]
    assert await send(9, 9) == [1]  # all before it are known to be applied
    assert await _spent(limiter) == [(0, 1), (60, 1)]


async def test_a_batch_that_came_too_early_is_sent_again_in_order(limiter):
    holds = [await limiter.admit(_wanted()) for _ in range(2)]
    limiter.settle(holds[0], 0, 5)
    limiter._settlements._next()  # made, and lost on its way
    limiter.settle(holds[1], 0, 6)
    await limiter.written()
    assert await _spent(limiter) == [(0, 0), (11, 0)]


async def test_what_finds_no_room_keeps_its_hold(limiter, monkeypatch):
    monkeypatch.setattr(settlements, "WAITING_MAX", 2)
    holds = [await limiter.admit(_wanted()) for _ in range(3)]
    for hold in holds:
        limiter.settle(hold, 0, 5)
    assert (limiter.settles_pending, limiter.settles_dropped) == (2, 1)
    await limiter.written()
    for _ in range(3):
        await limiter.members.beat()
    await limiter.written()
    assert (limiter.undone, await _spent(limiter)) == (0, [(0, 1), (10, 1)])


async def test_money_spent_elsewhere_is_added_up_and_bounded(limiter, monkeypatch):
    monkeypatch.setattr(settlements, "BOOKS_MAX", 1)
    await limiter.admit(_wanted())
    packing = Packing()
    one, other = packing.of(RULES, NOW_S), packing.of((MONEY,), NOW_S)
    for packed in (one, one, other):
        limiter._settlements.book(packed, 7)
    assert (limiter.settles_pending, limiter.settles_dropped) == (1, 1)
    await limiter.written()
    assert await _spent(limiter) == [(0, 1), (14, 1)]

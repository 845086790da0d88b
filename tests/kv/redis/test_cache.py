"""Redis away, frozen or odd is a miss, at once. What all stores do is in contract/test_cache.py."""

from __future__ import annotations

import asyncio
import time

import pytest

import heavy
import redis_service
from gatemill.core.errors import StartRefused
from gatemill.core.redis_address import address
from gatemill.kv.redis.cache import (
    PENDING_BYTES_MAX,
    PENDING_MAX,
    PREFIX,
    RedisAnswers,
    answers,
)
from gatemill.kv.redis.connection import DEADLINE_S, Connection
from gatemill.kv.redis.wire import QUEUED_S_MAX


@pytest.fixture
async def server():
    made = redis_service.Server()
    yield made
    made.thaw() if made._process else None
    made.remove()


async def opened(url: str, deadline_s: float = 5.0) -> RedisAnswers:
    store = RedisAnswers(Connection(address(url), deadline_s=deadline_s), "t:")
    assert await store.open()
    return store


@pytest.fixture
async def store():
    with redis_service.store() as url:
        made = await opened(url)
        made.url = url
        yield made
        await made.close()


async def test_without_redis_everything_is_a_miss_and_nothing_raises():
    store = RedisAnswers(Connection(address("redis://127.0.0.1:1")), "t:")
    store.put(b"k", b"v", 1)
    assert await store.get(b"k") is None
    assert store.failures == 2
    assert not await store.open()
    await store.close()


async def test_a_frozen_redis_is_a_miss_within_the_deadline_and_then_at_once(server):
    # A Redis that the machine keeps waiting is silent for a while, too.
    silence_s = DEADLINE_S if heavy.is_wanted() else QUEUED_S_MAX
    store = await opened(f"{server.url}/0", silence_s)
    store.put(b"k", b"v", 100)
    await store.written()
    server.freeze()
    began_s = time.monotonic()
    assert await store.get(b"k") is None
    first_s = time.monotonic() - began_s
    for _ in range(100):
        assert await store.get(b"k") is None
        store.put(b"k", b"w", 100)
    assert first_s < heavy.within(10 * DEADLINE_S)
    assert time.monotonic() - began_s < heavy.within(20 * DEADLINE_S)
    assert store.failures == 201
    assert not store._pending
    await store.close()


async def test_a_redis_that_stops_while_answers_are_written_fails_nobody(server):
    store = await opened(f"{server.url}/0")
    for at in range(PENDING_MAX):
        store.put(b"%d" % at, bytes(1000), 100)
    server.stop()
    await asyncio.wait_for(store.written(), 10)
    assert store.failures > 0
    assert not store._pending
    assert store._pending_bytes == 0
    await store.close()


async def test_what_waits_to_be_written_is_bounded(store):
    for at in range(PENDING_MAX + 5):
        store.put(b"%d" % at, b"v", 100)
    assert store.refused == 5
    await store.written()
    store.put(b"big", bytes(PENDING_BYTES_MAX), 100)
    store.put(b"more", b"v", 100)
    assert store.refused == 6


async def test_a_key_is_named_by_its_prefix_and_in_hex(store):
    store.put(b"\x00\xff", b"v", 100)
    await store.written()
    assert redis_service.command(store.url, "GET", "t:00ff") == "v"
    assert 0 < int(str(redis_service.command(store.url, "PTTL", "t:00ff"))) <= 100_000


async def test_a_key_that_holds_something_else_is_a_miss(store):
    redis_service.command(store.url, "LPUSH", "t:6b", "x")
    assert await store.get(b"k") is None


async def test_what_was_put_last_is_written_before_the_close():
    with redis_service.store() as url:
        store = await opened(url)
        store.put(b"k", b"v", 100)
        await store.close()
        assert redis_service.command(url, "GET", "t:6b") == "v"


async def test_a_store_connects_when_it_is_first_used_and_misses_until_then():
    with redis_service.store() as url:
        store = answers(url)
        assert await store.get(b"k") is None
        assert await store.open()
        store.put(b"k", b"v", 100)
        await store.written()
        assert await store.get(b"k") == b"v"
        assert redis_service.command(url, "GET", f"{PREFIX}6b") == "v"
        await store.close()


def test_an_address_that_is_none_is_refused_at_the_start():
    with pytest.raises(StartRefused):
        answers("http://127.0.0.1")


class Slow:
    """A connection whose replies wait for `gate`."""

    away = 0

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.written = []

    async def open(self):
        return True

    async def call(self, _command, name, *_words):
        await self.gate.wait()
        self.written.append(name)

    async def close(self):
        pass


async def test_whoever_waits_no_longer_for_what_is_written_stops_nothing():
    slow = Slow()
    store = RedisAnswers(slow, "t:")
    store.put(b"1", b"v", 100)
    store.put(b"2", b"v", 100)
    waiting = asyncio.ensure_future(store.written())
    for _ in range(3):  # the first of them is on its way
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    slow.gate.set()
    store.put(b"3", b"v", 100)
    await store.close()
    assert slow.written == [b"t:31", b"t:32", b"t:33"]

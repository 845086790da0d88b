"""What every store of answers does: memory and Redis over the same cases."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

import redis_service
from gatemill.core.clock import FakeClock
from gatemill.core.redis_address import address
from gatemill.kv.memory.cache import MemoryAnswers
from gatemill.kv.redis.cache import RedisAnswers
from gatemill.kv.redis.connection import Connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatemill.gateway.recall import Answers

PATIENCE_S = 60.0


class Bench:
    """One store, and how its time passes."""

    def __init__(self, store: Answers, clock: FakeClock | None) -> None:
        self.store = store
        self._clock = clock

    async def put(self, key: bytes, value: bytes, keep_s: float = 100) -> None:
        """Put, and written."""
        self.store.put(key, value, keep_s)
        if isinstance(self.store, RedisAnswers):
            await self.store.written()

    async def until_gone(self, key: bytes, keep_s: float) -> None:
        """`keep_s` seconds have passed, by the clock that the store goes by."""
        if self._clock is not None:
            self._clock.advance(keep_s)
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(1_000_000):
                if await self.store.get(key) is None:
                    return


@asynccontextmanager
async def memory() -> AsyncIterator[Bench]:
    clock = FakeClock()
    store = MemoryAnswers(1 << 20, clock)
    yield Bench(store, clock)
    await store.close()


@asynccontextmanager
async def redis() -> AsyncIterator[Bench]:
    with redis_service.store() as url:
        store = RedisAnswers(
            Connection(address(url), deadline_s=5.0), f"test-{secrets.token_hex(4)}:"
        )
        assert await store.open()
        yield Bench(store, None)
        await store.close()


ENGINES = {"memory": memory, "redis": redis}


@pytest.fixture(params=ENGINES)
async def bench(request):
    async with ENGINES[request.param]() as made:
        yield made


async def test_a_value_comes_back_byte_for_byte(bench):
    value = bytes(range(256)) * 100
    await bench.put(b"k" * 32, value)
    assert await bench.store.get(b"k" * 32) == value


async def test_any_bytes_are_a_key_and_no_two_keys_meet(bench):
    keys = [b"", b"\0", b"\0\0", b"a", b"A", b"a\r\n", b"*", "é".encode(), b"61", b"\xff" * 32]
    for at, key in enumerate(keys):
        await bench.put(key, b"%d" % at)
    assert [await bench.store.get(key) for key in keys] == [b"%d" % at for at in range(len(keys))]


async def test_what_was_never_put_is_a_miss(bench):
    assert await bench.store.get(b"none") is None


async def test_the_later_value_replaces_the_earlier(bench):
    await bench.put(b"k", b"old")
    await bench.put(b"k", b"new")
    assert await bench.store.get(b"k") == b"new"


async def test_an_empty_value_is_a_value(bench):
    await bench.put(b"k", b"")
    assert await bench.store.get(b"k") == b""


async def test_a_value_is_gone_when_its_time_is_over(bench):
    await bench.put(b"k", b"v", 0.05)
    await bench.put(b"long", b"v", 100)
    await bench.until_gone(b"k", 0.05)
    assert await bench.store.get(b"long") == b"v"


async def test_a_value_can_be_put_again_after_its_time(bench):
    await bench.put(b"k", b"v", 0.02)
    await bench.until_gone(b"k", 0.02)
    await bench.put(b"k", b"w")
    assert await bench.store.get(b"k") == b"w"


async def test_many_at_once_get_their_own(bench):
    for at in range(50):
        await bench.put(b"%d" % at, b"v%d" % at)
    found = await asyncio.gather(*(bench.store.get(b"%d" % at) for at in range(60)))
    assert found == [b"v%d" % at for at in range(50)] + [None] * 10


async def test_a_reader_who_gives_up_disturbs_nobody(bench):
    for at in range(20):
        await bench.put(b"%d" % at, b"v%d" % at)
    tasks = [asyncio.ensure_future(bench.store.get(b"%d" % at)) for at in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert found[1::2] == [b"v%d" % at for at in range(1, 20, 2)]


async def test_what_is_forgotten_is_gone_and_counted(bench):
    for number in range(1_203):
        bench.store.put(b"%032d" % number, b"v", 100)
        if number % 200 == 0 and isinstance(bench.store, RedisAnswers):
            await bench.store.written()
    await bench.put(b"k" * 32, b"v")
    assert await bench.store.forget() == 1_204
    assert await bench.store.get(b"k" * 32) is None
    assert await bench.store.forget() == 0

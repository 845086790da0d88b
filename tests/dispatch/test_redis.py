"""What becomes of a worker when Redis stops, is started again without its memory, or freezes."""

from __future__ import annotations

import asyncio
import time

import pytest

import heavy
import redis_service
from crowd import until
from gatemill.core.job import HIGH
from gatemill.core.redis_address import address
from gatemill.dispatch.redis import RedisBell
from listener import PATIENCE_S, Listener, called_off, listening, rings, sent


@pytest.fixture
def server():
    own = redis_service.Server()
    yield own
    own.remove()


def bell_at(url: str) -> RedisBell:
    return RedisBell(address(f"{url}/0"), time.time)


async def test_a_redis_that_is_started_again_is_used_again(server):
    front, back, ears = bell_at(server.url), bell_at(server.url), Listener()
    async with listening(back, ears):
        await front.ring(rings(1))
        await ears.until(lambda it: len(it.taken) == 1)
        await sent(front)
        await asyncio.to_thread(server.stop)
        await front.ring(rings(4))
        await front.close()
        assert front.lost == 4
        looks = ears.looks
        await asyncio.to_thread(server.start)
        await ears.until(lambda it: it.looks > looks)  # it looks for what it may have missed
        await front.ring(rings(2, HIGH))
        await ears.until(lambda it: len(it.taken) == 3)
        await called_off(front, ears, "job_9")
    for bell in (front, back):
        await bell.close()


async def test_a_frozen_redis_keeps_nobody_waiting(server):
    front, ears = bell_at(server.url), Listener()
    assert await front.open()
    server.freeze()
    try:
        async with asyncio.timeout(heavy.within(0.5)):
            await front.ring(rings(3))
        async with asyncio.timeout(heavy.within(10.0)):
            await front.close()
    finally:
        server.thaw()
    back = bell_at(server.url)
    async with listening(back, ears):
        await back.ring(rings(1, HIGH))
        await ears.until(lambda it: rings(1, HIGH)[0] in it.taken)
    await back.close()


async def test_a_key_of_another_type_is_waited_out(server):
    redis_service.command(f"{server.url}/0", "SET", "gatemill:jobs:inference:high", "mine")
    bell, ears = bell_at(server.url), Listener()
    async with listening(bell, ears):
        await bell.ring(rings(1, HIGH))
        await until(lambda: bell.lost == 1, PATIENCE_S)
        await ears.until(lambda it: it.looks > 2)  # on both connections, and again
        redis_service.command(f"{server.url}/0", "DEL", "gatemill:jobs:inference:high")
        await bell.ring(rings(1, HIGH))
        await ears.until(lambda it: it.taken)
    await bell.close()

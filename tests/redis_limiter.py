"""A limiter on a real Redis, with keys of its own that are gone afterwards."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis_service
from gatemill.core.clock import Clock
from gatemill.core.limits import Crossed, Rule, Spent
from gatemill.core.redis_address import address
from gatemill.kv.memory.limits import MemoryLimiter
from gatemill.kv.redis.connection import Connection
from gatemill.kv.redis.limits import Identity, RedisLimiter

# What an engine answers is asked here, and not how it bears a machine that is slow.
PATIENT_S = 5.0
READY_S = 60.0


async def nothing_spent(rule: Rule, start_s: float, end_s: float) -> int:
    return 0


def tells_nobody(rule: Rule, start_s: float, spent_microusd: int, share: float) -> None:
    pass


def prefix() -> str:
    return f"test-{secrets.token_hex(6)}:"


def made(
    url: str,
    clock: Clock,
    identity: Identity,
    spent: Spent = nothing_spent,
    crossed: Crossed = tells_nobody,
    deadline_s: float = PATIENT_S,
) -> RedisLimiter:
    """A limiter that is not open yet. To it Redis is away after `deadline_s` of silence."""
    connection = Connection(address(url), deadline_s=deadline_s)
    local = MemoryLimiter(nothing_spent, tells_nobody, clock)
    return RedisLimiter(connection, local, clock, spent, crossed, identity)


async def ready(found: RedisLimiter) -> RedisLimiter:
    """It is open, and Redis answers it, if not at once then soon."""
    await found.open()
    async with asyncio.timeout(READY_S):
        while True:  # it is asked again once a second
            if not found.away:
                return found
            await asyncio.sleep(0.1)


def forget(url: str, begin: str) -> None:
    """No key that begins so is left."""
    names = redis_service.command(url, "KEYS", begin + "*")
    assert isinstance(names, list)
    if names:
        redis_service.command(url, "DEL", *names)


@asynccontextmanager
async def redis(clock: Clock, spent: Spent, crossed: Crossed) -> AsyncIterator[RedisLimiter]:
    """As limiter_engines.py wants it."""
    url, begin = redis_service.address(), prefix()
    found = await ready(made(url, clock, Identity(secrets.token_hex(4), begin), spent, crossed))
    try:
        yield found
    finally:
        await found.close()
        forget(url, begin)

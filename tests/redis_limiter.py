"""A limiter on a real Redis, with keys of its own that are gone afterwards."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis_service
from gatemill.core.clock import Clock
from gatemill.core.limits import Crossed, Rule, Spent
from gatemill.kv.memory.limits import MemoryLimiter
from gatemill.kv.redis.limits import Identity, RedisLimiter, limiter


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
) -> RedisLimiter:
    """A limiter that is not open yet."""
    local = MemoryLimiter(nothing_spent, tells_nobody, clock)
    return limiter(url, local, clock, spent, crossed, identity)


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
    found = made(url, clock, Identity(secrets.token_hex(4), begin), spent, crossed)
    assert await found.open()
    try:
        yield found
    finally:
        await found.close()
        forget(url, begin)

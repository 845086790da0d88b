"""The engines that pass test_limiter.py. To add one: write its context manager, name it in ENGINES.

An engine takes all time from the clock given here, `wanted.unix_s` or `levels(..., unix_s)`, never
from a server. Each use starts with empty counters, and leaves nothing behind in a shared server.
An engine whose `settle` writes later has a coroutine method `written()`, after which everything
settled so far counts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from gatemill.core.clock import FakeClock
from gatemill.core.limits import Crossed, Spent
from gatemill.core.ports import Limiter
from gatemill.kv.memory.limits import MemoryLimiter
from redis_limiter import redis

Engine = Callable[[FakeClock, Spent, Crossed], AbstractAsyncContextManager[Limiter]]


@asynccontextmanager
async def memory(clock: FakeClock, spent: Spent, crossed: Crossed) -> AsyncIterator[Limiter]:
    limiter = MemoryLimiter(spent, crossed, clock)
    yield limiter
    await limiter.close()


ENGINES: dict[str, Engine] = {"memory": memory, "redis": redis}


async def written(limiter: Limiter) -> None:
    """Everything settled so far counts."""
    wait = getattr(limiter, "written", None)
    if wait is not None:
        await wait()

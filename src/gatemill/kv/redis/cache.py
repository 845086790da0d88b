"""Answers kept in Redis, for all processes. Rule: a Redis that is slow, away or odd is a miss.

It has a connection of its own: a large answer must not make the limiter's replies late.
"""

from __future__ import annotations

import asyncio
from collections import deque

from gatemill.core.redis_address import address
from gatemill.core.tasks import spawn
from gatemill.kv.redis.connection import Connection
from gatemill.kv.redis.wire import Away

PREFIX = "gm:answer:"
PENDING_MAX = 256  # answers that wait to be written; more are not kept
PENDING_BYTES_MAX = 16 << 20
_SCAN_KEYS = 500  # looked at in one step of `forget`


class RedisAnswers:
    """Bytes by key, for a while."""

    def __init__(self, connection: Connection, prefix: str) -> None:
        """`connection` is this cache's alone, and is closed with it."""
        self._connection = connection
        self._prefix = prefix.encode()
        self._pending: deque[tuple[bytes, bytes, int]] = deque()  # name, value, milliseconds
        self._pending_bytes = 0
        self._opening: asyncio.Task[bool] | None = None
        self._writer: asyncio.Task[None] | None = None  # runs while something is pending
        self.failures = 0  # Redis was away, or refused
        self.refused = 0  # not written, because too much was pending

    async def open(self) -> bool:
        """Whether Redis answers. Whoever does not wait for this misses until it does."""
        self._begin()
        assert self._opening is not None
        return await asyncio.shield(self._opening)

    async def get(self, key: bytes) -> bytes | None:
        """The value; None within the connection's deadline when there is none or Redis is away."""
        self._begin()
        try:
            reply = await self._connection.call("GET", self._name(key))
        except Away:
            self.failures += 1
            reply = None
        return reply if isinstance(reply, bytes) else None

    def put(self, key: bytes, value: bytes, keep_s: float) -> None:
        """The value is written soon and kept for `keep_s` seconds. Never waits, never raises."""
        self._begin()
        if self._connection.away:
            self.failures += 1
            return
        full = self._pending_bytes + len(value) > PENDING_BYTES_MAX
        if full or len(self._pending) >= PENDING_MAX:
            self.refused += 1
            return
        self._pending.append((self._name(key), value, max(1, int(keep_s * 1000))))
        self._pending_bytes += len(value)
        if self._writer is None:
            self._writer = spawn(self._write(), "redis-answers")

    async def written(self) -> None:
        """Nothing is pending any more."""
        if self._writer is not None:
            await asyncio.wait([self._writer])  # it is not ours to cancel

    async def forget(self) -> int:
        """The number of values that are gone: all there were, unless Redis went away meanwhile."""
        self._begin()
        await self.written()
        count, cursor = 0, b"0"
        try:
            while True:
                reply = await self._connection.call(
                    "SCAN", cursor, "MATCH", self._prefix + b"*", "COUNT", _SCAN_KEYS
                )
                assert isinstance(reply, list)
                cursor, names = reply
                if names:
                    count += int(await self._connection.call("UNLINK", *names))
                if cursor == b"0":
                    return count
        except Away:
            self.failures += 1
            return count

    async def close(self) -> None:
        """What was put is written, if Redis takes it, and the connection is released."""
        await self.written()
        if self._opening is not None:
            await self._opening
        await self._connection.close()

    def _begin(self) -> None:
        if self._opening is None:
            self._opening = spawn(self._connection.open(), "redis-answers-open")

    async def _write(self) -> None:
        # One at a time: the deadline of each then counts for one answer only.
        try:
            while self._pending:
                name, value, keep_ms = self._pending.popleft()
                try:
                    await self._connection.call("SET", name, value, "PX", keep_ms)
                except Away:
                    self.failures += 1
                finally:
                    self._pending_bytes -= len(value)
        finally:
            self._writer = None

    def _name(self, key: bytes) -> bytes:
        return self._prefix + key.hex().encode()


def answers(url: str) -> RedisAnswers:
    """The store on the Redis of a URL; it connects when it is first used. Raises StartRefused."""
    return RedisAnswers(Connection(address(url)), PREFIX)

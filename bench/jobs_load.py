"""HTTP load in one process, on raw sockets. Rule: it counts every answer, and times it from when it was due."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from bench.failures import BenchStopped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ANSWER_S_MAX = 60.0
_HEAD_BYTES_MAX = 1 << 16


class Place(Struct, frozen=True):
    """Whom to ask, and as whom."""

    host: str
    port: int
    key: str


class Answer(Struct, frozen=True):
    """A complete one."""

    status: int
    body: bytes


class Load(Struct, frozen=True):
    """What became of many requests."""

    seconds: float
    failed: int  # answered with another status than expected
    latencies_s: list[float]  # ascending


def request(place: Place, method: str, path: str, body: bytes = b"", kind: str = "") -> bytes:
    """A whole request, for a connection that stays."""
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: {place.host}:{place.port}\r\n"
        f"authorization: Bearer {place.key}\r\ncontent-length: {len(body)}\r\n"
        f"content-type: {kind or 'application/json'}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """One that stays, for one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, data: bytes) -> Answer:
        """The answer to a request. Raises BenchStopped."""
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                self._writer.write(data)
                head = await self._reader.readuntil(b"\r\n\r\n")
                length = int(_field(head, b"content-length") or 0)
                return Answer(int(head[9:12]), await self._reader.readexactly(length))
        except (OSError, EOFError, TimeoutError) as error:
            raise BenchStopped(f"the server did not answer: {error!r}") from error

    async def close(self) -> None:
        """It has ended."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


async def connected(place: Place, count: int) -> list[Connection]:
    """So many connections."""
    opened = [
        asyncio.open_connection(place.host, place.port, limit=_HEAD_BYTES_MAX) for _ in range(count)
    ]
    return [Connection(*each) for each in await asyncio.gather(*opened)]


async def ask(place: Place, data: bytes) -> Answer:
    """The answer to one request, on a connection of its own."""
    (connection,) = await connected(place, 1)
    try:
        return await connection.ask(data)
    finally:
        await connection.close()


async def at_full_speed(
    place: Place, requests: Sequence[bytes], connections: int, status: int
) -> Load:
    """All requests, each connection sending the next one after its answer."""
    opened = await connected(place, connections)
    rest = iter(requests)
    tally = _Tally(status)

    async def work(connection: Connection) -> None:
        for data in rest:
            due_s = time.perf_counter()
            tally.add(due_s, await connection.ask(data))

    started_s = time.perf_counter()
    await asyncio.gather(*(work(each) for each in opened))
    seconds = time.perf_counter() - started_s
    for each in opened:
        await each.close()
    return tally.load(seconds)


async def at_rate(place: Place, data: bytes, per_s: float, seconds: float) -> Load:
    """The same request evenly spaced; its time counts from when it was due, sent late or not."""
    free = deque(await connected(place, 16))
    tally = _Tally(200)

    async def one(due_s: float) -> None:
        connection = free.popleft() if free else (await connected(place, 1))[0]
        tally.add(due_s, await connection.ask(data))
        free.append(connection)

    started_s = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for due_s in _dues(started_s, per_s, seconds):
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            tasks.create_task(one(due_s))
    for connection in free:
        await connection.close()
    return tally.load(time.perf_counter() - started_s)


class _Tally:
    """Answers as they come."""

    def __init__(self, status: int) -> None:
        self._status = status
        self._failed = 0
        self._latencies_s: list[float] = []

    def add(self, due_s: float, answer: Answer) -> None:
        """One more, just now."""
        self._latencies_s.append(time.perf_counter() - due_s)
        self._failed += answer.status != self._status

    def load(self, seconds: float) -> Load:
        """All of them."""
        return Load(seconds, self._failed, sorted(self._latencies_s))


def _dues(started_s: float, per_s: float, seconds: float) -> Iterator[float]:
    return (started_s + number / per_s for number in range(round(per_s * seconds)))


def _field(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(name + b":"):
            return line.split(b":", 1)[1].strip()
    return b""

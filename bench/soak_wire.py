"""HTTP for the soak: kept connections that live shortly. Rule: whatever is not a whole answer is an error with its reason."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER_S_MAX = 60.0
KEEP_ALIVE_S = 5.0  # after which the gateway closes an idle connection
_IDLE_S_MAX = 2.0  # an older one is not used again, so that the two never close at once
_LIFE_S = (0.5, 10.0)  # of a connection, drawn for each
_LIMIT = 1 << 20


class Broken(Exception):
    """There was no whole answer."""


class Answer(Struct, frozen=True):
    """A whole one."""

    status: int
    body: bytes
    head: bytes = b""  # as it came

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.ends_s = time.monotonic() + random.uniform(*_LIFE_S)
        self.released_s = 0.0

    async def ask(self, data: bytes) -> tuple[Answer, bool]:
        """The answer, and whether the connection stays. Raises Broken."""
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                self._writer.write(data)
                head = await self._reader.readuntil(b"\r\n\r\n")
                lower = head.lower()
                body = await self._body(lower)
        except asyncio.IncompleteReadError as error:
            raise Broken(f"closed after {len(error.partial)} bytes of a part") from error
        except TimeoutError as error:
            raise Broken(f"no answer within {ANSWER_S_MAX:.0f} s") from error
        except (OSError, ValueError, asyncio.LimitOverrunError) as error:
            raise Broken(repr(error)) from error
        return Answer(int(head[9:12]), body, head), b"\r\nconnection: close" not in lower

    async def begin(self, data: bytes, wait_s: float) -> None:
        """The request is sent, and its first bytes have come or the time is over."""
        self._writer.write(data)
        try:
            async with asyncio.timeout(wait_s):
                await self._reader.read(64)
        except (OSError, TimeoutError):
            pass

    def close(self) -> None:
        """It ends at once, whatever was under way."""
        self._writer.transport.abort()

    async def _body(self, head: bytes) -> bytes:
        if b"\r\ntransfer-encoding: chunked" in head:
            parts = []
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                parts.append(await self._reader.readexactly(size))
                await self._reader.readexactly(2)
            await self._reader.readexactly(2)
            return b"".join(parts)
        _, found, rest = head.partition(b"\r\ncontent-length:")
        length = int(rest.partition(b"\r\n")[0]) if found else 0
        return await self._reader.readexactly(length)


class Wires:
    """Connections to one server; at most as many as requests were under way."""

    def __init__(self, port: int, key: str) -> None:
        self.port = port
        self.key = key
        self._free: list[Wire] = []
        self.opened = 0
        self.raced = 0  # both sides closed an idle connection in the same moment

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The bytes of a request, with our key unless `headers` bring another."""
        fields = {
            "host": f"127.0.0.1:{self.port}",
            "authorization": f"Bearer {self.key}",
            "content-type": "application/json",
            "content-length": str(len(body)),
            **(headers or {}),
        }
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def ask(self, data: bytes) -> Answer:
        """The answer to a request, on a kept connection if there is one. Raises Broken."""
        kept = self._kept()
        wire = kept or await self.open()
        try:
            answer, stays = await wire.ask(data)
        except Broken:
            wire.close()
            if kept is None or time.monotonic() - kept.released_s < KEEP_ALIVE_S - 1.0:
                raise
            self.raced += 1
            return await self.ask(data)
        wire.released_s = time.monotonic()
        if stays and wire.released_s < wire.ends_s:
            self._free.append(wire)
        else:
            wire.close()
        return answer

    async def open(self) -> Wire:
        """A new connection. Raises Broken."""
        self.opened += 1
        try:
            return Wire(*await asyncio.open_connection("127.0.0.1", self.port, limit=_LIMIT))
        except OSError as error:
            raise Broken(f"cannot connect: {error!r}") from error

    def close(self) -> None:
        """No idle connection is left."""
        for wire in self._free:
            wire.close()
        self._free.clear()

    def _kept(self) -> Wire | None:
        now_s = time.monotonic()
        while self._free:
            wire = self._free.pop()
            if now_s < wire.ends_s and now_s - wire.released_s < _IDLE_S_MAX:
                return wire
            wire.close()
        return None

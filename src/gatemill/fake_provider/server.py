"""The fake provider on a real socket: `start` for tests, `serve_forever` for the command line.

Rule: no tasks. A connection plays its steps with loop timers, so that nothing outlives its client.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from gatemill.core.clock import SystemClock
from gatemill.fake_provider.answer import Asked, Counts, answer, decoded
from gatemill.fake_provider.connection import Connection
from gatemill.fake_provider.delivery import Answer, Delivery
from gatemill.fake_provider.journal import Journal

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

    from gatemill.core.clock import Clock
    from gatemill.fake_provider.journal import Row
    from gatemill.fake_provider.steps import Request, Step

_BACKLOG = 1024


class FakeProvider:
    """A running provider. Attributes: `url`, `port`, `journal`."""

    def __init__(self) -> None:
        self.url = ""  # written by start
        self.port = 0  # written by start
        self.journal = Journal()
        self.clock: Clock = SystemClock()
        self._counts = Counts()
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._accepted = 0
        self._empty: asyncio.Future[None] | None = None  # resolved when the last one has gone

    def joined(self, connection: Connection) -> int:
        """The connection's number, from 1."""
        self._connections.add(connection)
        self._accepted += 1
        return self._accepted

    def left(self, connection: Connection) -> None:
        """The connection is closed."""
        self._connections.discard(connection)
        if self._empty is not None and not self._connections and not self._empty.done():
            self._empty.set_result(None)

    def respond(self, request: Request, connection: int) -> tuple[Row | None, Iterator[Step]]:
        """The steps that answer the request, and its row; None for the provider's own pages."""
        own = self._own(request)
        faults: Mapping[str, float] = {}
        row = None
        if own is None:
            body = decoded(request.body)
            row = self.journal.open(request, connection, body)
            now_s = self.clock.unix_s()
            own, faults = answer(Asked(request, body, row, now_s, self._counts))
            self.journal.changed(row)
        delivery = Delivery(faults, version=request.version, keeps_alive=request.keeps_alive)
        return row, delivery.steps(own)

    async def stop(self) -> None:
        """The port is free and every connection is gone; requests under way end as "stopped"."""
        if self._server is None:
            return
        self._server.close()
        if self._connections:
            self._empty = asyncio.get_running_loop().create_future()
            for connection in list(self._connections):
                connection.stop()
            await self._empty
        await self._server.wait_closed()
        self._server = None

    def listens(self, server: asyncio.Server, host: str, scheme: str) -> None:
        """`url` and `port` are known."""
        self._server = server
        self.port = server.sockets[0].getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{scheme}://{shown}:{self.port}"

    def _own(self, request: Request) -> Answer | None:
        path, _, query = request.target.partition("?")
        if request.method != "GET" or path not in {"/livez", "/journal"}:
            return None
        if path == "/livez":
            return Answer(200, [("content-type", "text/plain")], b"ok\n")
        body = msgspec.json.encode(list(self.journal))
        dropped = ("x-journal-dropped", str(self.journal.dropped))
        if "clear=1" in query.split("&"):
            self.journal.clear()
            self._counts.clear()
        return Answer(200, [("content-type", "application/json"), dropped], body)


async def start(host: str, port: int, ssl_context: ssl.SSLContext | None = None) -> FakeProvider:
    """A provider that listens; port 0 takes a free one. The caller awaits `stop()`."""
    provider = FakeProvider()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(provider), host, port, ssl=ssl_context, backlog=_BACKLOG
    )
    provider.listens(server, host, "https" if ssl_context else "http")
    return provider


async def serve_forever(host: str, port: int, on_ready: Callable[[FakeProvider], None]) -> None:
    """Serves until cancelled; `on_ready` is called once the port listens."""
    provider = await start(host, port)
    try:
        on_ready(provider)
        await asyncio.get_running_loop().create_future()
    finally:
        await provider.stop()

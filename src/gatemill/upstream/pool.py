"""Our own HTTP/1.1 client: keep-alive connections to one provider.

Rule: a connection whose exchange did not end cleanly is closed, never reused. Decision 003 says why
this is ours: the client is the largest single cost of a gateway.
"""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gatemill.core.errors import (
    Overloaded,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gatemill.core.tasks import Turn
from gatemill.upstream.connection import Connection
from gatemill.upstream.exchange import Exchange

if TYPE_CHECKING:
    import ssl
    from collections.abc import Coroutine

    from gatemill.core.call import Timeouts
    from gatemill.core.ports import Incoming, Outgoing, Source

WAITING_MAX = 1024  # exchanges that wait for a connection; above it Overloaded
# A kept connection that the provider has closed shows it within a round trip. One that closes later
# may have worked on the request, which is then not sent again.
STALE_S = 1.0
HEADS_MAX = 1024  # a path may hold a model's name, which callers choose; then all are made anew
_SWEEP_S = 0.05


class Pool:
    """Connections to one provider; satisfies ports.Transport.

    `base_url` is scheme, host, port and path prefix; `headers` go with every request, the provider's
    key among them. At most `connections_max` sockets are open; up to WAITING_MAX exchanges wait for one.
    With `socket_path` they are Unix sockets to a process of this machine, whatever the host is called.
    """

    def __init__(
        self,
        base_url: str,
        headers: tuple[tuple[str, str], ...],
        *,
        connections_max: int,
        tls: ssl.SSLContext | None,
        socket_path: str = "",
    ) -> None:
        url = urlsplit(base_url)
        assert url.scheme != "https" or tls is not None, "https needs a TLS context"
        self._host = url.hostname or ""
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._tls = tls if url.scheme == "https" else None
        self._socket_path = socket_path
        self._base_path = url.path.rstrip("/")
        self._netloc = url.netloc.rpartition("@")[2]
        self._headers = headers
        self._connections_max = connections_max
        self._heads: dict[str, bytes] = {}  # request heads by path; at most HEADS_MAX
        self._idle: list[Connection] = []  # last in, first out: the warmest socket is used again
        self._busy: set[Connection] = set()
        self._opening = 0
        self._woken = 0  # of those in _waiting: may go on, and have not done so yet
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()
        self._loop = asyncio.get_running_loop()
        self.turn = Turn(self._loop)
        self._sweep: asyncio.TimerHandle | None = None
        self.now = self._loop.time

    def exchange(
        self, out: Outgoing, timeouts: Timeouts, deadline_s: float
    ) -> Coroutine[Any, Any, Incoming]:
        """The complete answer; see ports.Transport."""
        # Not `async def`: the coroutine of _run is given on, instead of one around it.
        whole: Coroutine[Any, Any, Any] = self._run(out, timeouts, deadline_s, stream=False)
        return whole

    def open(
        self, out: Outgoing, timeouts: Timeouts, deadline_s: float
    ) -> Coroutine[Any, Any, Incoming | Source]:
        """A source, or the complete answer when it is not an event stream; see ports.Transport."""
        return self._run(out, timeouts, deadline_s, stream=True)

    async def close(self) -> None:
        """Idle connections are closed; busy ones end with their exchange."""
        self._connections_max = 0
        for connection in self._idle:
            if connection.transport is not None:
                connection.transport.close()
        self._idle.clear()

    # --- Called by connections -----------------------------------------------------------------------

    def release(self, connection: Connection, *, keep: bool) -> None:
        """An answer is complete: the connection is idle, or closed."""
        self._busy.discard(connection)
        transport = connection.transport
        if transport is not None:
            if keep and self._connections_max and not transport.is_closing():
                connection.reused = True
                self._idle.append(connection)
            else:
                # Not close(): that would wait for a request which the provider does not read.
                transport.abort()
        self._wake()

    def gone(self, connection: Connection) -> None:
        """A connection has closed."""
        if connection in self._busy:
            self._busy.remove(connection)
            self._wake()
        elif connection in self._idle:
            self._idle.remove(connection)

    # --- Inside ----------------------------------------------------------------------------------

    async def _run(
        self, out: Outgoing, timeouts: Timeouts, deadline_s: float, *, stream: bool
    ) -> Incoming | Source:
        head = self._heads.get(out.path) or self._head(out.path)
        if out.headers:
            # content-length stays last, because send() completes it.
            extra = "".join(f"{name}: {value}\r\n" for name, value in out.headers).encode("latin-1")
            head = head.removesuffix(b"content-length: ") + extra + b"content-length: "
        connection = None if self._waiting else self._take()
        if connection is None:
            connection = await self._connect(timeouts, deadline_s)
        while True:
            future: asyncio.Future[Incoming | Source] = self._loop.create_future()
            exchange = Exchange(future, stream=stream)
            sent_s = self._limit(exchange, timeouts, deadline_s)
            self._busy.add(connection)
            reused = connection.reused
            connection.send(exchange, head, out.body)
            try:
                return await future
            except UpstreamUnreachable:
                if not reused or self.now() - sent_s >= STALE_S:
                    raise
            except asyncio.CancelledError:
                exchange.abort()
                if future.done() and not future.cancelled():
                    future.exception()  # it failed in the same moment, and nobody will ask
                raise
            finally:
                del future  # it keeps its failure, whose traceback holds this frame
            # The provider closed the kept connection while our request was on its way. It is sent
            # once more, on a new connection, which cannot have this fault.
            connection = await self._connect(timeouts, deadline_s, fresh=True)

    def _limit(self, exchange: Exchange, timeouts: Timeouts, deadline_s: float) -> float:
        """The time of sending, from which the exchange's limits are counted."""
        now_s = self.now()
        exchange.between_s = timeouts.between_chunks_s
        exchange.total_expires_s = min(deadline_s, now_s + timeouts.total_s)
        exchange.expires_s = min(exchange.total_expires_s, now_s + timeouts.first_token_s)
        if self._sweep is None:
            self._sweep = self._loop.call_later(_SWEEP_S, self._expire)
        return now_s

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                return connection
        return None

    async def _connect(
        self, timeouts: Timeouts, deadline_s: float, *, fresh: bool = False
    ) -> Connection:
        """A connection of one's own, after those who waited longer. `fresh`: not a kept one."""
        if len(self._busy) + self._opening + self._woken >= max(1, self._connections_max):
            await self._wait(deadline_s)
        kept = self._take()
        if kept is not None and not fresh:
            return kept
        if kept is not None:
            kept.abort()  # makes room
        self._opening += 1
        connection: Connection | None = None
        try:
            connection = await self._open(min(deadline_s, self.now() + timeouts.connect_s))
        finally:
            self._opening -= 1
            if connection is None:
                self._wake()
        return connection

    async def _open(self, deadline_s: float) -> Connection:
        try:
            async with asyncio.timeout_at(deadline_s):
                if self._socket_path:
                    _, connection = await self._loop.create_unix_connection(
                        lambda: Connection(self), self._socket_path
                    )
                else:
                    _, connection = await self._loop.create_connection(
                        lambda: Connection(self), self._host, self._port, ssl=self._tls
                    )
        except TimeoutError:
            raise UpstreamTimeout.unsent("Connecting to the provider took too long.") from None
        except OSError as error:
            raise UpstreamUnreachable("The provider cannot be reached.") from error
        if connection.transport is None or connection.transport.is_closing():
            raise UpstreamUnreachable("The provider closed the connection at once.")
        return connection

    async def _wait(self, deadline_s: float) -> None:
        """Returns when a connection is idle or may be opened, and it is this caller's turn."""
        if len(self._waiting) >= WAITING_MAX:
            raise Overloaded(
                "Too many requests wait for this provider. Retry later.", retry_after_s=1
            )
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        taken = False
        try:
            async with asyncio.timeout_at(deadline_s):
                await turn
            taken = True
        except TimeoutError:
            raise UpstreamTimeout.unsent(
                "No connection to the provider became free in time."
            ) from None
        finally:
            self._waiting.remove(turn)
            if turn.done() and not turn.cancelled():
                self._woken -= 1
                if not taken:  # whoever left in this moment passes the turn on
                    self._wake()

    def _wake(self) -> None:
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
                self._woken += 1
                return

    def _expire(self) -> None:
        now_s = self.now()
        for connection in [c for c in self._busy if c.exchange and c.exchange.expires_s < now_s]:
            exchange = connection.exchange
            assert exchange is not None
            connection.abort()
            out_of_time = exchange.expires_s >= exchange.total_expires_s
            phase = "total_s" if out_of_time else exchange.phase
            exchange.fail(UpstreamTimeout(f"The provider exceeded {phase}."))
        self._sweep = self._loop.call_later(_SWEEP_S, self._expire) if self._busy else None

    def _head(self, path: str) -> bytes:
        lines = [f"POST {self._base_path}{path} HTTP/1.1", f"host: {self._netloc}"]
        lines += ["content-type: application/json", "accept: application/json, text/event-stream"]
        lines += [
            "accept-encoding: identity",
            *(f"{name}: {value}" for name, value in self._headers),
        ]
        if len(self._heads) >= HEADS_MAX:
            self._heads.clear()
        head = self._heads[path] = ("\r\n".join(lines) + "\r\ncontent-length: ").encode("latin-1")
        return head

"""Our own HTTP/1.1 client: keep-alive connections to one provider.

Rule: a connection whose exchange did not end cleanly is closed, never reused. Decision 003 says why
this is ours: the client is the largest single cost of a gateway.
"""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httptools

from gatemill.core.errors import (
    GatemillError,
    Overloaded,
    UpstreamBadReply,
    UpstreamInterrupted,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gatemill.upstream.exchange import Exchange

if TYPE_CHECKING:
    import ssl

    from gatemill.core.call import Timeouts
    from gatemill.core.ports import Incoming, Outgoing, Source

HEADER_BYTES_MAX = 64 << 10
WAITING_MAX = 1024  # exchanges that wait for a connection; above it Overloaded
# A kept connection that the provider has closed shows it within a round trip. One that closes later
# may have worked on the request, which is then not sent again.
STALE_S = 1.0
_SWEEP_S = 0.1


class Connection(asyncio.Protocol):
    """One socket; at most one exchange at a time."""

    __slots__ = ("_head_bytes", "_parser", "exchange", "pool", "reused", "transport")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.transport: asyncio.Transport | None = None  # None once closed
        self.exchange: Exchange | None = None  # set by pool, cleared at the end of the answer
        self.reused = False
        self._head_bytes = 0  # received of an answer whose headers are not complete
        self._parser = httptools.HttpResponseParser(self)

    # --- asyncio.Protocol ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        self.transport = transport  # type: ignore[assignment]  # TCP and TLS transports are both

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the exchange: well if its answer is delimited by the close, else as a failure."""
        self.transport = None
        exchange = self.exchange
        self.pool.gone(self)
        if exchange is None:
            return
        self.exchange = None
        if exc is None and _ends_with_close(exchange):
            exchange.end()
        elif exchange.phase != "first_token_s":
            exchange.fail(UpstreamInterrupted("The provider closed the connection mid-answer."))
        else:
            exchange.fail(UpstreamUnreachable("The provider closed the connection unanswered."))

    def data_received(self, data: bytes) -> None:
        """Feeds the parser and pushes one read's worth to the sink."""
        exchange = self.exchange
        if exchange is None:  # bytes nobody asked for: the connection cannot be trusted any more
            self.abort()
            return
        exchange.phase = "between_chunks_s"
        exchange.expires_s = min(self.pool.now() + exchange.between_s, exchange.total_expires_s)
        try:
            self._parser.feed_data(data)
            if not exchange.status:
                self._bound(len(data))
            exchange.flush()
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, GatemillError) as error:
            ours = error if isinstance(error, GatemillError) else error.__context__
            if not isinstance(ours, GatemillError):
                ours = UpstreamBadReply("The provider's answer is not HTTP.")
            # The answer's end may have handed the connection to the next exchange already.
            current = self.exchange
            self.abort()
            if current is not None:
                current.fail(ours)

    # --- httptools callbacks -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins; one that nobody asked for costs the connection."""
        if self.exchange is None:
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collects a header."""
        if self.exchange is not None:
            self.exchange.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begins the answer; interim answers (1xx) are skipped."""
        status = self._parser.get_status_code()
        exchange = self.exchange
        if exchange is None:
            return
        if status < 200:
            exchange.headers.clear()
            return
        headers_bytes = sum([len(name) + len(value) for name, value in exchange.headers])
        if headers_bytes > HEADER_BYTES_MAX:
            raise _headers_too_large()
        self._head_bytes = 0
        exchange.begin(status)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self.exchange is not None:
            self.exchange.body(data)

    def on_message_complete(self) -> None:
        """Ends the answer and frees the connection."""
        exchange = self.exchange
        if exchange is None or exchange.status == 0:
            return
        self.exchange = None
        self.pool.release(self, keep=self._parser.should_keep_alive())
        exchange.end()

    # --- Called by pool and exchange -----------------------------------------------------------------

    def send(self, exchange: Exchange, head: bytes, body: bytes) -> None:
        """Put the request on the wire."""
        assert self.transport is not None
        self.exchange = exchange
        exchange.connection = self
        self.transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))

    def pause(self) -> None:
        """Stop reading."""
        if self.transport is not None:
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again; the clock between chunks starts anew."""
        if self.transport is not None:
            exchange = self.exchange
            if exchange is not None:
                next_s = self.pool.now() + exchange.between_s
                exchange.expires_s = min(next_s, exchange.total_expires_s)
            self.transport.resume_reading()

    def abort(self) -> None:
        """Close without ceremony; the exchange hears nothing."""
        self.exchange = None
        if self.transport is not None:
            self.transport.abort()

    def _bound(self, received_bytes: int) -> None:
        # The parser collects a header until it is complete, so unfinished ones count as well.
        self._head_bytes += received_bytes
        if self._head_bytes > HEADER_BYTES_MAX:
            raise _headers_too_large()


class Pool:
    """Connections to one provider; satisfies ports.Transport.

    `base_url` is scheme, host, port and path prefix; `headers` go with every request, the provider's
    key among them. At most `connections_max` sockets are open; up to WAITING_MAX exchanges wait for one.
    """

    def __init__(
        self,
        base_url: str,
        headers: tuple[tuple[str, str], ...],
        *,
        connections_max: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        url = urlsplit(base_url)
        assert url.scheme != "https" or tls is not None, "https needs a TLS context"
        self._host = url.hostname or ""
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._tls = tls if url.scheme == "https" else None
        self._base_path = url.path.rstrip("/")
        self._netloc = url.netloc.rpartition("@")[2]
        self._headers = headers
        self._connections_max = connections_max
        self._heads: dict[str, bytes] = {}  # request heads by path; as many as there are operations
        self._idle: list[Connection] = []  # last in, first out: the warmest socket is used again
        self._busy: set[Connection] = set()
        self._opening = 0
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()
        self._loop = asyncio.get_running_loop()
        self._sweep: asyncio.TimerHandle | None = None
        self.now = self._loop.time

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """The complete answer; see ports.Transport."""
        answer = await self._run(out, timeouts, deadline_s, stream=False)
        assert not isinstance(answer, Exchange)
        return answer  # type: ignore[return-value]

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """A source, or the complete answer when it is not an event stream; see ports.Transport."""
        return await self._run(out, timeouts, deadline_s, stream=True)

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
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake()

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
        try:
            return await self._send(connection, (head, out.body), timeouts, deadline_s, stream=stream)
        except _StaleConnection:
            # The provider closed the kept connection while our request was on its way. It is sent once
            # more, on a new connection, which cannot have this fault.
            connection = await self._connect(timeouts, deadline_s, fresh=True)
        return await self._send(connection, (head, out.body), timeouts, deadline_s, stream=stream)

    async def _send(
        self,
        connection: Connection,
        request: tuple[bytes, bytes],
        timeouts: Timeouts,
        deadline_s: float,
        *,
        stream: bool,
    ) -> Incoming | Source:
        future: asyncio.Future[Incoming | Source] = self._loop.create_future()
        exchange = Exchange(future, stream=stream)
        self._limit(exchange, timeouts, deadline_s)
        self._busy.add(connection)
        reused = connection.reused
        sent_s = self.now()
        connection.send(exchange, *request)
        try:
            return await future
        except UpstreamUnreachable:
            if reused and self.now() - sent_s < STALE_S:
                raise _StaleConnection from None
            raise
        except asyncio.CancelledError:
            exchange.abort()
            if future.done() and not future.cancelled():
                future.exception()  # it failed in the same moment, and nobody will ask
            raise

    def _limit(self, exchange: Exchange, timeouts: Timeouts, deadline_s: float) -> None:
        now_s = self.now()
        exchange.between_s = timeouts.between_chunks_s
        exchange.total_expires_s = min(deadline_s, now_s + timeouts.total_s)
        exchange.expires_s = min(exchange.total_expires_s, now_s + timeouts.first_token_s)
        if self._sweep is None:
            self._sweep = self._loop.call_later(_SWEEP_S, self._expire)

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
        if self._waiting or len(self._busy) + self._opening >= max(1, self._connections_max):
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
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self), self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise UpstreamTimeout("Connecting to the provider took too long.") from None
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
        # It stays in the queue until it is taken, so that newcomers cannot take what it was given.
        self._waiting.append(turn)
        taken = False
        try:
            async with asyncio.timeout_at(deadline_s):
                await turn
            taken = True
        except TimeoutError:
            raise UpstreamTimeout("No connection to the provider became free in time.") from None
        finally:
            self._waiting.remove(turn)
            if not taken and turn.done() and not turn.cancelled():
                self._wake()

    def _wake(self) -> None:
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
                return

    def _expire(self) -> None:
        now_s = self.now()
        for connection in [c for c in self._busy if c.exchange and c.exchange.expires_s < now_s]:
            exchange = connection.exchange
            assert exchange is not None
            connection.abort()
            self._busy.discard(connection)
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
        head = self._heads[path] = ("\r\n".join(lines) + "\r\ncontent-length: ").encode("latin-1")
        return head


class _StaleConnection(Exception):
    """A kept connection was closed unanswered; never leaves this file."""


def _headers_too_large() -> UpstreamBadReply:
    return UpstreamBadReply("The provider's answer has more than 64 KiB of headers.")


def _ends_with_close(exchange: Exchange) -> bool:
    """Whether the answer is complete because it said neither its length nor its chunks."""
    delimited = exchange.header(b"content-length") or exchange.header(b"transfer-encoding")
    return exchange.status >= 200 and not delimited

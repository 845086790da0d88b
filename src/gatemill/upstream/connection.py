"""One socket to a provider. Rule: a connection whose exchange did not end cleanly is closed."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

import httptools

from gatemill.core.errors import (
    GatemillError,
    UpstreamBadReply,
    UpstreamInterrupted,
    UpstreamUnreachable,
)

if TYPE_CHECKING:
    from gatemill.upstream.exchange import Exchange
    from gatemill.upstream.pool import Pool

HEADER_BYTES_MAX = 64 << 10


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
        self.transport = cast("asyncio.Transport", transport)  # TCP and TLS transports are both

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the exchange: well if its answer is delimited by the close, else as a failure."""
        self.transport = None
        exchange = self.exchange
        self.pool.gone(self)
        del self._parser  # it holds this object: both go now, and not when the collector looks
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
        """Put the request on the wire, with the others of this turn of the loop."""
        self.exchange = exchange
        exchange.connection = self
        request = b"%b%d\r\n\r\n%b" % (head, len(body), body)
        self.pool.turn.add(partial(self._write, exchange, request))

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

    def _write(self, exchange: Exchange, request: bytes) -> None:
        # Unless the caller has left meanwhile, or the provider closed.
        transport = self.transport
        if self.exchange is exchange and transport is not None and not transport.is_closing():
            transport.write(request)

    def _bound(self, received_bytes: int) -> None:
        # The parser collects a header until it is complete, so unfinished ones count as well.
        self._head_bytes += received_bytes
        if self._head_bytes > HEADER_BYTES_MAX:
            raise _headers_too_large()


def _headers_too_large() -> UpstreamBadReply:
    return UpstreamBadReply("The provider's answer has more than 64 KiB of headers.")


def _ends_with_close(exchange: Exchange) -> bool:
    """Whether the answer is complete because it said neither its length nor its chunks."""
    delimited = exchange.header(b"content-length") or exchange.header(b"transfer-encoding")
    return exchange.status >= 200 and not delimited

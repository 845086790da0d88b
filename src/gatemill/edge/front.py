"""The protocol before the server: every connection begins here.

Inference requests are answered here. A connection that asks for anything else is handed, bytes and
all, to uvicorn's own protocol object, and this one stays in between as its guard: the limits on
headers, bodies and slow peers hold for both. Rule: every phase has a limit, and when the caller
leaves, the work stops in that phase.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

import httptools

from gatemill.core.errors import (
    GatemillError,
    HeaderInvalid,
    HeadersTooLarge,
    Overloaded,
    RequestTimeout,
)
from gatemill.core.tasks import begin
from gatemill.edge import failures, hot
from gatemill.edge.arrival import Arrival, too_large
from gatemill.edge.door import HEARTBEAT_S
from gatemill.gateway.parts import Caller
from gatemill.gateway.settle import refused

if TYPE_CHECKING:
    from gatemill.core.ports import Stream
    from gatemill.edge.door import Door
    from gatemill.edge.hot import Answer

PIPELINED_MAX = 16  # requests sent ahead on one connection; reading stops at the first of them
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class Front(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "_answer",
        "_arrival",
        "_closing",
        "_door",
        "_guest",
        "_http10",
        "_keep",
        "_loop",
        "_opaque",
        "_parser",
        "_phase",
        "_raw",
        "_ready",
        "_since_s",
        "_stalled_s",
        "_stream",
        "_task",
        "_transport",
        "_wrote_s",
    )

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop) -> None:
        self._door = door
        self._loop = loop
        self._transport: asyncio.Transport | None = None  # None once closed
        self._parser = httptools.HttpRequestParser(self)
        self._guest: asyncio.Protocol | None = None  # uvicorn's, once it has the connection
        self._opaque = False  # the connection is a WebSocket now: bytes are not HTTP any more
        self._phase = "idle"  # idle, head, body, busy
        self._since_s = 0.0  # loop time at which the phase began
        self._raw = b""  # bytes of a head that may yet have to be handed over
        self._arrival: Arrival | None = None  # the request being read
        self._ready: list[tuple[Arrival, str, bool]] = []  # read ahead, waiting for their turn
        self._task: asyncio.Task[None] | None = None  # the answer under way
        self._answer: Answer | None = None  # set while a stream flows
        self._stream: Stream | None = None
        self._keep = True  # the peer wants to use the connection again
        self._http10 = False
        self._closing = False
        self._stalled_s = 0.0  # loop time at which the peer stopped reading; 0 = it reads
        self._wrote_s = 0.0

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Counted, or refused when there are too many."""
        self._transport = transport  # type: ignore[assignment]  # a stream transport, by create_server
        self._since_s = self._loop.time()
        connections = self._door.connections
        if len(connections) >= self._door.limits.connections:
            self._door.refused += 1
            self._refuse(Overloaded("Too many connections are open here.", retry_after_s=1))
            return
        connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller has left: whatever runs for it stops now."""
        self._door.left(self)
        self._transport = None
        self._ready.clear()
        if self._guest is not None:
            self._guest.connection_lost(exc)
        if self._task is not None:
            self._task.cancel()
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.abort()

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; hands the connection over if it asks for something else."""
        if self._closing:
            return
        if self._guest is None and self._phase in ("idle", "head"):
            self._raw = self._raw + data if self._raw else data
        if not self._opaque:
            self._parse(data)
        if self._guest is not None and self._transport is not None and not self._closing:
            if self._raw:
                data, self._raw = self._raw, b""
            self._guest.data_received(data)

    def eof_received(self) -> bool:
        """Half-closed peers are treated as gone."""
        if self._guest is not None:
            self._guest.eof_received()
        return False

    def pause_writing(self) -> None:
        """The peer does not read: its source stops too."""
        self._stalled_s = self._loop.time()
        if self._guest is not None:
            self._guest.pause_writing()
        if self._stream is not None:
            self._stream.pause()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._stalled_s = 0.0
        if self._guest is not None:
            self._guest.resume_writing()
        if self._stream is not None:
            self._stream.resume()

    # --- httptools callbacks -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._arrival = Arrival(self._door.gateway.now())
        self._enter("head")

    def on_url(self, url: bytes) -> None:
        """The request target, in pieces; it counts as header."""
        arrival = self._arrival
        assert arrival is not None
        arrival.header_bytes += len(url)
        self._bound(arrival)
        arrival.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        arrival = self._arrival
        assert arrival is not None
        arrival.header(name, value)
        self._bound(arrival)

    def on_headers_complete(self) -> None:
        """The head is whole: it is for us, or for the guest."""
        arrival = self._arrival
        assert arrival is not None
        limits = self._door.limits
        arrival.check_head(limits.header_bytes, limits.header_count, self._door.hosts)
        if arrival.length > limits.body_bytes:
            arrival.refuse(too_large(limits.body_bytes))
        self._enter("body")
        if arrival.refusal is not None:
            raise arrival.refusal
        path = arrival.path.partition(b"?")[0]
        if self._guest is not None:
            return
        if self._parser.get_method() != b"POST" or path not in hot.PATHS:
            self._hand_over()
            return
        arrival.path = path
        self._raw = b""
        self._http10 = self._parser.get_http_version() == "1.0"
        if arrival.expects and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """A piece of the body. The guest keeps its own; here it is only counted."""
        arrival = self._arrival
        assert arrival is not None
        if self._guest is None:
            arrival.take(data, self._door.limits.body_bytes)
        else:
            arrival.body_bytes += len(data)
            if arrival.body_bytes > self._door.limits.body_bytes:
                arrival.refuse(too_large(self._door.limits.body_bytes))
        if arrival.refusal is not None:
            raise arrival.refusal

    def on_message_complete(self) -> None:
        """The request is whole: it is answered, after those before it."""
        arrival, self._arrival = self._arrival, None
        if self._guest is not None or arrival is None:
            self._enter("idle")
            return
        self._enter("busy")
        self._ready.append((arrival, hot.PATHS[arrival.path], self._parser.should_keep_alive()))
        if self._task is None and self._stream is None:
            self._next()
        elif len(self._ready) > PIPELINED_MAX:
            raise HeaderInvalid(f"More than {PIPELINED_MAX} requests were sent ahead of answers.")
        elif self._transport is not None:
            self._transport.pause_reading()

    # --- Called by the door ---------------------------------------------------------------------------

    def watch(self, now_s: float) -> None:
        """Cuts a peer that is too slow in its phase; keeps a silent stream alive."""
        if self._transport is None:
            return
        if self._opaque and self._transport.get_protocol() is not self:
            # uvicorn's WebSocket protocol has the transport; it keeps its own limits.
            self._door.left(self)
            return
        limits = self._door.limits
        waited_s = now_s - self._since_s
        if self._stalled_s and now_s - self._stalled_s > limits.write_stall_s:
            self._door.cut += 1
            self.cut()
        elif self._phase == "idle" and self._guest is None:
            # A connection that never sent a byte gets the header's patience, a used one keep-alive's.
            patience_s = limits.keep_alive_s if self._wrote_s else limits.header_timeout_s
            if waited_s > patience_s:
                self._transport.close()
        elif self._phase == "head" and waited_s > limits.header_timeout_s:
            self._door.cut += 1
            self._refuse(RequestTimeout("The headers came too slowly. Send them at once."))
        elif self._phase == "body" and self._is_dripping(waited_s):
            self._door.cut += 1
            self._refuse(RequestTimeout("The body came too slowly. Send it faster."))
        elif self._is_silent(now_s):
            self._chunk(b": still here\n\n")

    def drain(self) -> None:
        """Close when the answer under way is out; at once when there is none."""
        self._keep = False
        shutdown = getattr(self._guest, "shutdown", None)
        if shutdown is not None:
            shutdown()
        elif self._phase == "idle" and self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        """Close without ceremony."""
        if self._transport is not None:
            self._transport.abort()

    # --- Sink of a stream ----------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Whole events for the caller."""
        self._wrote_s = self._loop.time()
        self._chunk(data)

    def close(self, error: GatemillError | None) -> None:
        """The stream is over."""
        answer, self._answer = self._answer, None
        stream, self._stream = self._stream, None
        if self._transport is None or answer is None or stream is None:
            return
        if error is not None:
            self._chunk(
                failures.event(
                    error, answer.operation, answer.family, answer.request_id, stream.sent_events
                )
            )
        if not self._http10:
            self._transport.write(b"0\r\n\r\n")
        self._done()

    # --- Inside ----------------------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._opaque = True
            self._enter("busy")
        except httptools.HttpParserError as error:
            ours = error.__context__
            if not isinstance(ours, GatemillError):
                ours = HeaderInvalid("The request is not valid HTTP/1.1.")
            self._refuse(ours)

    def _bound(self, arrival: Arrival) -> None:
        limits = self._door.limits
        if arrival.header_bytes > limits.header_bytes or arrival.header_count > limits.header_count:
            raise HeadersTooLarge(
                f"At most {limits.header_count} header fields"
                f" and {limits.header_bytes} bytes of them are accepted."
            )

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._since_s = self._loop.time()

    def _is_dripping(self, waited_s: float) -> bool:
        limits = self._door.limits
        if waited_s <= limits.body_idle_s or self._arrival is None:
            return False
        return self._arrival.body_bytes < (waited_s - limits.body_idle_s) * limits.body_bytes_per_s

    def _is_silent(self, now_s: float) -> bool:
        flows = self._stream is not None and not self._stalled_s
        return flows and now_s - self._wrote_s > HEARTBEAT_S

    def _hand_over(self) -> None:
        if self._task is not None or self._stream is not None or self._ready:
            # Sent ahead of an answer that is still ours to give; the client sends it again.
            self._keep = False
            raise HeaderInvalid(
                "Another kind of request was sent ahead of an answer. Send it again."
            )
        assert self._transport is not None
        self._guest = self._door.guest()
        self._guest.connection_made(self._transport)

    def _next(self) -> None:
        arrival, operation, keep = self._ready.pop(0)
        self._keep = self._keep and keep
        task = begin(self._respond(arrival, operation), self._loop)
        if not task.done():
            self._task = task

    async def _respond(self, arrival: Arrival, operation: str) -> None:
        gateway = self._door.gateway
        caller = arrival.caller()
        try:
            body = arrival.body(self._door.limits.body_bytes)
        except GatemillError as error:
            family = gateway.surfaces[operation].FAMILY
            request_id = gateway.new_id(gateway.clock.unix_s())
            refused(gateway, operation, caller, request_id, error)
            answer = hot.refusal(error, operation, family, request_id)
        else:
            answer = await hot.respond(gateway, operation, body, caller)
        self._task = None
        if self._transport is None:
            if answer.stream is not None:
                answer.stream.abort()
        elif answer.stream is None:
            self._write(answer)
            self._done()
        else:
            self._flow(answer, answer.stream)

    def _write(self, answer: Answer) -> None:
        assert self._transport is not None
        self._wrote_s = self._loop.time()
        self._transport.write(
            b"%bdate: %b\r\n%b%bcontent-length: %d\r\n\r\n%b"
            % (
                _STATUS_LINES.get(answer.status) or b"HTTP/1.1 %d -\r\n" % answer.status,
                self._door.date,
                answer.headers,
                b"" if self._keep else b"connection: close\r\n",
                len(answer.body),
                answer.body,
            )
        )

    def _flow(self, answer: Answer, stream: Stream) -> None:
        assert self._transport is not None
        if self._http10:
            self._keep = False
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ndate: %b\r\n%b%b%b\r\n"
            % (
                self._door.date,
                answer.headers,
                b"" if self._keep else b"connection: close\r\n",
                b"" if self._http10 else b"transfer-encoding: chunked\r\n",
            )
        )
        self._answer = answer
        self._stream = stream
        if self._stalled_s:
            stream.pause()
        stream.attach(self)

    def _chunk(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data if self._http10 else b"%x\r\n%b\r\n" % (len(data), data))

    def _done(self) -> None:
        transport = self._transport
        if transport is None:
            return
        if not self._keep or self._door.draining:
            self._closing = True
            transport.close()
            return
        self._enter("idle")
        if self._ready:
            self._enter("busy")
            self._next()
        elif not transport.is_reading():
            transport.resume_reading()

    def _refuse(self, error: GatemillError) -> None:
        """Says no and closes: what follows on this connection cannot be trusted or is not wanted."""
        transport = self._transport
        self._closing = True
        if transport is None:
            return
        if self._task is None and self._stream is None and self._phase != "busy":
            gateway = self._door.gateway
            path = self._arrival.path.partition(b"?")[0] if self._arrival else b""
            operation = hot.PATHS.get(path, "http")
            surface = gateway.surfaces.get(operation)
            family = surface.FAMILY if surface else "openai"
            self._keep = False
            request_id = gateway.new_id(gateway.clock.unix_s())
            caller = Caller(secret=None, started_s=self._since_s)
            refused(gateway, operation, caller, request_id, error)
            self._write(hot.refusal(error, operation, family, request_id))
        transport.close()

"""One client's connection: requests in, steps out, and an eye on whether the client is still there.

Rule: knows HTTP/1.1 only. What is answered comes from its host as steps.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

import httptools

from gatemill.fake_provider.steps import End, Part, Request, Send, Wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.core.clock import Clock
    from gatemill.fake_provider.journal import Journal, Row
    from gatemill.fake_provider.steps import Step

BODY_BYTES_MAX = 64 << 20
HEADERS_MAX = 200
HEADER_BYTES_MAX = 256 << 10
PIPELINE_MAX = 64  # requests sent ahead of their answers
_LINGER_NONE = struct.pack("ii", 1, 0)  # close() sends RST
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_REFUSAL = b"HTTP/1.1 %d Refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Host(Protocol):
    """What a connection needs of the provider."""

    journal: Journal
    clock: Clock

    def joined(self, connection: Connection) -> int:
        """The connection's number."""
        ...

    def left(self, connection: Connection) -> None:
        """The connection is closed."""
        ...

    def respond(self, request: Request, connection: int) -> tuple[Row | None, Iterator[Step]]:
        """The steps that answer a request, and its row."""
        ...


class Connection(asyncio.Protocol):
    """State of one socket. Everything here runs in the loop's callbacks."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._transport: asyncio.Transport  # set by connection_made
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()  # read and not yet answered
        self._deaf = False  # nothing more is read: the connection is about to end
        self._stale = False  # ends with the next bytes that arrive
        self._paused = False  # bytes are still on their way to the kernel
        self._timer: asyncio.TimerHandle | None = None
        self._steps: Iterator[Step] | None = None  # of the answer under way
        self._row: Row | None = None
        self._reset_request(0.0)

    # --- the transport's calls ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client is there."""
        # uvloop's transports are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)  # TCP and TLS transports are both
        # Any byte that the kernel does not take pauses us: "sent" in the journal means sent.
        # (TLS in CPython 3.11 never resumes at high=0: its test is "at least", not "more than".)
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._number = self._host.joined(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of requests. A broken request is refused and ends the connection."""
        if self._deaf:
            return
        if self._stale:
            self._deaf = True
            self._transport.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(400)
        # Outside the parser, which would take a fault of ours for one of the client's.
        if self._steps is None and self._waiting and not self._deaf:
            self._begin(self._waiting.popleft())
            self._advance()

    def eof_received(self) -> bool:
        """A client that says no more is taken to have left, as most servers do."""
        return False

    def pause_writing(self) -> None:
        """The kernel's buffer is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """Everything has been taken."""
        self._paused = False
        if self._timer is None:
            self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """Timers stop at once; an answer under way is marked with how far it came."""
        self._deaf = True
        if self._timer is not None:
            self._timer.cancel()
        if self._steps is not None:
            self._ended("client_left", self._phase())
        self._host.left(self)

    def stop(self) -> None:
        """The provider stops: the connection ends now."""
        if self._steps is not None:
            self._ended("stopped")
        self._transport.abort()

    # --- the parser's calls -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request starts."""
        self._reset_request(self._host.clock.monotonic_s())

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        self._target += url
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))
        self._count_header(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """A client that waits for leave to send its body gets it."""
        if ("expect", "100-continue") in self._headers and self._steps is None:
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body += body
        if len(self._body) > BODY_BYTES_MAX:
            self._refuse(413)

    def on_message_complete(self) -> None:
        """The request is whole: it is answered once those before it are."""
        if len(self._waiting) >= PIPELINE_MAX:
            self._refuse(429)
            return
        request = Request(
            method=self._parser.get_method().decode("latin-1"),
            target=self._target.decode("latin-1"),
            headers=self._headers,
            body=bytes(self._body),
            version=self._parser.get_http_version(),
            keeps_alive=self._parser.should_keep_alive(),
            arrived_s=self._arrived_s,
        )
        self._waiting.append(request)

    def _reset_request(self, arrived_s: float) -> None:
        """An empty request; written by the parser's calls, read by on_message_complete."""
        self._arrived_s = arrived_s
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._header_bytes = 0
        self._body = bytearray()

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > HEADER_BYTES_MAX or len(self._headers) > HEADERS_MAX:
            self._refuse(431)

    def _refuse(self, status: int) -> None:
        """The connection ends; with a status when no answer is under way."""
        if self._deaf:
            return
        self._deaf = True
        if self._steps is None:
            self._transport.write(_REFUSAL % status)
            self._transport.close()
        else:
            self._transport.abort()

    # --- playing an answer --------------------------------------------------------------------

    def _begin(self, request: Request) -> None:
        self._row, self._steps = self._host.respond(request, self._number)

    def _advance(self) -> None:
        """Steps are played until one has to wait: for time, for the kernel, for the next request."""
        self._timer = None
        while self._steps is not None and not self._paused and not self._transport.is_closing():
            step = next(self._steps, End.KEEP)
            if isinstance(step, Send):
                self._send(step)
            elif isinstance(step, Wait):
                self._timer = self._loop.call_later(step.seconds, self._advance)
                return
            else:
                self._finish(step)

    def _send(self, step: Send) -> None:
        if step.data:
            self._transport.write(step.data)
        row = self._row
        if row is None or step.part is Part.INTERIM:
            return
        now_s = self._host.clock.monotonic_s()
        if row.head_s is None:
            row.head_s = now_s
        if row.first_byte_s is None and step.part is not Part.HEAD and step.data:
            row.first_byte_s = now_s
        if step.part is Part.EVENT:
            row.events_sent += 1
        self._host.journal.changed(row)

    def _finish(self, end: End) -> None:
        self._ended("complete")
        if end is End.KEEP:
            if self._waiting:
                self._begin(self._waiting.popleft())
        elif end is End.STALE and not self._waiting:
            self._stale = True
        elif end is not End.RESET:
            self._deaf = True
            self._transport.close()
        else:
            self._deaf = True
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
            self._transport.abort()

    def _ended(self, outcome: str, phase: str = "") -> None:
        self._steps = None
        row, self._row = self._row, None
        if row is None:
            return
        row.ended_s = self._host.clock.monotonic_s()
        row.outcome = outcome
        row.phase = phase
        self._host.journal.changed(row)

    def _phase(self) -> str:
        """How far the answer came before the client left."""
        row, steps = self._row, self._steps
        if row is None or steps is None or row.head_s is None:
            return "before_headers"
        if row.first_byte_s is None:
            return "before_first_byte"
        # Nothing follows the bytes that were handed over: only the kernel still held some.
        return "after" if isinstance(next(steps, End.KEEP), End) else "mid_stream"

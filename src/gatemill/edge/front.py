"""The protocol before the server: every connection begins here.

Inference requests are answered here. A connection that asks for anything else is handed, bytes and
all, to uvicorn's own protocol object, and this one stays in between: the limits hold for both.
Rule: every phase has a limit, and when the caller leaves, the work stops in that phase.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import httptools

from gatemill.core.errors import GatemillError, HeaderInvalid, Overloaded
from gatemill.edge import hot
from gatemill.edge.arrival import Arrival, without_upgrade
from gatemill.edge.door import AHEAD_BYTES_MAX, LINGER_S, PIPELINED_MAX, draining, is_upload
from gatemill.edge.guest import Lent
from gatemill.edge.replies import Replies
from gatemill.edge.sides import BOTH

if TYPE_CHECKING:
    from gatemill.edge.door import Door
    from gatemill.edge.guest import Guest


class Front(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        *("_ahead", "_arrival", "_closing", "_door", "_guest", "_head_bytes", "_lent", "_loop"),
        *("_opaque", "_parser", "_patience_s", "_phase", "_raw", "_ready", "_replies", "_side"),
        *("_since_s", "_stalled_s", "_transport", "_upgrade"),
    )

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop, side: str = BOTH) -> None:
        """`side` is what its listener answers, see sides.py."""
        self._door = door
        self._side = side
        self._loop = loop
        self._transport: asyncio.Transport | None = None  # None once closed
        self._parser = httptools.HttpRequestParser(self)
        self._guest: Guest | None = None  # uvicorn's, once it has the connection
        self._lent: Lent | None = None  # the transport as the guest sees it
        self._upgrade = b""  # what the request just read wants to speak instead
        self._opaque = False  # the connection is a WebSocket now: bytes are not HTTP any more
        self._phase = "idle"  # of the request being read: idle, head, body; in the end closing
        self._since_s = 0.0  # loop time at which the phase began
        self._patience_s = 0.0  # in phase closing: how long that may take
        # A head that may yet be handed over; None when it shares a read with the request before it.
        self._raw: bytes | None = b""
        self._head_bytes = 0  # of a head that is not complete, without its first read
        self._arrival: Arrival | None = None  # the request being read
        self._ready: list[Arrival] = []  # came in one read with the request under way
        self._ahead = b""  # came while an answer was under way
        self._replies: Replies  # set by connection_made
        self._closing = False  # nothing more is read
        self._stalled_s = 0.0  # loop time at which the peer stopped reading; 0 = it reads

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Counted, or refused when there are too many."""
        stream = cast("asyncio.Transport", transport)  # as create_server makes
        self._transport = stream
        self._replies = Replies(self._door, self._loop, stream, self._answered)
        self._since_s = self._loop.time()
        if self._door.enter(self):
            return
        self._replies.deny(
            Overloaded("Too many connections are open here.", retry_after_s=1), "http"
        )
        self._shut(0.0)

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller has left: whatever runs for it stops now."""
        self._door.left(self)
        self._transport = None
        self._ready.clear()
        self._ahead = b""
        guest, self._guest = self._guest, None
        if guest is not None:
            guest.connection_lost(exc)
        if self._lent is not None:
            self._lent.end()
        self._replies.gone()
        # It holds this object. Without each other both go at once; what is left to the collector
        # waits for minutes, and what lives through one of its looks for hours.
        del self._parser

    def data_received(self, data: bytes) -> None:
        """Bytes of the caller: read now, by the guest, or after the answer under way."""
        if self._closing:
            return
        if self._replies.busy or (self._stalled_s and self._guest is None):
            self._ahead += data
            if len(self._ahead) > AHEAD_BYTES_MAX:
                self._finish()
        elif self._opaque and self._guest is not None:
            self._guest.data_received(data)
        else:
            self._read(data)

    def eof_received(self) -> bool:
        """Half-closed peers are treated as gone."""
        if self._guest is not None:
            self._guest.eof_received()
        return False

    def pause_writing(self) -> None:
        """The peer does not read: its source stops too, and no other answer begins."""
        self._stalled_s = self._loop.time()
        if self._guest is not None:
            self._guest.pause_writing()
        if self._lent is not None and self._opaque:
            self._lent.hold()  # or each ping would add a pong that nobody takes
        self._replies.pause()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._stalled_s = 0.0
        if self._guest is not None:
            self._guest.resume_writing()
        if self._lent is not None:
            self._lent.release()
        self._replies.resume()
        if not self._replies.busy and not self._closing:
            self._next()

    # --- httptools callbacks -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._arrival = Arrival(self._door.gateway.now())
        self._head_bytes = 0
        if self._lent is not None:
            self._lent.wrote = False
        self._enter("head")

    def on_url(self, url: bytes) -> None:
        """The request target, in pieces; it counts as header."""
        assert self._arrival is not None
        self._arrival.target(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        arrival = self._arrival
        assert arrival is not None
        if self._phase == "body":  # it must not become one of the head
            raise HeaderInvalid("Trailers are not read here. Send no fields after the body.")
        arrival.header(name, value)
        limits = self._door.limits
        if arrival.header_bytes > limits.header_bytes or arrival.header_count > limits.header_count:
            raise limits.headers_too_large()

    def on_headers_complete(self) -> None:
        """The head is whole: it is for us, or for the guest."""
        arrival = self._arrival
        assert arrival is not None
        limits, side = self._door.limits, self._door.sides[self._side]
        method, path = self._parser.get_method(), arrival.path.partition(b"?")[0]
        arrival.check_head(self._parser.get_http_version(), method, side.hosts)
        if self._raw:
            arrival.check_start(self._raw, method, limits)
        arrival.bound(limits.upload_bytes if is_upload(path, method) else limits.body_bytes)
        is_hot = path in hot.PATHS and method == b"POST" and self._guest is None and side.is_hot
        if not is_hot:
            arrival.check_target()
        self._enter("body")
        if arrival.refusal is not None:
            raise arrival.refusal
        if not is_hot:
            if self._guest is None and not self._closing:
                self._hand_over()
            return
        arrival.path = path
        if arrival.expect:
            self._replies.interim()

    def on_body(self, data: bytes) -> None:
        """A piece of the body. The guest keeps its own; here it is only counted."""
        arrival = self._arrival
        assert arrival is not None
        if self._guest is None:
            arrival.take(data, arrival.body_bytes_max)
        else:
            arrival.count(data)
        if arrival.refusal is not None:
            raise arrival.refusal

    def on_message_complete(self) -> None:
        """The request is whole: it is answered, after those before it."""
        arrival, self._arrival = self._arrival, None
        self._enter("idle")
        assert arrival is not None
        if arrival.upgrade and self._parser.should_upgrade():
            self._upgrade = arrival.upgrade.lower()
            return
        if self._guest is not None or self._closing:
            return
        # Keeping an HTTP/1.0 connection would have to be said in words of that version; nobody asks.
        arrival.keeps = self._parser.should_keep_alive() and not arrival.http10
        self._raw = None
        if not self._replies.busy:
            self._replies.begin(arrival)
        elif len(self._ready) < PIPELINED_MAX:
            self._ready.append(arrival)
        else:
            self._finish()

    # --- Called by the door ---------------------------------------------------------------------------

    def watch(self, now_s: float) -> None:
        """Cuts a peer that is too slow in its phase; keeps a silent stream alive."""
        if self._transport is None:
            return
        limits = self._door.limits
        waited_s = now_s - self._since_s
        if self._stalled_s and now_s - self._stalled_s > limits.write_stall_s:
            self._door.cut += 1
            self.cut()
        elif self._phase == "closing":
            if waited_s > self._patience_s:
                self.cut()
        elif self._replies.busy:
            self._replies.watch(now_s)
        elif self._opaque:
            return
        elif slow := limits.too_slow(self._phase, waited_s, self._arrival):
            self._door.cut += 1
            self._refuse(slow)
        elif self._phase == "idle" and waited_s > self._door.idle_s(
            lent=self._guest is not None, served=self._replies.wrote_s > 0
        ):
            self._shut(limits.write_stall_s)

    def drain(self) -> bool:
        """Close when the answer under way is out. Whether there is none, so that nobody need wait."""
        self._replies.keep = False
        if self._opaque:
            return False  # its session hears of it from the door
        if self._guest is not None:
            self._guest.shutdown()
            return False
        is_idle = self._phase == "idle" and not self._replies.busy
        # Who has had no answer has just come: the request is on its way, and hears 503.
        if is_idle and self._replies.wrote_s > 0 and self._transport is not None:
            self._linger(self._transport)
        return is_idle

    @property
    def closing(self) -> bool:
        """Nothing is owed to the peer any more, who has yet to close."""
        return self._phase == "closing"

    def stop(self) -> None:
        """The grace is over: the answer under way ends with one error."""
        if self._replies.busy and not self._replies.stop():
            self._refuse(draining())

    def cut(self) -> None:
        """Close without ceremony."""
        if self._transport is not None:
            self._transport.abort()

    # --- Reading ---------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        phase = self._phase
        if self._guest is None:
            if phase == "idle":
                self._raw = data
            elif phase == "head" and self._raw is not None:
                self._raw += data
        upgrades = self._parse(data)
        if phase == "head" and self._phase == "head":
            # The parser collects a header until it is complete, so unfinished ones count as well.
            self._head_bytes += len(data)
            if self._head_bytes > self._door.limits.header_bytes:
                self._refuse(self._door.limits.headers_too_large())
        if self._guest is not None and not self._closing:
            self._lend(data, upgrades=upgrades)

    def _parse(self, data: bytes) -> bool:
        """Whether the connection is to leave HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._guest is not None and (self._upgrade == b"websocket" or not self._raw):
                return True
            self._decline_upgrade()
        except httptools.HttpParserError as error:
            ours = error.__context__
            if not isinstance(ours, GatemillError):
                ours = HeaderInvalid("The request is not valid HTTP/1.1.")
            self._refuse(ours)
        return False

    def _decline_upgrade(self) -> None:
        """Read again as if nothing had been offered: Java's client offers HTTP/2 at first."""
        said, self._raw = self._raw or b"", without_upgrade(self._raw or b"")
        if said == self._raw:  # without an offer there is nothing to decline
            self._finish()
            return
        self._parser = httptools.HttpRequestParser(self)
        self._parse(self._raw)

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._since_s = self._loop.time()

    def _hand_over(self) -> None:
        assert self._transport is not None
        if self._raw is None:
            self._finish()
            return
        self._lent = Lent(self._transport, self._adopt)
        self._guest = self._door.sides[self._side].guest()
        self._guest.connection_made(self._lent)

    def _lend(self, data: bytes, *, upgrades: bool) -> None:
        """The guest gets the bytes."""
        guest = self._guest
        assert guest is not None
        if self._raw:
            data, self._raw = self._raw, b""
        guest.data_received(data)
        if (upgrades or self._door.leaving) and not self._opaque:
            guest.shutdown()
            self._closing = upgrades  # to something that nobody here speaks

    def _adopt(self, guest: Guest) -> None:
        self._guest = guest
        self._opaque = True

    # --- The end ---------------------------------------------------------------------------------

    def _answered(self) -> None:
        """An answer is out: the next request, or the end."""
        if not self._replies.keep:
            self._shut(self._door.limits.write_stall_s)
            return
        self._since_s = self._loop.time()  # patience with what is half read begins anew
        if not self._stalled_s:
            self._next()

    def _next(self) -> None:
        """What came ahead is answered now."""
        if self._ready:
            self._replies.begin(self._ready.pop(0))
        elif self._ahead:
            data, self._ahead = self._ahead, b""
            self.data_received(data)

    def _finish(self) -> None:
        """The answer under way is the last: what was sent after it is not read."""
        self._replies.keep = False
        self._closing = True
        self._ready.clear()
        self._ahead = b""
        if not self._replies.busy:
            self._shut(self._door.limits.write_stall_s)

    def _shut(self, patience_s: float) -> None:
        """Close once everything is written; after `patience_s` in any case."""
        self._closing = True
        self._enter("closing")
        self._patience_s = patience_s
        if self._transport is not None:
            self._transport.close()

    def _refuse(self, error: GatemillError) -> None:
        """Says no and closes: what follows on this connection cannot be trusted or is not wanted."""
        transport = self._transport
        if transport is None or self._closing:
            return
        if self._replies.busy:
            self._finish()
            return
        guest, self._guest = self._guest, None
        if self._lent is None or not self._lent.wrote:
            path = self._arrival.path.partition(b"?")[0] if self._arrival else b""
            self._replies.deny(error, hot.PATHS.get(path, "http"))
        if guest is not None:
            guest.connection_lost(ConnectionAbortedError())
        self._linger(transport)

    def _linger(self, transport: asyncio.Transport) -> None:
        # Not close(): with bytes unread the kernel would reset it, and the peer might miss our words.
        self._closing = True
        self._enter("closing")
        self._patience_s = LINGER_S
        if transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()

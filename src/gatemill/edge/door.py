"""What all connections share: limits, the gateway that serves now, and one clock that watches.

Rule: one timer sweeps every connection, so no connection needs a timer of its own.
"""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.errors import Draining, HeadersTooLarge, RequestTimeout
from gatemill.core.tasks import Turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.ports import Stream
    from gatemill.edge.arrival import Arrival
    from gatemill.edge.front import Front
    from gatemill.edge.sides import Side
    from gatemill.edge.signin.desk import SignIn
    from gatemill.edge.socket import Session
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.desk import Desk

SWEEP_S = 1.0
HEARTBEAT_S = 15.0  # silence on a stream after which a comment is sent
# Sent ahead of an answer: so many requests in one read, so many bytes after it. Above that the
# connection ends with the answer under way, and the client sends the rest again.
PIPELINED_MAX = 16
AHEAD_BYTES_MAX = 64 << 10
UPLOAD = b"/v1/files"  # where a body may be as long as a file
FORM_BYTES_MAX = 64 << 10  # of an upload, around its file
LINGER_S = 2.0  # a refused peer may go on sending so long, or it would miss the refusal


class Limits(Struct, frozen=True):
    """What a peer may do to us; see docs/settings.md, section limits."""

    body_bytes: int
    upload_bytes: int  # the same, of a file with the form around it
    header_bytes: int
    header_count: int
    header_timeout_s: float
    body_idle_s: float
    body_bytes_per_s: float
    write_stall_s: float
    keep_alive_s: float
    connections: int

    def too_slow(
        self, phase: str, waited_s: float, arrival: Arrival | None
    ) -> RequestTimeout | None:
        """The refusal of a peer who has been sending a head or a body for `waited_s`, if it is one."""
        if phase == "head" and waited_s > self.header_timeout_s:
            return RequestTimeout("The headers came too slowly. Send them at once.")
        if phase != "body" or arrival is None or waited_s <= self.body_idle_s:
            return None
        if arrival.body_bytes < (waited_s - self.body_idle_s) * self.body_bytes_per_s:
            return RequestTimeout("The body came too slowly. Send it faster.")
        return None

    def headers_too_large(self) -> HeadersTooLarge:
        """The refusal of a head over the limits."""
        return HeadersTooLarge(
            f"At most {self.header_count} header fields"
            f" and {self.header_bytes} bytes of them are accepted."
        )


class Door:
    """Shared by all connections, of one listener or of two."""

    def __init__(
        self,
        gateway: Gateway,
        limits: Limits,
        sides: Mapping[str, Side],
        origins: frozenset[str] = frozenset(),
    ) -> None:
        """`origins` are web pages elsewhere that may open a WebSocket, in small letters."""
        self.gateway = gateway  # these four are replaced by a reload
        self.limits = limits
        self.sides = sides  # by name, see sides.py
        self.origins = origins
        self.desk: Desk | None = None  # takes jobs; set and replaced with the gateway
        self.signin: SignIn  # set by whoever makes the door; its terms are replaced by a reload
        self.connections: set[Front] = set()  # written by connections as they come and go
        self.refused = 0  # connections closed because there were too many
        self.cut = 0  # connections closed because the peer was too slow
        # Streams of the ASGI form and WebSockets: added and discarded by whoever serves them.
        self.streams: set[Stream] = set()
        self.sessions: set[Session] = set()
        self.onlookers = 0  # open pages that follow live numbers; written by edge/pages/live.py
        self.leaving = False  # what is asked now is the last on its connection
        self.draining = False  # new work is refused
        self.empty = asyncio.Event()  # set once the connections open at the drain are closed
        self._before: set[Front] = set()  # open when draining began
        self.date = b""  # value of the Date header
        self._loop = asyncio.get_running_loop()
        self.turn = Turn(self._loop)
        self._next_s = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.sweep()

    def sweep(self) -> None:
        """Looks at every connection, sets the date, measures how late the loop is."""
        if self._timer is not None:
            self._timer.cancel()
        now_s = self._loop.time()
        self.gateway.meter.loop_lag.observe(max(0.0, now_s - self._next_s))
        self.date = formatdate(self.gateway.clock.unix_s(), usegmt=True).encode()
        for connection in list(self.connections):
            connection.watch(now_s)
        self._next_s = now_s + SWEEP_S
        self._timer = self._loop.call_at(self._next_s, self.sweep)

    def enter(self, connection: Front) -> bool:
        """Whether there is room for one more connection, which is then counted."""
        if len(self.connections) >= self.limits.connections:
            self.refused += 1
            return False
        self.connections.add(connection)
        return True

    def idle_s(self, *, lent: bool, served: bool) -> float:
        """How long a connection may stay idle; `served` says that it had an answer."""
        if lent:
            # uvicorn closes idle connections itself. This is for those that it forgets.
            return self.limits.keep_alive_s + self.gateway.request_timeout_s
        # A connection that never sent a byte gets the header's patience.
        return self.limits.keep_alive_s if served else self.limits.header_timeout_s

    def left(self, connection: Front) -> None:
        """A connection is closed."""
        self.connections.discard(connection)
        self._before.discard(connection)
        if self.draining and not self._before:
            self.empty.set()

    def leave(self) -> None:
        """Readiness says 503, and what is asked now is the last on its connection; work goes on."""
        self.leaving = True

    def drain(self) -> None:
        """No new work: idle connections close now, busy ones after their answer.

        Connections that come later are answered with 503, readiness among them.
        """
        self.leaving = self.draining = True
        self.gateway.gate.draining = True
        self._before = set(self.connections)
        for connection in list(self.connections):
            if connection.drain():
                self._before.discard(connection)
        for session in list(self.sessions):
            session.drain()
        if not self._before:
            self.empty.set()

    def finish(self) -> None:
        """Nobody comes any more: `empty` waits for those as well who came while it drained."""
        self._before = {each for each in self.connections if not each.closing}
        if self._before:
            self.empty.clear()

    def stop(self) -> None:
        """The grace is over: whatever still flows ends with one error, and then by itself."""
        for connection in list(self.connections):
            connection.stop()
        for stream in list(self.streams):
            stream.fail(draining())

    def close(self) -> None:
        """Every connection is cut and the timer stops."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self.connections):
            connection.cut()


def is_upload(path: bytes, method: bytes) -> bool:
    """The body is a file, which is stored as it comes."""
    return path == UPLOAD and method == b"POST"


def draining() -> Draining:
    """The failure of work that a shutdown ends."""
    return Draining("This server is shutting down. Retry: another one answers.", retry_after_s=1)

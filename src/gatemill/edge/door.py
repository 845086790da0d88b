"""What all connections share: limits, the gateway that serves now, and one clock that watches.

Rule: one timer sweeps every connection, so no connection needs a timer of its own.
"""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.edge.front import Front
    from gatemill.gateway.parts import Gateway

SWEEP_S = 1.0
HEARTBEAT_S = 15.0  # silence on a stream after which a comment is sent


class Limits(Struct, frozen=True):
    """What a peer may do to us; see docs/settings.md, section limits."""

    body_bytes: int
    header_bytes: int
    header_count: int
    header_timeout_s: float
    body_idle_s: float
    body_bytes_per_s: float
    write_stall_s: float
    keep_alive_s: float
    connections: int


class Door:
    """Shared by all connections of one listener."""

    def __init__(
        self,
        gateway: Gateway,
        limits: Limits,
        hosts: frozenset[str] | None,
        guest: Callable[[], asyncio.Protocol],
    ) -> None:
        """`hosts` are the names served, None for any; `guest` makes uvicorn's protocol object."""
        self.gateway = gateway  # replaced by a reload
        self.limits = limits
        self.hosts = hosts
        self.guest = guest
        self.connections: set[Front] = set()  # written by connections as they come and go
        self.refused = 0  # connections closed because there were too many
        self.cut = 0  # connections closed because the peer was too slow
        self.draining = False
        self.empty = asyncio.Event()  # set once draining is over
        self.date = b""  # value of the Date header
        self._loop = asyncio.get_running_loop()
        self._next_s = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.sweep()

    def sweep(self) -> None:
        """Looks at every connection, sets the date, measures how late the loop is."""
        now_s = self._loop.time()
        self.gateway.meter.loop_lag.observe(max(0.0, now_s - self._next_s))
        self.date = formatdate(self.gateway.clock.unix_s(), usegmt=True).encode()
        for connection in list(self.connections):
            connection.watch(now_s)
        self._next_s = now_s + SWEEP_S
        self._timer = self._loop.call_at(self._next_s, self.sweep)

    def left(self, connection: Front) -> None:
        """A connection is closed."""
        self.connections.discard(connection)
        if self.draining and not self.connections:
            self.empty.set()

    def drain(self) -> None:
        """No new work: idle connections close now, busy ones after their answer."""
        self.draining = True
        self.gateway.gate.draining = True
        for connection in list(self.connections):
            connection.drain()
        if not self.connections:
            self.empty.set()

    def close(self) -> None:
        """Every connection is cut and the timer stops."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self.connections):
            connection.cut()

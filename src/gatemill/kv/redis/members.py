"""Who is alive, and what becomes of the holds of those who are not.

Rule: a process ends the holds of others only while it has been heard itself for a while without a
gap. After a frozen Redis everybody looks dead, and nobody is.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from gatemill.core.tasks import spawn
from gatemill.kv.redis.connection import Away
from gatemill.kv.redis.packing import BEAT

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.clock import Clock
    from gatemill.kv.redis.connection import Connection

BEAT_S = 5.0
SILENT_S = 30.0  # a process that was not heard for so long is dead
STEADY_S = 15.0  # our own beats: no gap is longer, and for so long they have come
SWEEP_HOLDS_MAX = 100  # ended in one call
_ROUNDS_MAX = 100  # calls for one beat


class Members:
    """This process among the others."""

    def __init__(
        self,
        connection: Connection,
        tag: str,
        process_id: str,
        clock: Clock,
        heard: Callable[[list[int]], None],
    ) -> None:
        """`heard` gets the tickets that Redis has of us, with each beat."""
        self.alive = 1  # processes, this one included
        self.swept = 0  # holds of dead processes that we ended
        self.on_swept: Callable[[str], None] | None = None  # gets the id of each of them
        self._connection = connection
        self._tag = tag
        self._process_id = process_id
        self._clock = clock
        self._heard = heard
        self._last_beat_s = float("-inf")  # Unix time
        self._steady_since_s = float("inf")
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Beats go on until `stop`."""
        self._beating = spawn(self._run(), "redis-members")

    async def stop(self, *, leave: bool) -> None:
        """No more beats. With `leave`, the others no longer count this process."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
            self._beating = None
        if leave:
            try:
                await self._connection.call("ZREM", self._tag + "members", self._process_id)
            except Away:
                return  # it is taken for dead later, and holds nothing

    async def beat(self) -> None:
        """The others know that we live, and the holds of dead ones are ended. Raises Away."""
        now_s = self._clock.unix_s()
        if not 0 <= now_s - self._last_beat_s <= STEADY_S:
            self._steady_since_s = now_s
        most = SWEEP_HOLDS_MAX if now_s - self._steady_since_s >= STEADY_S else 0
        for _ in range(_ROUNDS_MAX):
            self.alive, count, ended, tickets = await self._connection.run(
                BEAT, self._tag, self._process_id, now_s, SILENT_S, most
            )
            self._last_beat_s = now_s
            self._ended(ended)
            if not most or count < most:
                break
        self._heard([int(ticket) for ticket in tickets])

    def _ended(self, hold_ids: list[bytes]) -> None:
        if not hold_ids:
            return
        self.swept += len(hold_ids)
        structlog.get_logger().warning("holds_swept", holds=len(hold_ids))
        if self.on_swept is not None:
            for hold_id in hold_ids:
                self.on_swept(hold_id.decode())

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(
                Away
            ):  # the connection says it once; the next beat tries again
                await self.beat()
            await asyncio.sleep(BEAT_S)

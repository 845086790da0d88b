"""Background calls give way. Rule: what is under way is never touched; only starts are delayed.

The event loop is the one thing that jobs and interactive requests share at every step. How late its
timers fire says how busy it is; while they are late, jobs begin no further call. And they begin one
in each turn of the loop, so that hundreds which are claimed together do not stop it for all others.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TICK_S = 0.05
LATE_S = 0.02  # a loop later than this serves nobody well
PATIENCE_S = 2.0  # a call waits no longer: jobs keep their share of a machine that is always busy


class Governor:
    """One for a process; its tick runs where jobs run."""

    def __init__(
        self, now: Callable[[], float], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.late_s = 0.0  # smoothed: up at once, down by half with each tick
        self.delayed = 0  # calls that had to wait; for metrics
        self._now = now
        self._sleep = sleep
        self._beginning = asyncio.Lock()  # first come, first served

    async def watch(self) -> None:
        """Measures how late the loop is, until cancelled."""
        while True:
            due_s = self._now() + TICK_S
            await self._sleep(TICK_S)
            self.late_s = max(self._now() - due_s, self.late_s / 2)

    async def turn(self) -> None:
        """The loop keeps up, or has not for `PATIENCE_S`; and this call is the next to begin."""
        if self.late_s >= LATE_S:
            self.delayed += 1
            until_s = self._now() + PATIENCE_S
            while self.late_s >= LATE_S and self._now() < until_s:
                await self._sleep(TICK_S)
        async with self._beginning:
            await self._sleep(0)

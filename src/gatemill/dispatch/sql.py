"""No broker: workers look at the ledger. Rule: those of the same process need not wait for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.job import Ring
    from gatemill.core.ports import Ears


class SqlBell:
    """Reaches the workers of this process; all others find a job when they look."""

    POLL_S: float | None = None

    def __init__(self) -> None:
        self.lost = 0
        self._ears: list[Ears] = []  # written by `listen`; a handful at most

    async def open(self) -> bool:
        """There is nothing to connect."""
        return True

    async def ring(self, rings: Sequence[Ring]) -> None:
        """The workers of this process look at the ledger now."""
        if rings:
            for ears in self._ears:
                ears.heard()

    async def call_off(self, job_id: str) -> None:
        """The worker of this process that runs the job stops it."""
        for ears in self._ears:
            ears.cancel(job_id)

    async def listen(self, ears: Ears) -> None:
        """`ears` hear what is rung in this process, until cancelled."""
        self._ears.append(ears)
        ears.heard()
        try:
            await asyncio.Event().wait()
        finally:
            self._ears.remove(ears)

    async def waiting(self) -> int | None:
        """Nobody counts: there are no messages."""
        return None

    async def close(self) -> None:
        """There is nothing to release."""

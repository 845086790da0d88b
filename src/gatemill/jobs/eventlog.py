"""What a job says while it runs, on its way to the ledger. Rule: in order, and bounded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gatemill.core.errors import GatemillError, InvalidValue
from gatemill.core.tasks import spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

FLUSH_S = 0.1  # the longest an event waits for company
WAITING_BYTES_MAX = 256 << 10  # a job which says more has to wait itself
SAID_BYTES_MAX = 64 << 20  # of one attempt; a job which says more ends there


class Lost(Exception):
    """The claim has ended: somebody else runs the job, or it is over. Nothing is to be written."""


class EventLog:
    """Gathers the events of one attempt."""

    def __init__(self, append: Callable[[Sequence[bytes]], Awaitable[bool]]) -> None:
        """`append` writes them durably; False when the claim has ended."""
        self._append = append
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._said_bytes = 0
        self._writing = asyncio.Lock()
        self._soon: asyncio.Task[None] | None = None
        self._failure: Lost | GatemillError | None = None  # of the task, told to the next caller

    async def add(self, events: Sequence[bytes]) -> None:
        """They are written within about `FLUSH_S`. Raises Lost, InvalidValue, what `append` raises."""
        if self._failure is not None:
            raise self._failure
        added_bytes = sum(map(len, events))
        self._said_bytes += added_bytes
        if self._said_bytes > SAID_BYTES_MAX:
            raise InvalidValue(
                f"The job has said more than {SAID_BYTES_MAX} bytes. Ask for a shorter answer.",
                param="stream",
            )
        self._waiting.extend(events)
        self._waiting_bytes += added_bytes
        if self._waiting_bytes > WAITING_BYTES_MAX:
            await self.flush()
        elif self._waiting and self._soon is None:
            self._soon = spawn(self._flush_soon(), "flush-job-events")

    async def flush(self) -> None:
        """All are written. Raises as `add`."""
        if self._failure is not None:
            raise self._failure
        async with self._writing:
            events, self._waiting = self._waiting, []
            self._waiting_bytes = 0
            try:
                # On its way also when we are told to stop, and before the end of the job.
                if events and not await asyncio.shield(self._append(events)):
                    raise Lost
            except GatemillError:
                self._waiting[:0] = events  # or a later one would stand after a gap
                raise

    def close(self) -> None:
        """Nothing more is written."""
        if self._soon is not None:
            self._soon.cancel()
        self._append = _closed  # it held the job's context, which holds this

    async def _flush_soon(self) -> None:
        await asyncio.sleep(FLUSH_S)
        self._soon = None  # what comes from now on begins another wait
        try:
            await self.flush()
        except (Lost, GatemillError) as error:
            self._failure = error


async def _closed(_: Sequence[bytes]) -> bool:
    return False

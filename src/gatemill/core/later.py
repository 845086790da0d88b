"""Rows that are written after the answer has left, in groups.

Rule: adding one never waits and never fails. What there is no room for is dropped and counted; a
writer that fails is tried again, with all that waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

from gatemill.core.errors import GatemillError
from gatemill.core.tasks import spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

GATHER_S = 0.1  # the longest a row waits for company
RETRY_S = 1.0  # between two tries at a writer that fails


class Bounds(Struct, frozen=True):
    """What may wait, and what is written at once."""

    rows_max: int
    bytes_max: int
    group_rows: int
    group_bytes: int


class Later(Generic[T]):
    """One for each kind of row. Belongs to one event loop."""

    def __init__(
        self, name: str, write: Callable[[list[T]], Awaitable[None]], bounds: Bounds
    ) -> None:
        """`name` is that of its task."""
        self.written = 0
        self.dropped = 0  # no room, or still waiting at the end
        self.failures = 0  # tries to write
        self.bytes = 0  # waiting
        self._name = name
        self._write = write
        self._bounds = bounds
        self._rows: deque[tuple[T, int]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._writing = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """Rows not yet written."""
        return len(self._rows)

    def add(self, row: T, size: int = 0) -> bool:
        """The row will be written; False: there was no room. `size` is what it holds, in bytes."""
        bounds = self._bounds
        if len(self._rows) >= bounds.rows_max or self.bytes + size > bounds.bytes_max:
            self.dropped += 1
            return False
        self._rows.append((row, size))
        self.bytes += size
        if self._task is None:
            self._task = spawn(self._run(), self._name)
        return True

    async def close(self) -> None:
        """What can be written is."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        self.dropped += len(self._rows)
        self._rows.clear()
        self.bytes = 0

    async def flushed(self) -> None:
        """What was added before is written, or has failed once."""
        while self._rows and await self._group():
            pass

    async def _run(self) -> None:
        pause_s = GATHER_S
        try:
            while self._rows:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), pause_s)
                works = await self._group()
                if self._closing.is_set() and not works:
                    break
                pause_s = GATHER_S if works else RETRY_S
        finally:
            self._task = None

    async def _group(self) -> bool:
        """The rows that have waited longest are written; False: they could not be."""
        async with self._writing:
            group = self._first()
            try:
                await self._write(group)
            except GatemillError:
                self.failures += 1
                return False
            for _ in group:
                _, size = self._rows.popleft()
                self.bytes -= size
            self.written += len(group)
        return True

    def _first(self) -> list[T]:
        group: list[T] = []
        total = 0
        for row, size in islice(self._rows, self._bounds.group_rows):
            if group and total + size > self._bounds.group_bytes:
                break
            group.append(row)
            total += size
        return group

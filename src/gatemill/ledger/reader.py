"""The one thread that reads. Rule: reports never wait for the writer, and the writer never for them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from gatemill.core.errors import Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.ledger.database import Database
    from gatemill.ledger.place import Place

T = TypeVar("T")

READS_MAX = 100  # that may wait for the thread


class Reader:
    """A thread with a connection that only reads, started by the first question."""

    def __init__(self, place: Place, reads_max: int = READS_MAX) -> None:
        """At most `reads_max` questions wait."""
        self._place = place
        self._reads_max = reads_max
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ledger-reader")
        self._database: Database | None = None  # lives in the thread
        self._waiting = 0

    async def run(self, work: Callable[[Database], T]) -> T:
        """The answer. Raises Overloaded when too many questions wait."""
        if self._waiting >= self._reads_max:
            raise Overloaded("Too many reports are being made. Try again later.", retry_after_s=5.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._do, work)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """The thread has ended."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._end)
        self._pool.shutdown()

    def _do(self, work: Callable[[Database], T]) -> T:
        if self._database is None:
            self._database = self._place.open(writes=False)
        return work(self._database)

    def _end(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

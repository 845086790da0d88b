"""A thread with a connection that writes, as the ledger has one, for tests of what is handed to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import databases
from gatemill.ledger.database import Database
from gatemill.ledger.place import Place
from gatemill.ledger.writer import Write

T = TypeVar("T")


@asynccontextmanager
async def writing(place: Place) -> AsyncIterator[Write]:
    """Runs work in a thread of its own, with the present schema."""
    with ThreadPoolExecutor(1) as thread:

        async def here(work: Callable[[], T]) -> T:
            return await asyncio.get_running_loop().run_in_executor(thread, work)

        opened = databases.migrated(place)
        database = await here(opened.__enter__)

        async def write(work: Callable[[Database], T]) -> T:
            return await here(lambda: work(database))

        try:
            yield write
        finally:
            await here(lambda: opened.__exit__(None, None, None))

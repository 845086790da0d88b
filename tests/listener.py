"""A worker that only listens, for tests of the engines: it remembers what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager

from gatemill.core.job import DEFAULT, HIGH, LOW, Ring

PATIENCE_S = 20.0


class Listener:
    """Satisfies ports.Ears. With `slots`, that many jobs begin and then never end."""

    def __init__(self, queues: Sequence[str] = ("inference",), slots: int = 1_000_000) -> None:
        self.queues = queues
        self.priorities = (HIGH, DEFAULT, LOW)
        self.slots = slots
        self.taken: list[Ring] = []
        self.looks = 0
        self.cancelled: list[str] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task] = set()

    async def room(self, queue: str) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.taken) < self.slots)

    async def take(self, ring: Ring) -> bool:
        self.taken.append(ring)
        self._tell()
        return True

    def heard(self) -> None:
        self.looks += 1
        self._tell()

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)
        self._tell()

    def free(self, slots: int) -> None:
        self.slots += slots
        self._tell()

    async def until(self, true: Callable[[Listener], bool]) -> None:
        """It has heard enough."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: true(self))

    @property
    def ids(self) -> list[str]:
        return [ring.id for ring in self.taken]

    def _tell(self) -> None:
        task = asyncio.get_running_loop().create_task(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def listening(bell, listener: Listener):
    """The engine brings messages for as long as the block."""
    task = asyncio.get_running_loop().create_task(bell.listen(listener))
    try:
        await listener.until(lambda it: it.looks or task.done())
        yield listener
    finally:
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled(), task.exception()


def rings(count: int, priority: int = DEFAULT, queue: str = "inference") -> list[Ring]:
    return [
        Ring(f"job_{queue}-{priority}-{number:04d}", queue, priority) for number in range(count)
    ]

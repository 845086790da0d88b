"""A worker that only listens, for tests of the engines: it remembers what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager, suppress

from gatemill.core.job import DEFAULT, HIGH, LOW, Ring

PATIENCE_S = 60.0


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

    async def until(self, true: Callable[[Listener], bool], patience_s: float = PATIENCE_S) -> None:
        """It has heard enough. Raises TimeoutError."""
        async with asyncio.timeout(patience_s), self._changed:
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


async def sent(bell) -> None:
    """The broker has confirmed all that was rung, or not taken it. A worker may hear of it before."""
    await asyncio.wait((bell._outbox._sending,))


async def called_off(bell, listener: Listener, job_id: str) -> None:
    """The listener hears that the job is to stop. It is told until it does: it may not listen to that yet."""
    async with asyncio.timeout(PATIENCE_S):
        while job_id not in listener.cancelled:
            await bell.call_off(job_id)
            with suppress(TimeoutError):
                await listener.until(lambda it: job_id in it.cancelled, 1.0)


def rings(count: int, priority: int = DEFAULT, queue: str = "inference") -> list[Ring]:
    return [
        Ring(f"job_{queue}-{priority}-{number:04d}", queue, priority) for number in range(count)
    ]


def overtaken(order: Sequence[int]) -> float:
    """The share of all pairs of different priority in which the less urgent one began first."""
    pairs = [(one, later) for at, one in enumerate(order) for later in order[at:] if one != later]
    return sum(one > later for one, later in pairs) / len(pairs)

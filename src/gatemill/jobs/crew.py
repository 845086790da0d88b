"""All that runs jobs in one process: a worker, the housekeeping, the bell that brings word.

Rule: a worker that was taken for dead, or failed by a fault of ours, is replaced by a new one with a
new id; nothing of the old one is ever written.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from gatemill.core.tasks import spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from gatemill.core.job import Ring
    from gatemill.jobs.housekeeping import Housekeeping
    from gatemill.jobs.quarantine import Quarantine
    from gatemill.jobs.services import Services
    from gatemill.jobs.worker import Worker

AGAIN_S = 1.0  # before a worker is replaced
CHILD_S = 10.0  # for the child of the quarantine to give back what it has


class Crew:
    """One for a process. Satisfies ports.Ears, whichever worker is at work."""

    def __init__(
        self,
        services: Callable[[], Services],
        hire: Callable[[], Worker] | None,
        housekeeping: Housekeeping | None,
        quarantine: Quarantine | None = None,
        *,
        returns: bool = True,
    ) -> None:
        """`hire` makes a worker; None: jobs run elsewhere.

        Without `returns`, a worker that was taken for dead is not replaced: `fenced` says so.
        """
        self.worker: Worker | None = None
        self.fenced = False
        self.ended = asyncio.Event()  # the last worker has left
        self._services = services
        self._hire = hire
        self._housekeeping = housekeeping
        self._quarantine = quarantine
        self._returns = returns
        self._draining = False
        self._tasks: list[asyncio.Task[None]] = []
        self._working: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Jobs run from now on."""
        services = self._services()
        if self._housekeeping is not None:
            self._housekeeping.heard = self.heard
            self._housekeeping.worker_id = self._worker_id
            self._tasks.append(spawn(_kept_up(self._housekeeping.run, "jobs-housekeeping"), "jobs"))
        if self._hire is not None:
            self.worker = self._hire()
            self._working = spawn(self._work(self.worker, self._hire), "worker")
            self._tasks.append(spawn(services.governor.watch(), "governor"))
            listen = partial(services.bell.listen, self)
            self._tasks.append(spawn(_kept_up(listen, "bell"), "jobs"))

    async def drain(self, grace_s: float) -> None:
        """What ran has ended or is given back; nothing runs any more."""
        self._draining = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        closing = [] if self._quarantine is None else [self._quarantine.close(CHILD_S)]
        await asyncio.gather(*closing, self._let_go(grace_s))

    def _worker_id(self) -> str:
        return "" if self.worker is None else self.worker.id

    async def _let_go(self, grace_s: float) -> None:
        if self.worker is not None:
            structlog.get_logger().info("jobs_draining", jobs=len(self.worker.running))
            await self.worker.drain(grace_s)
        if self._working is not None:
            await asyncio.wait((self._working,))

    async def _work(self, worker: Worker, hire: Callable[[], Worker]) -> None:
        while True:
            life = spawn(worker.run(), "worker-life")  # its failure is logged
            await asyncio.wait((life,))
            failed = life.cancelled() or life.exception() is not None
            if self._draining or (not failed and life.result()):
                break
            if not failed and not self._returns:
                self.fenced = True
                break
            successor = await self._successor(hire)
            if successor is None:
                break
            worker = self.worker = successor
        self.ended.set()

    async def _successor(self, hire: Callable[[], Worker]) -> Worker | None:
        """Another worker, after a pause; None where the crew ends meanwhile: nobody would tell it."""
        await asyncio.sleep(AGAIN_S)
        return None if self._draining else hire()

    @property
    def running(self) -> dict[str, int]:
        """Jobs that run here, by queue."""
        return {} if self.worker is None else self.worker.used

    # --- Ears ------------------------------------------------------------------------------------

    @property
    def queues(self) -> Sequence[str]:
        """The queues whose jobs are taken."""
        return () if self.worker is None else self.worker.queues

    @property
    def priorities(self) -> Sequence[int]:
        """The priorities that are taken."""
        return () if self.worker is None else self.worker.priorities

    async def room(self, queue: str) -> None:
        """A job of this queue could begin now."""
        if self.worker is not None:
            await self.worker.room(queue)

    async def take(self, ring: Ring) -> bool:
        """See ports.Ears."""
        return self.worker is not None and await self.worker.take(ring)

    async def job_ended(self, job_id: str) -> None:
        """The job does not run here any more, or never did."""
        if self.worker is not None:
            await self.worker.job_ended(job_id)

    def heard(self) -> None:
        """See ports.Ears."""
        if self.worker is not None:
            self.worker.heard()

    def cancel(self, job_id: str) -> None:
        """See ports.Ears."""
        if self.worker is not None:
            self.worker.cancel(job_id)


async def _kept_up(work: Callable[[], Coroutine[None, None, None]], name: str) -> None:
    """Work that never ends, begun again when it fails by a fault of ours, of which the log tells."""
    while True:
        life = spawn(work(), name)
        try:
            await asyncio.wait((life,))
        finally:
            life.cancel()
            await asyncio.wait((life,))
        await asyncio.sleep(AGAIN_S)

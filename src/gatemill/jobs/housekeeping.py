"""What jobs need besides workers: time passes, workers die, rows grow old.

Rule: any number of processes may do all of it at once; each chore is one step of the ledger that
finds nothing the second time. A chore that fails is counted, logged once, and done again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.errors import GatemillError
from gatemill.jobs import processes
from gatemill.ledger.upkeep import Condition

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatemill.jobs.counters import Counters
    from gatemill.jobs.cron import Cron
    from gatemill.jobs.quarantine import Quarantine
    from gatemill.jobs.services import Services

DUE_S = 0.5  # the longest that a job waits beyond its time to be queued
REAP_S = 1.0
EXPIRE_S = 2.0
CRON_S = 1.0
RING_S = 1.0
RING_AGAIN_S = 5.0
RETAIN_S = 60.0
GUARD_S = 2.0
RINGS_MAX = 1000  # at a time
RETAIN_ROUNDS_MAX = 20  # of deletions in a row; other chores wait for them
LOST_AFTER_S = 15.0  # a message that old may be sent again


class Chore(Struct):
    """Something to be done again and again."""

    name: str
    pace_s: float
    work: Callable[[], Awaitable[object]]
    condition: Condition
    due_s: float = 0.0


class Housekeeping:
    """One for a process."""

    def __init__(
        self,
        services: Callable[[], Services],
        counters: Counters,
        cron: Cron,
        quarantine: Quarantine | None,
        rng: Callable[[], float],
    ) -> None:
        """`quarantine` None: somebody else runs the jobs whose workers died."""
        # Of our worker, if there is one; written by the crew.
        self.heard: Callable[[], None] = lambda: None  # wakes it
        self.worker_id: Callable[[], str] = lambda: ""
        self._services = services
        self._counters = counters
        self._cron = cron
        self._quarantine = quarantine
        self._rng = rng
        self._chores = [
            Chore(name, pace_s, work, Condition(f"jobs_{name}"))
            for name, pace_s, work in (
                ("reaping", REAP_S, self.reap),
                ("promoting", DUE_S, self.promote),
                ("expiring", EXPIRE_S, self.expire),
                ("scheduling", CRON_S, self.tick),
                ("ringing", RING_S, self.ring),
                ("ringing_again", RING_AGAIN_S, self.ring_lost),
                ("retaining", RETAIN_S, self.retain),
                ("guarding", GUARD_S, self.guard),
            )
        ]

    async def run(self) -> None:
        """Each chore is done at its pace, until cancelled; first of all our own dead are counted."""
        now = self._services().gateway.now
        await self._do(Chore("reaping", 0.0, self.reap_own, Condition("jobs_reaping")))
        for chore in self._chores:
            chore.due_s = now() + self._rng() * chore.pace_s  # processes take turns
        while True:
            chore = min(self._chores, key=lambda one: one.due_s)
            await asyncio.sleep(max(0.0, chore.due_s - now()))
            await self._do(chore)
            chore.due_s = now() + chore.pace_s * (0.9 + 0.2 * self._rng())

    async def _do(self, chore: Chore) -> None:
        try:
            await chore.work()
        except GatemillError as error:
            self._counters.housekeeping_failures += 1
            chore.condition.failed(error.message)
        else:
            chore.condition.works()

    # --- Chores ----------------------------------------------------------------------------------

    async def reap_own(self) -> None:
        """Jobs of processes of this host that have ended are taken back at once."""
        jobs = self._services().ledger.jobs
        self._took_back(len(await jobs.reap_dead_pids(processes.here(), processes.is_alive)))

    async def reap(self) -> None:
        """Jobs of workers that are silent beyond their lease are taken back."""
        jobs = self._services().ledger.jobs
        self._took_back(len(await jobs.reap(spared=self.worker_id())))
        if self._quarantine is not None:
            await self._quarantine.look()

    async def promote(self) -> None:
        """Jobs whose time has come are queued."""
        count = await self._services().ledger.jobs.promote()
        self._counters.promoted += count
        if count:
            self.heard()

    async def expire(self) -> None:
        """Jobs that had to begin by now, and have not, are over."""
        self._counters.expired += await self._services().ledger.jobs.expire()

    async def tick(self) -> None:
        """The clock's jobs are submitted."""
        self._counters.scheduled += await self._cron.tick(self._services())

    async def ring(self) -> None:
        """Where workers begin only what they are told of, they are told of what nobody told them."""
        services = self._services()
        if services.is_told:
            # Since 1970: those of which nobody was ever told.
            since_s = services.clock.unix_s() - 1.0
            await services.bell.ring(await services.ledger.jobs.rerung(since_s, RINGS_MAX))

    async def ring_lost(self) -> None:
        """The same, of what was told and got lost: more jobs wait than messages do."""
        services = self._services()
        if not services.is_told or (waiting := await services.bell.waiting()) is None:
            return
        jobs = services.ledger.jobs
        queued = sum(depth.jobs for depth in await jobs.depths() if depth.state == "queued")
        if waiting < queued:
            await services.bell.ring(await jobs.rerung(LOST_AFTER_S, RINGS_MAX))

    async def retain(self) -> None:
        """What has been kept for long enough is gone."""
        ledger = self._services().ledger
        for _ in range(RETAIN_ROUNDS_MAX):
            count = await ledger.jobs.retain()
            self._counters.deleted += count
            if not count:
                break
        await ledger.files.retain()
        await ledger.batches.retain()
        await ledger.knowledge.retain()

    async def guard(self) -> None:
        """Arms of experiments that do what no arm may get no callers any more."""
        await self._services().rooms.experiments.guard()

    def _took_back(self, count: int) -> None:
        self._counters.lost += count
        if count:
            self.heard()

"""Runs jobs: claims as many as there is room for, each a task, and tells the ledger how they end.

Rule: a job runs here only by a claim, and a worker that has been taken for dead stops everything and
writes nothing. No failure of the claim loop is silent: it is logged once, counted, and tried again.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Literal

import structlog
from msgspec import Struct

from gatemill.core.errors import LedgerUnavailable, Overloaded
from gatemill.core.tasks import spawn
from gatemill.jobs import ending, runner, tracing
from gatemill.jobs.runner import Run
from gatemill.jobs.slots import Slots
from gatemill.ledger.upkeep import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gatemill.core.job import Claimed, Outcome, Progress, Ring, Want
    from gatemill.jobs.counters import Counters
    from gatemill.jobs.services import Services
    from gatemill.ledger.jobs.rows import WorkerRow

TICK_S = 0.2  # between two words to the heart that the event loop turns
AGAIN_S = 1.0  # after a failure of the database
STUBBORN_S = 5.0  # for jobs that do not stop when they are told to


class Options(Struct, frozen=True):
    """What a worker takes, and how it lives."""

    slots: int
    queues: Mapping[str, int]  # the most of its jobs at once here
    priorities: tuple[int, ...]
    poll_s: float
    lease_s: float
    beat_s: float
    claiming: Literal["all", "told", "quarantined"] = (
        "all"  # the last leaves when there are no more
    )


class Worker:
    """One life of a worker: from its enrolment until it leaves, or is fenced. Satisfies ports.Ears."""

    def __init__(
        self,
        row: WorkerRow,
        options: Options,
        services: Callable[[], Services],
        counters: Counters,
        rng: Callable[[], float],
    ) -> None:
        """`services` gives those in effect."""
        self.id = row.id
        self.enrolled = False  # the ledger knows of it
        self.running: dict[str, Run] = {}  # by job id
        self._row = row
        self._options = options
        self._services = services
        self._slots = Slots(options.slots, options.queues, options.priorities)
        jobs = services().ledger.jobs
        self._heart = jobs.heart(row.id, options.beat_s, self._cancel_all, self.fenced)
        self._counters = counters
        self._rng = rng
        self._now = services().gateway.now
        self._news = asyncio.Event()  # there is something to look at
        self._freed = asyncio.Event()  # a slot is, or may be
        self._asking = Condition("job_claims")
        self._claim = {
            "all": self._claim_jobs,
            "told": self._claim_told,
            "quarantined": self._claim_quarantined,
        }[options.claiming]
        self._token = secrets.token_hex(8)  # of the next claim
        self._taking = 0  # single jobs that the ledger is being asked for
        self._leaving = False
        self._fenced = False

    # --- Life ------------------------------------------------------------------------------------

    async def run(self) -> bool:
        """Jobs run until `drain` was called: True; or until the ledger took us for dead: False.

        Raises what a fault of ours in the claim loop raises; what ran is then stopped.
        """
        await self._enroll()
        self._heart.start()
        ticking = spawn(self._tick(), "worker-tick")
        try:
            await self._claim()
            while (self.running or self._taking) and not self._fenced:
                await self._rest(math.inf)
        finally:
            ticking.cancel()
            self._stop("fenced")  # whatever runs now has nobody to speak for it
            await asyncio.to_thread(self._heart.stop)
        if not self._fenced:
            with suppress(LedgerUnavailable, Overloaded):  # a silent worker is found out
                await self._services().ledger.jobs.leave(self.id)
        return not self._fenced

    async def drain(self, grace_s: float) -> None:
        """Nothing new begins; what has not ended after the grace is given back, uncharged."""
        self._leaving = True
        self._news.set()
        self._freed.set()
        if self.running and grace_s > 0:
            await asyncio.wait(self._tasks(), timeout=grace_s)
        given_up_s = self._now() + STUBBORN_S
        while self.running and self._now() < given_up_s:
            self._stop("drain")
            await asyncio.wait(self._tasks(), timeout=TICK_S)
        if self.running:
            structlog.get_logger().error("jobs_do_not_stop", jobs=sorted(self.running)[:10])
            self._stop("fenced")

    def fenced(self) -> None:
        """Called by the heart: the worker is dead to the ledger."""
        self._fenced = True
        self._counters.fenced += 1
        structlog.get_logger().error("worker_fenced", worker_id=self.id, jobs=len(self.running))
        self._stop("fenced")
        self._news.set()
        self._freed.set()

    # --- Ears ------------------------------------------------------------------------------------

    @property
    def queues(self) -> Sequence[str]:
        """The queues whose jobs it takes."""
        return tuple(self._options.queues)

    @property
    def priorities(self) -> Sequence[int]:
        """The priorities that it takes, the most urgent first."""
        return self._options.priorities

    @property
    def used(self) -> dict[str, int]:
        """Jobs that run, by queue."""
        return self._slots.used

    async def room(self, queue: str) -> None:
        """A job of this queue could begin now, or none ever will: the worker leaves."""
        while not self._is_over and not self._slots.free(queue):
            self._freed.clear()
            await self._freed.wait()

    async def take(self, ring: Ring) -> bool:
        """Waits for a slot and claims this job; False at once when the worker leaves."""
        if ring.queue not in self._options.queues or ring.priority not in self.priorities:
            return False
        await self.room(ring.queue)
        if self._is_over:
            return False
        # A claim that has been sent is seen to its end, also when nobody listens any more.
        return await asyncio.shield(spawn(self._take(ring), "take-job"))

    async def job_ended(self, job_id: str) -> None:
        """The job does not run here any more, or never did."""
        while (one := self.running.get(job_id)) is not None:
            assert one.task is not None
            await asyncio.wait((one.task,))
            await asyncio.sleep(0)  # for the callback that takes it out

    async def _take(self, ring: Ring) -> bool:
        self._slots.take(ring.queue)  # held for it, while the ledger is asked
        self._taking += 1
        token = secrets.token_hex(8)
        claimed = None
        try:
            while not self._is_over:
                services = self._services()
                try:
                    claimed = await services.ledger.jobs.claim_one(
                        self.id, ring.id, services.limits, token
                    )
                except (LedgerUnavailable, Overloaded) as error:
                    await self._not_answered(error)
                else:
                    break
        finally:
            self._taking -= 1
            self._slots.give(ring.queue)
            self._freed.set()
            self._news.set()
        if claimed is None or self._fenced:
            return False
        self._begin(claimed)
        return True

    def heard(self) -> None:
        """The ledger is looked at now."""
        self._slots.news()
        self._news.set()

    def cancel(self, job_id: str) -> None:
        """The job stops, if it runs here."""
        if (one := self.running.get(job_id)) is not None:
            _interrupt(one, "cancel")

    # --- Claiming --------------------------------------------------------------------------------

    @property
    def _is_over(self) -> bool:
        return self._leaving or self._fenced

    async def _enroll(self) -> None:
        while not self._is_over:
            try:
                await self._services().ledger.jobs.enroll(self._row)
            except (LedgerUnavailable, Overloaded) as error:
                await self._not_answered(error)
            else:
                self.enrolled = True
                return

    async def _claim_told(self) -> None:
        """For engines that bring every job: `take` does it all."""
        while not self._is_over:
            await self._rest(math.inf)

    async def _claim_jobs(self) -> None:
        poll_s = self._options.poll_s
        looked_s = self._now()
        while not self._is_over:
            wants = self._slots.wants()
            if wants:
                await self._ask(wants)
            if not self._slots.wants():
                await self._rest(looked_s + poll_s - self._now())
            if self._now() >= looked_s + poll_s:
                looked_s = self._now()
                self._slots.news()

    async def _claim_quarantined(self) -> None:
        while not self._is_over:
            try:
                found = await self._services().ledger.jobs.claim_quarantined(self.id, self._token)
            except (LedgerUnavailable, Overloaded) as error:
                await self._not_answered(error)
                continue
            self._answered()
            if not found:
                return
            for claimed in found:
                self._begin(claimed)
            while self.running and not self._is_over:
                await self._rest(math.inf)

    async def _ask(self, wants: Sequence[Want]) -> None:
        services = self._services()
        by_age = self._slots.by_age(wants[0].queue)
        try:
            found = await services.ledger.jobs.claim(
                self.id, wants, services.limits, self._token, favour_oldest=by_age
            )
        except (LedgerUnavailable, Overloaded) as error:
            await self._not_answered(error)
            return
        self._answered()
        self._slots.answered(wants, found)
        if not self._fenced:  # else they are taken back with all that we had
            for claimed in found:
                self._begin(claimed)

    def _answered(self) -> None:
        self._asking.works()
        # Not before: asked again with the same token, the ledger gives what it gave without our
        # hearing of it.
        self._token = secrets.token_hex(8)

    async def _not_answered(self, error: LedgerUnavailable | Overloaded) -> None:
        self._counters.claim_failures += 1
        self._asking.failed(error.message)
        await asyncio.sleep(AGAIN_S)

    async def _rest(self, patience_s: float) -> None:
        """There is news, or the patience is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(None if patience_s == math.inf else max(0.0, patience_s)):
                await self._news.wait()
                self._news.clear()

    # --- Running ---------------------------------------------------------------------------------

    def _begin(self, claimed: Claimed) -> None:
        job, services = claimed.job, self._services()
        one = Run(claimed, services, self._now())
        self._slots.take(job.queue)
        counted = self._counters.kind(job.kind)
        counted.started += 1
        counted.wait_s.observe(max(0.0, services.clock.unix_s() - job.run_at))
        self.running[job.id] = one
        self._count()
        one.task = spawn(self._run(one), f"job-{job.id}")
        one.task.add_done_callback(partial(self._ended, one))
        if self._leaving:
            _interrupt(one, "drain")  # given back before it begins
        services.news.tell(job.id)

    async def _run(self, one: Run) -> None:
        one.begun = True
        trace = tracing.begin(one)
        outcome = await runner.run(one, self._report, self._rng)
        one.settling = True
        if trace is not None:
            tracing.end(one, trace, outcome)
        if outcome is not None:
            await self._settle(one, outcome)

    async def _settle(self, one: Run, outcome: Outcome) -> None:
        await ending.settle(one, outcome, self._counters, self._options.lease_s, self._rng)

    def _report(self, claimed: Claimed, progress: Progress) -> None:
        self._heart.progress(claimed, progress)
        self._services().news.tell(claimed.job.id)

    def _ended(self, one: Run, task: asyncio.Task[None]) -> None:
        job = one.claimed.job
        if not task.cancelled() and task.exception() is not None and not one.rescued:
            # A fault of ours on the way to the ledger; the job must not seem to run for ever.
            one.rescued = True
            outcome = runner.again(one, runner.INTERNAL, self._rng())
            one.task = spawn(self._settle(one, outcome), f"end-{job.id}")
            one.task.add_done_callback(partial(self._ended, one))
            return
        if self.running.get(job.id) is one:  # else it runs here again already
            del self.running[job.id]
        self._slots.give(job.queue)
        if job.parent_id:
            self._slots.news()  # the one that waited for it may go on now
        elif job.queue in one.services.limits:
            self._slots.news((job.queue,))
        self._count()
        self._counters.kind(job.kind).run_s.observe(self._now() - one.started_s)
        self._news.set()
        self._freed.set()

    def _cancel_all(self, job_ids: Sequence[str]) -> None:
        # The heart says so every second while they run.
        for job_id in job_ids:
            self.cancel(job_id)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [one.task for one in self.running.values() if one.task is not None]

    def _count(self) -> None:
        self._counters.slots_used = self._heart.running = len(self.running)

    def _stop(self, why: str) -> None:
        for one in list(self.running.values()):
            _interrupt(one, why)

    async def _tick(self) -> None:
        while True:
            self._heart.tick()
            self._counters.heartbeat_late_s = self._heart.late_s
            await asyncio.sleep(TICK_S)


def _interrupt(one: Run, why: str) -> None:
    """The job stops: at once where it has begun, else when it would begin."""
    assert one.task is not None
    if why == "fenced" or not one.why:
        one.why = why
    if why == "fenced" or (one.begun and not one.settling):
        one.task.cancel()

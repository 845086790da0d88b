"""A worker that is taken for dead, whose database is away, or that has a fault: no job is lost."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from crews import PLAY, acting, ended, reached, submit, until, working
from gatemill.core.clock import Clock, SystemClock
from gatemill.core.errors import LedgerUnavailable
from gatemill.core.job import Ring
from gatemill.house import Shift


async def test_a_worker_that_was_taken_for_dead_stops_everything_and_begins_anew(tmp_path: Path):
    stopped = []

    async def linger(ctx: Any, _args: Any) -> str:
        try:
            await asyncio.sleep(60.0 if not stopped else 0.0)
        finally:
            stopped.append(ctx.job.id)
        return "second"

    config = f"{PLAY}beat_s = 0.2\nlease_s = 60\n"
    with acting(linger=linger):
        async with working(tmp_path, config) as site:
            jobs = site.services.ledger.jobs
            first = site.worker
            (job_id,) = await submit(site.services, "linger")
            await reached(site.services, job_id, {"running"})
            await jobs.leave(first.id)  # as another process does that finds its lease over
            await until(lambda: stopped == [job_id], "the job was stopped")
            full = await ended(site.services, job_id)
            assert site.worker.id != first.id
            assert (full.job.state, full.job.lost) == ("succeeded", 1)
            assert full.result == b'"second"'
            history = await jobs.attempts(job_id)
    assert [one.outcome for one in history] == ["lost", "succeeded"]
    assert site.home.jobs.counters.fenced == 1


async def test_a_worker_that_stands_alone_ends_when_it_was_taken_for_dead(tmp_path: Path):
    config = f"{PLAY}beat_s = 0.2\nlease_s = 60\n"
    async with working(tmp_path, config, Shift(returns=False)) as site:
        await until(lambda: site.worker.enrolled, "it is enrolled")
        await site.services.ledger.jobs.leave(site.worker.id)
        await asyncio.wait_for(site.crew.ended.wait(), 20)
        assert site.crew.fenced


class _Failing:
    """The ledger's jobs, of which one method fails for a while."""

    def __init__(self, jobs: Any, name: str) -> None:
        self._jobs = jobs
        self._name = name
        self.failures = 0
        self.fails = True

    def __getattr__(self, name: str) -> Any:
        if name != self._name or not self.fails:
            return getattr(self._jobs, name)

        async def fail(*_args: Any, **_named: Any) -> Any:
            self.failures += 1
            raise LedgerUnavailable("The database is away.")

        return fail


@contextlib.asynccontextmanager
async def failing(tmp_path: Path, name: str, config: str = PLAY, clock: Clock | None = None) -> Any:
    async with working(tmp_path, config, clock=clock, starts=False) as site:
        ledger = site.services.ledger
        whole = ledger.jobs
        ledger.jobs = fake = _Failing(whole, name)
        try:
            site.crew.start()
            yield site, fake
        finally:
            ledger.jobs = whole


async def test_a_database_that_is_away_is_counted_and_does_not_end_the_claiming(tmp_path: Path):
    async with failing(tmp_path, "claim") as (site, fake):
        (job_id,) = await submit(site.services, "sleep")
        await until(lambda: fake.failures >= 2, "it asks again")
        assert site.home.jobs.counters.claim_failures == fake.failures
        fake.fails = False
        assert (await ended(site.services, job_id)).job.state == "succeeded"


async def test_a_worker_leaves_although_the_database_does_not_answer_a_message(tmp_path: Path):
    async with failing(tmp_path, "claim_one") as (site, fake):
        await until(lambda: site.worker.enrolled, "it is enrolled")
        taking = asyncio.ensure_future(site.crew.take(Ring("job_1", "inference", 1)))
        await until(lambda: fake.failures, "it asks")
        draining = asyncio.ensure_future(site.crew.drain(0.0))
        try:
            await until(draining.done, "it has left")
        finally:
            fake.fails = False
        assert not await taking


async def test_an_end_that_the_database_does_not_take_is_told_until_it_does(tmp_path: Path):
    async with failing(tmp_path, "finish") as (site, fake):
        (job_id,) = await submit(site.services, "sleep")
        await until(lambda: fake.failures >= 3, "it is told again")
        assert (await site.services.ledger.jobs.get(job_id, None)).job.state == "running"
        fake.fails = False
        full = await ended(site.services, job_id)
        assert (full.job.state, full.job.attempt) == ("succeeded", 1)
        assert site.home.jobs.counters.commit_failures == fake.failures


class Ahead(SystemClock):
    """The system's clock, of which a test says how far its seconds have come."""

    by_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.by_s


async def test_a_result_that_is_not_taken_within_a_lease_is_dropped_and_the_job_runs_again(
    tmp_path: Path,
):
    clock = Ahead()
    config = f"{PLAY}lease_s = 600\nbackoff_s = 0.01\n"
    async with failing(tmp_path, "finish", config, clock) as (site, fake):
        (job_id,) = await submit(site.services, "sleep")
        await until(lambda: fake.failures >= 1, "it was not taken")
        clock.by_s = 600.0
        await until(lambda: site.home.jobs.counters.commits_dropped == 1, "it is dropped")
        fake.fails = False
        full = await ended(site.services, job_id)
        assert (full.job.state, full.job.attempt) == ("succeeded", 2)


async def test_a_fault_of_ours_in_the_claim_loop_does_not_look_like_an_idle_worker(tmp_path: Path):
    async with working(tmp_path, starts=False) as site:
        ledger = site.services.ledger
        whole, broken = ledger.jobs, _Failing(ledger.jobs, "claim")

        async def fault(*_args: Any, **_named: Any) -> Any:
            broken.fails = False
            raise RuntimeError("a bug")

        broken.claim = fault
        ledger.jobs = broken
        site.crew.start()
        first = site.worker
        await until(lambda: site.worker is not first, "it was replaced")
        ledger.jobs = whole
        (job_id,) = await submit(site.services, "sleep")
        assert (await ended(site.services, job_id)).job.state == "succeeded"


class _Slow:
    """The ledger's jobs, whose logs are not written before `gate` is open."""

    def __init__(self, jobs: Any) -> None:
        self._jobs = jobs
        self.asked = 0
        self.gate = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    async def append_events(self, *args: Any) -> bool:
        self.asked += 1
        await self.gate.wait()
        kept: bool = await self._jobs.append_events(*args)
        return kept


@pytest.mark.parametrize(("act", "state"), [("linger", "cancelled"), ("fail", "dead")])
async def test_a_job_that_is_told_to_stop_while_its_last_words_are_written_ends_as_it_would(
    tmp_path: Path, act: str, state: str
):
    async def linger(ctx: Any, _args: Any) -> None:
        await ctx.emit([b"data: x\n\n"])
        await asyncio.sleep(60)

    async def fail(ctx: Any, _args: Any) -> None:
        await ctx.emit([b"data: x\n\n"])
        raise RuntimeError("a bug")

    with acting(linger=linger, fail=fail):
        async with working(tmp_path) as site:
            ledger, worker = site.services.ledger, site.worker
            whole = ledger.jobs
            ledger.jobs = slow = _Slow(whole)
            (job_id,) = await submit(site.services, act, attempts_max=1)
            await until(lambda: slow.asked > 0, "it speaks")
            for _ in range(3):  # as the heart does, and a drain
                worker.cancel(job_id)
                for _ in range(5):
                    await asyncio.sleep(0)
            slow.gate.set()
            await until(lambda: job_id not in worker.running, "it has ended")
            ledger.jobs = whole
            assert (await whole.get(job_id, None)).job.state == state

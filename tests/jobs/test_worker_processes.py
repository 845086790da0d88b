"""Workers in processes of their own: killed, frozen, poisoned, drained. The house is in the test."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import databases
from crews import PLAY, Site, ended, reached, submit, working
from gatemill.core.errors import LedgerUnavailable
from gatemill.core.job import FINAL
from gatemill.ledger import queries
from gatemill.ledger.jobs.rows import Filter
from running import process_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

# Whoever finds that the process of another has ended need not wait for its lease, and one that stands still
# because the machine does is not taken for dead.
CONFIG = f"{PLAY}lease_s = 600\nbeat_s = 0.5\npoll_s = 0.1\n"
SILENT = queries.literal("silent", "UPDATE workers SET beat_at = beat_at - :by WHERE id = :id")
PATIENCE_S = 180.0
FREEZES_MAX = 9
DRAIN = "\n[server]\ndrain_timeout_s = {}\n"


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with databases.empty(request.param, tmp_path) as place:
        yield {"GATEMILL_STORES__DATABASE": place.url} if place.url else {}


@contextmanager
def worker(tmp_path: Path, *words: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """`gatemill worker` beside the house of the test; it is killed if the test has not ended it."""
    environment = process_environment(tmp_path, tmp_path / "gatemill.toml", tmp_path / "data")
    environment |= {"PYTHONPATH": str(Path(__file__).parents[1]), **environ}
    with (tmp_path / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gatemill", "worker", *words],
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()


async def enrolled(site: Site, count: int) -> None:
    given_up_s = time.monotonic() + PATIENCE_S
    while len(await site.services.ledger.jobs.workers()) < count:
        assert time.monotonic() < given_up_s, "no worker"
        await asyncio.sleep(0.05)


async def all_in(site: Site, ids: list[str], states: Any) -> list[Any]:
    found = [await reached(site.services, job_id, states, PATIENCE_S) for job_id in ids]
    return [full.job for full in found]


async def freeze(site: Site, process: subprocess.Popen[bytes]) -> None:
    """The worker stands still, and has been silent for longer than its lease."""
    jobs = site.services.ledger.jobs
    (row,) = await jobs.workers()
    silent = {"id": row.id, "by": 601.0}
    for _ in range(FREEZES_MAX):
        process.send_signal(signal.SIGSTOP)
        try:
            await jobs._shared(lambda database: database.run(SILENT, silent))
        except LedgerUnavailable:  # it was in the middle of a write, and lets nobody else
            process.send_signal(signal.SIGCONT)
        else:
            return
    raise AssertionError("it always writes")


async def test_what_a_killed_worker_ran_is_run_by_another(tmp_path: Path, database: Any):
    go = tmp_path / "go"
    async with working(tmp_path, CONFIG, starts=False, **database) as site:
        ids = await submit(site.services, "stay", count=50, text=str(go))
        with worker(tmp_path, **database) as first:
            await all_in(site, ids, {"running"})
            first.kill()
            first.wait()
            go.touch()
            site.crew.start()
            jobs = await all_in(site, ids, FINAL)
            assert [job.state for job in jobs] == ["succeeded"] * 50
            assert {(job.attempt, job.lost) for job in jobs} == {(1, 1)}


async def test_the_late_result_of_a_frozen_worker_is_refused(tmp_path: Path, database: Any):
    go = tmp_path / "go"
    async with working(tmp_path, CONFIG, starts=False, **database) as site:
        jobs = site.services.ledger.jobs
        ids = await submit(site.services, "stay", count=3, text=str(go))
        with worker(tmp_path, **database) as frozen:
            await all_in(site, ids, {"running"})
            await freeze(site, frozen)
            go.touch()
            site.crew.start()
            done = await all_in(site, ids, FINAL)
            assert {(job.state, job.lost) for job in done} == {("succeeded", 1)}
            frozen.send_signal(signal.SIGCONT)
            assert await asyncio.to_thread(frozen.wait, PATIENCE_S) == 75
            assert await all_in(site, ids, FINAL) == done
        for job_id in ids:
            outcomes = [one.outcome for one in await jobs.attempts(job_id)]
            assert outcomes == ["lost", "succeeded"]


async def test_a_job_that_kills_its_worker_is_a_dead_letter_and_its_neighbours_succeed(
    tmp_path: Path,
):
    async with working(tmp_path, CONFIG, starts=False) as site:
        before = await submit(site.services, "sleep", count=50, seconds=0.1)
        (poison,) = await submit(site.services, "die")
        ids = before + await submit(site.services, "sleep", count=50, seconds=0.1)
        # As whoever supervises a worker: another one follows.
        given_up_s = time.monotonic() + PATIENCE_S
        wanted = {"succeeded": 100, "dead": 1}
        states: Counter[str] = Counter()
        while states != wanted:
            with worker(tmp_path) as process:
                while process.poll() is None and states != wanted:
                    assert time.monotonic() < given_up_s, states
                    await asyncio.sleep(0.1)
                    found = await site.services.ledger.jobs.listed(Filter(), 1000)
                    states = Counter(job.state for job in found)
                if states == wanted:
                    process.terminate()
                    assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0
        full = await ended(site.services, poison)
        assert full.job.state == "dead"
        assert b"worker_lost" in (full.job.error or b"")
        history = await site.services.ledger.jobs.attempts(poison)
        assert [one.outcome for one in history] == ["lost"] * 5
        # Two deaths of the whole process, one with twenty; after that each was alone.
        neighbours = await all_in(site, ids, FINAL)
        assert max(job.lost for job in neighbours) <= 3


async def test_sigterm_gives_back_what_the_grace_did_not_see_end(tmp_path: Path):
    config = CONFIG + DRAIN.format(0.5)
    async with working(tmp_path, config, starts=False) as site:
        jobs = site.services.ledger.jobs
        quick = await submit(site.services, "sleep", count=5, seconds=1.0)
        slow = await submit(site.services, "sleep", count=20, seconds=60.0)
        with worker(tmp_path) as process:
            await all_in(site, slow, {"running"})
            await all_in(site, quick, {"succeeded"})
            process.terminate()
            assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0
        for job in await all_in(site, slow, {"queued"}):
            assert (job.attempt, job.lost) == (0, 0)
        assert await jobs.workers() == []


async def test_a_worker_takes_the_queues_and_slots_that_it_is_told(tmp_path: Path):
    async with working(tmp_path, CONFIG, starts=False) as site:
        words = ("--queues", "high,low,inference,webhooks", "--slots", "3")
        with worker(tmp_path, *words) as process:
            await enrolled(site, 1)
            (row,) = await site.services.ledger.jobs.workers()
            assert (row.queues, row.slots) == (("inference", "webhooks"), 3)
            low = await submit(site.services, "sleep", count=2, priority=2)
            (middle,) = await submit(site.services, "sleep", priority=1)
            await all_in(site, low, {"succeeded"})
            assert (await site.services.ledger.jobs.get(middle, None)).job.state == "queued"
            process.terminate()
            assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0

"""A worker's heart: a real thread, short beats."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

import pytest

from gatemill.core.clock import SystemClock
from gatemill.core.errors import LedgerUnavailable
from gatemill.core.job import Progress, Succeeded
from gatemill.ledger import queries
from jobs_ledger import Hand, accept, site, worker

PATIENCE_S = 60.0
BEAT_S = 0.05
COUNT_BACK = queries.literal("age", "UPDATE workers SET beat_at = beat_at - :by WHERE id = :id")


class Ear:
    """A worker that writes down what it is told, and by which thread."""

    def __init__(self):
        self.cancels = asyncio.Queue()
        self.fenced = asyncio.Event()
        self.threads = set()

    def on_cancel(self, job_ids):
        self.threads.add(threading.get_ident())
        self.cancels.put_nowait(list(job_ids))

    def on_fenced(self):
        self.threads.add(threading.get_ident())
        self.fenced.set()


@pytest.fixture
async def here(place, tmp_path):
    async with site(place, tmp_path) as found:
        found.clock = SystemClock()
        yield found


@pytest.fixture
async def jobs(here):
    return await here.jobs()


@pytest.fixture
async def hand(here, jobs):
    return await Hand.enrolled(here, jobs, "w1")


@pytest.fixture
def ear():
    return Ear()


@pytest.fixture
async def heart(jobs, hand, ear):
    made = jobs.heart("w1", BEAT_S, ear.on_cancel, ear.on_fenced)
    yield made
    await asyncio.to_thread(made.stop)


async def until(what):
    """What it gives, once it gives something true."""
    async with asyncio.timeout(PATIENCE_S):
        while True:  # what is looked at tells nobody when it changes
            if found := await what():
                return found
            await asyncio.sleep(0.01)


async def beats_of(jobs):
    return [row.beat_at for row in await jobs.workers()]


async def ticking(heart):
    while True:
        heart.tick()
        await asyncio.sleep(0.01)


@pytest.fixture
async def ticked(heart):
    task = asyncio.get_running_loop().create_task(ticking(heart))
    yield
    task.cancel()


async def test_it_beats_while_the_loop_turns(jobs, heart, ticked):
    (first,) = await beats_of(jobs)
    heart.running = 3
    heart.start()

    async def later():
        (row,) = await jobs.workers()
        return row.beat_at > first and row.running == 3

    await until(later)
    (second,) = await beats_of(jobs)

    async def on():
        return (await beats_of(jobs))[0] > second

    await until(on)
    assert heart.late_s < PATIENCE_S


async def test_it_stops_beating_when_the_loop_hangs_and_goes_on_with_it(jobs, heart, monkeypatch):
    monkeypatch.setattr("gatemill.ledger.jobs.heart.HUNG_S_MIN", 0.0)
    heart.start()

    async def late():
        return heart.late_s > 0.3

    await until(late)
    (before,) = await beats_of(jobs)

    async def again():
        heart.tick()
        return (await beats_of(jobs))[0] > before

    await until(again)


async def test_it_tells_which_jobs_are_to_stop_until_they_have(here, jobs, hand, heart, ear):
    await accept(jobs, here.new(), here.new())
    first, _ = await hand.take()
    heart.start()
    await jobs.cancel(first.job.id, None)
    async with asyncio.timeout(PATIENCE_S):
        assert await ear.cancels.get() == [first.job.id]
        assert await ear.cancels.get() == [first.job.id]
    assert ear.threads == {threading.get_ident()}


async def test_it_writes_the_newest_progress_of_a_job_and_only_of_the_last_claim(
    here, jobs, hand, heart, monkeypatch
):
    monkeypatch.setattr("gatemill.ledger.jobs.heart.HUNG_S_MIN", 0.0)
    await accept(jobs, here.new(), here.new())
    first, second = await hand.take()
    heart.progress(first, Progress(1))
    heart.progress(first, Progress(2, 9, "two"))
    heart.start()

    async def written():
        return (await jobs.look(first.job.id, None))[1] == Progress(2, 9, "two")

    async def rests():  # a beat of one that has left would be its last
        return heart.late_s > 2 * BEAT_S

    await until(written)
    await until(rests)
    await jobs.finish(first, Succeeded(b"1"), Progress(9, 9))
    await jobs.leave("w1")
    await jobs.enroll(worker("w1", here.clock.unix_s()))
    await jobs.reap()
    heart.progress(by_another(second), Progress(7))
    heart.progress(second, Progress(8))

    async def reached():
        return (await jobs.look(second.job.id, None))[1] == Progress(8)

    await until(reached)
    heart.progress(by_another(second), Progress(9))
    (before,) = await beats_of(jobs)

    async def passed():
        heart.tick()
        return (await beats_of(jobs))[0] > before + 3 * BEAT_S

    await until(passed)
    assert (await jobs.look(second.job.id, None))[1] == Progress(8)
    assert (await jobs.look(first.job.id, None))[1] == Progress(9, 9)


def by_another(claimed):
    return type(claimed)(claimed.job, claimed.args, "another claim")


async def test_a_worker_that_was_taken_for_dead_is_told(jobs, heart, ear, ticked):
    heart.start()
    await jobs.leave("w1")
    async with asyncio.timeout(PATIENCE_S):
        await ear.fenced.wait()
    assert ear.threads == {threading.get_ident()}
    await asyncio.to_thread(heart.join, PATIENCE_S)
    assert not heart.is_alive()


async def test_a_worker_that_was_silent_and_not_yet_missed_goes_on(jobs, heart, ear, ticked):
    age = {"id": "w1", "by": 1_000.0}
    await jobs._shared(lambda db: db.run(COUNT_BACK, age))
    heart.start()

    async def young():
        return await jobs.reap() == [] and (await beats_of(jobs)) != []

    before = await beats_of(jobs)

    async def beaten():
        return await beats_of(jobs) > before

    await until(beaten)
    assert await until(young)
    assert not ear.fenced.is_set()


async def test_it_survives_a_database_that_is_away(jobs, heart, ticked, monkeypatch):
    tries = []
    opened = heart._place

    class Away:
        def open(self, *, writes):
            tries.append(writes)
            if len(tries) < 3:
                raise LedgerUnavailable("The database is away.")
            return opened.open(writes=writes)

    heart._place = Away()
    (before,) = await beats_of(jobs)
    heart.start()

    async def beaten():
        return (await beats_of(jobs))[0] > before

    await until(beaten)
    assert tries == [True, True, True]


async def test_a_heart_that_never_started_can_be_stopped(heart):
    heart.stop()


async def test_progress_that_could_not_be_written_is_written_later(here, jobs, hand, heart):
    await accept(jobs, here.new(), here.new())
    first, second = await hand.take()

    class Failing:
        @contextmanager
        def transaction(self):
            heart.progress(second, Progress(5))  # comes meanwhile, and is newer
            raise LedgerUnavailable("The disk is full.")
            yield

    heart.progress(first, Progress(1))
    heart.progress(second, Progress(2))
    with pytest.raises(LedgerUnavailable):
        heart._write_progress(Failing())
    heart.start()

    async def written():
        found = [(await jobs.look(each.job.id, None))[1] for each in (first, second)]
        return found == [Progress(1), Progress(5)]

    await until(written)

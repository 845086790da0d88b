"""Batches that are cancelled, expire, or lose their worker: what was answered is delivered."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from batch_play import CHAT, ended, files_of, handed_in, ids, jsonl, key_of, line, reached, uploaded
from crews import until, working
from gatemill.core.clock import SystemClock
from gatemill.core.errors import Conflict
from gatemill.core.job import owner_of
from gatemill.core.limits import Limits
from gatemill.house import Shift
from gatemill.jobs.batching import desk
from gatemill.jobs.batching.words import PART, BatchArgs
from gatemill.jobs.making import new_job

# --- Stopping ----------------------------------------------------------------------------------------


async def test_a_cancelled_batch_delivers_what_it_has(site, key, fake):
    services = site.services
    lines = [line(f"id-{number}", model="stuck" if number > 4 else "fast") for number in range(20)]
    batch = await handed_in(services, key, lines)
    await reached(services, batch, lambda one: one.completed == 5)
    assert (await desk.cancel(services, key, batch.id)).status == "cancelling"
    batch = await ended(services, batch)
    output, errors = await files_of(services, batch)
    assert batch.status == "cancelled"
    assert ids(output) == [f"id-{number}" for number in range(5)]
    assert ids(errors) == [f"id-{number}" for number in range(5, 20)]
    assert {one["error"]["code"] for one in errors} == {"batch_cancelled"}
    assert (batch.total, batch.completed, batch.failed) == (20, 5, 15)
    assert (await desk.cancel(services, key, batch.id)).status == "cancelled"


class Slow:
    """A ledger's batches whose first save takes longer than anybody has patience."""

    def __init__(self, whole):
        self.whole = whole
        self.tries = 0

    def __getattr__(self, name):
        return getattr(self.whole, name)

    async def save(self, claimed, batch_id, results):
        self.tries += 1
        if self.tries == 1:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return await self.whole.save(claimed, batch_id, results)


async def test_a_part_that_is_told_to_stop_again_and_again_keeps_what_was_answered(site, key):
    services = site.services
    ledger, whole = services.ledger, services.ledger.batches
    ledger.batches = slow = Slow(whole)

    def over(batch):
        for one in list(site.worker.running.values()):
            if one.claimed.job.kind == PART:
                site.worker.cancel(one.claimed.job.id)
        return batch.ended_at is not None

    try:
        batch = await handed_in(services, key, [line("a"), line("b", model="stuck")])
        await until(lambda: slow.tries, "a result is being saved")
        await desk.cancel(services, key, batch.id)
        batch = await reached(services, batch, over)
    finally:
        ledger.batches = whole
    output, errors = await files_of(services, batch)
    assert (batch.status, ids(output), ids(errors)) == ("cancelled", ["a"], ["b"])


async def test_a_batch_cancelled_before_it_began_asks_nothing(tmp_path, config, fake):
    async with working(tmp_path, config, starts=False) as site:
        services = site.services
        key = await key_of(services)
        batch = await handed_in(services, key, [line("a"), line("b")])
        await desk.cancel(services, key, batch.id)
        site.crew.start()
        batch = await ended(services, batch)
        _, errors = await files_of(services, batch)
    assert (batch.status, ids(errors), len(fake.journal)) == ("cancelled", ["a", "b"], 0)


async def test_a_batch_that_has_ended_cannot_be_cancelled(site, key):
    batch = await ended(site.services, await handed_in(site.services, key, [line("a")]))
    with pytest.raises(Conflict):
        await desk.cancel(site.services, key, batch.id)


async def short_lived(services, key, lines, for_s):
    """A batch whose window is shorter than any that a caller gets."""
    file_id = await uploaded(services, key, jsonl(lines))
    job_id = services.new_id()
    now_s = services.clock.unix_s()
    new = desk.NewBatch(
        id=f"batch_{job_id}",
        job_id=job_id,
        owner=owner_of(key),
        endpoint=CHAT,
        input_file_id=file_id,
        completion_window="24h",
        metadata="{}",
        output_keep_s=3600.0,
        idempotency_key="",
        fingerprint="",
        created_at=now_s,
        expires_at=now_s + for_s,
    )
    args = msgspec.json.encode(BatchArgs(new.id, key.id))
    job = new_job(services, "batch", args, owner=new.owner, key_id="", id=job_id)
    return (await services.ledger.batches.create(new, job))[0]


class Ahead(SystemClock):
    """The system's time, and what a test adds to it."""

    by_s = 0.0

    def unix_s(self):
        return super().unix_s() + self.by_s


async def test_what_was_not_asked_in_time_expires(tmp_path, config):
    clock = Ahead()
    # One after the other, and nobody is taken for dead because of the clock.
    config = config.replace("concurrency = 3", "concurrency = 1") + "lease_s = 600\n"
    config = config.replace("part_lines = 4", "part_lines = 100")
    lines = [line(f"id-{number}", model="slow") for number in range(100)]
    async with working(tmp_path, config, clock=clock) as site:
        key = await key_of(site.services)
        batch = await short_lived(site.services, key, lines, for_s=60.0)
        await reached(site.services, batch, lambda one: one.completed)
        clock.by_s = 60.0
        batch = await ended(site.services, batch)
        output, errors = await files_of(site.services, batch)
    assert batch.status == "expired"
    assert 0 < len(output) < 100
    assert len(output) + len(errors) == 100
    assert {one["error"]["code"] for one in errors} == {"batch_expired"}


async def test_waiting_for_a_limit_ends_with_the_window(site):
    for for_s in (2.0, 20.0, 60.0):  # a busy machine may not have asked anything in time
        key = await key_of(site.services, limits=Limits(requests_per_day=1))
        batch = await short_lived(site.services, key, [line("a"), line("b")], for_s)
        batch = await ended(site.services, batch)
        output, errors = await files_of(site.services, batch)
        assert (batch.status, len(output) + len(errors)) == ("expired", 2)
        if output:
            break
    assert len(output) == 1


# --- Beginning anew ----------------------------------------------------------------------------------


async def test_a_worker_that_leaves_loses_no_answer(tmp_path, config, fake):
    config = config.replace("part_lines = 4", "part_lines = 10")
    lines = [line(f"id-{number}", model="slow") for number in range(60)]
    async with working(tmp_path, config) as site:
        services = site.services
        key = await key_of(services)
        batch = await handed_in(services, key, lines)
        await until(lambda: len(fake.journal) >= 9, "some are asked")
        await site.crew.drain(0.0)
        asked = len(fake.journal)
        again = site.hire(Shift())
        again.start()
        batch = await ended(services, batch)
        output, errors = await files_of(services, batch)
        await again.drain(0.0)
    assert (batch.status, batch.completed, errors) == ("completed", 60, [])
    assert ids(output) == [f"id-{number}" for number in range(60)]
    # What was answered is not asked again; what was in flight is: 3 in each of 6 parts at most.
    assert len(fake.journal) - 60 <= 18
    assert asked < 60


async def test_a_part_that_begins_anew_asks_only_what_is_not_known(tmp_path, config, fake):
    config = config.replace("part_lines = 4", "part_lines = 120")
    lines = [line(f"id-{number}", model="slow" if number > 60 else "fast") for number in range(70)]
    async with working(tmp_path, config) as site:
        services = site.services
        key = await key_of(services)
        batch = await handed_in(services, key, lines)
        await reached(services, batch, lambda one: one.completed >= 60)
        await site.crew.drain(0.0)
        known = (await services.ledger.batches.get(batch.id, "")).completed
        asked = len(fake.journal)
        again = site.hire(Shift())
        again.start()
        batch = await ended(services, batch)
        output, _ = await files_of(services, batch)
        await again.drain(0.0)
    assert len(fake.journal) - asked == 70 - known
    assert ids(output) == [f"id-{number}" for number in range(70)]


async def test_counts_never_fall(site, key):
    lines = [line(f"id-{number}") for number in range(200)]
    batch = await handed_in(site.services, key, lines)
    seen = [(0, 0)]

    def look(now):
        seen.append((now.completed, now.failed))
        return now.ended_at is not None

    await reached(site.services, batch, look)
    assert seen == sorted(seen)
    assert seen[-1] == (200, 0)

"""Dead letters and jobs that ended: replayed, purged and deleted, on SQLite and on Postgres."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.errors import NotFound
from gatemill.core.job import Failed, Progress, Succeeded
from gatemill.ledger.jobs.rows import Filter
from jobs_ledger import NOW_S, OOPS, QUEUE, accept

DONE = Succeeded(b'{"answer":42}')


async def test_a_dead_letter_replayed_by_two_begins_once(here, jobs, hand):
    new = here.new(expires_at=NOW_S + 1)
    await accept(jobs, new)
    claimed = await hand.take_only()
    await jobs.append_events(claimed, [b"a"])
    await jobs.finish(claimed, Failed(OOPS), Progress(1))
    other = await here.jobs()
    here.clock.advance(9)
    found = await asyncio.gather(*(each.replay(new.id, None) for each in [jobs, other] * 5))
    assert sorted(found) == [False] * 9 + [True]
    full = await jobs.get(new.id, None)
    job = full.job
    assert (job.state, job.attempt, job.lost, job.error) == ("queued", 0, 0, None)
    assert (job.finished_at, job.keep_until, full.progress) == (None, None, None)
    assert await jobs.events(new.id, 0, 10) == []
    assert await jobs.finish(await hand.take_only(), DONE)
    assert [each.number for each in await jobs.attempts(new.id)] == [1, 2]
    assert not await jobs.replay(new.id, None)


async def test_a_replay_keeps_what_was_done_unless_the_arguments_change(here, jobs, hand):
    new = here.new()
    await accept(jobs, new)
    claimed = await hand.take_only()
    await jobs.step(claimed, "a", b"1")
    await jobs.finish(claimed, Failed(OOPS))
    assert await jobs.replay(new.id, None, priority=0)
    claimed = await hand.take_only()
    assert (claimed.args, claimed.job.priority) == (new.args, 0)
    assert await jobs.steps(new.id) == {"a": b"1"}
    await jobs.finish(claimed, Failed(OOPS))
    assert await jobs.replay(new.id, None, args=b"{}")
    assert await jobs.steps(new.id) == {}
    assert (await hand.take_only()).args == b"{}"


async def test_a_notification_is_sent_again_after_every_end(here, jobs, hand):
    new = here.new(kind="webhook", notify=False)
    await accept(jobs, new)
    await jobs.finish(await hand.take_only(), DONE)
    assert await jobs.replay(new.id, None)
    assert (await jobs.get(new.id, None)).result is None
    assert not await jobs.replay(new.id, None)


async def test_a_dead_letter_is_purged_with_all_that_belongs_to_it(here, jobs, hand):
    dead, waiting = here.new(), here.new()
    await accept(jobs, dead, waiting)
    claimed = (await hand.take(1))[0]
    await jobs.step(claimed, "a", b"1")
    await jobs.append_events(claimed, [b"a"])
    assert not await jobs.purge(dead.id, None)
    await jobs.finish(claimed, Failed(OOPS))
    assert not await jobs.delete(waiting.id, None)
    assert await jobs.purge(dead.id, "team:core")
    with pytest.raises(NotFound):
        await jobs.get(dead.id, None)
    assert await jobs.attempts(dead.id) == []
    assert await jobs.steps(dead.id) == {}
    assert await jobs.events(dead.id, 0, 10) == []


async def test_a_job_that_ended_can_be_deleted(here, jobs, hand):
    new = here.new()
    await accept(jobs, new)
    assert not await jobs.delete(new.id, None)
    await jobs.finish(await hand.take_only(), DONE)
    assert not await jobs.purge(new.id, None)
    assert await jobs.delete(new.id, None)
    assert await jobs.listed(Filter(queue=QUEUE), 10) == []

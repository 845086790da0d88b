"""Parts, housekeeping, lists and sums of jobs, on SQLite and on Postgres."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.errors import InvalidValue, NotFound
from gatemill.core.job import Again, Failed, Progress, Ring, Succeeded, Waiting
from gatemill.ledger.jobs import ending, upkeep
from gatemill.ledger.jobs.rows import Depth, Filter
from jobs_ledger import LEASE_S, NOW_S, OOPS, QUEUE, Hand, accept, ids, state, worker
from usage_rows import usage_row

DONE = Succeeded(b'"done"')


@pytest.fixture
async def ledger(here):
    return await here.ledger()


@pytest.fixture
async def jobs(ledger):
    return ledger.jobs


async def family(here, jobs, hand, parts=3, queue=QUEUE, **fields):
    """A job that waits for its parts, which are queued; their ids."""
    parent = here.new(**fields)
    await accept(jobs, parent)
    claimed = await hand.take_only()
    shared = {"parent_id": parent.id, "queue": queue, "notify": False}
    new = tuple(here.new(part=number, **shared) for number in range(parts))
    assert await jobs.finish(claimed, Waiting(new))
    return parent.id, [each.id for each in new]


# --- Parts ----------------------------------------------------------------------------------------


async def test_a_job_goes_on_with_the_end_of_its_last_part(here, jobs, hand):
    parent, parts = await family(here, jobs, hand)
    job = (await jobs.look(parent, None))[0]
    assert (job.state, job.parts, job.parts_open, job.attempt) == ("scheduled", 3, 3, 0)
    here.clock.advance(1_000)
    assert await jobs.promote() == 0  # waits for its parts, not for a time
    assert await hand.take_this(parent) is None
    hand = await Hand.enrolled(here, jobs, "w2")
    claimed = await hand.take()
    assert ids(claimed) == parts
    await jobs.finish(claimed[0], DONE)
    await jobs.finish(claimed[1], Failed(OOPS))
    assert await state(jobs, parent) == "scheduled"
    await jobs.cancel(parts[2], None)
    await jobs.finish(claimed[2], Failed(OOPS))
    assert await state(jobs, parent) == "queued"
    again = await hand.take_only()
    assert (again.job.id, again.job.parts, again.job.parts_open) == (parent, 3, 0)
    found = await jobs.parts(parent, 2)
    assert [(each.job.id, each.job.state, each.result) for each in found] == [
        (parts[0], "succeeded", DONE.result),
        (parts[1], "dead", None),
    ]
    (last,) = await jobs.parts(parent, 2, after=1)
    assert (last.job.id, last.job.state) == (parts[2], "cancelled")


async def test_parts_that_end_at_once_in_many_processes_wake_their_parent_once(here, jobs, hand):
    parent, _ = await family(here, jobs, hand, parts=40, queue="parts")
    hands = [await Hand.enrolled(here, await here.jobs(), f"p{number}") for number in range(4)]
    woken = []

    async def work(hand):
        while found := await hand.take(3, queue="parts"):
            await asyncio.gather(*(hand.jobs.finish(each, DONE) for each in found))
            woken.extend(ids(await hand.take()))

    await asyncio.gather(*map(work, hands))
    assert woken == [parent]
    assert (await jobs.look(parent, None))[0].parts_open == 0
    assert {each.job.state for each in await jobs.parts(parent, 99)} == {"succeeded"}


async def test_a_job_can_wait_for_parts_again(here, jobs, hand):
    parent, _ = await family(here, jobs, hand, parts=1)
    await jobs.finish(await hand.take_only(), DONE)
    more = here.new(parent_id=parent, part=1)
    await jobs.finish(await hand.take_only(), Waiting((more,)))
    job = (await jobs.look(parent, None))[0]
    assert (job.state, job.parts, job.parts_open) == ("scheduled", 2, 1)
    await jobs.finish(await hand.take_only(), DONE)
    assert await state(jobs, parent) == "queued"


async def test_a_part_that_was_there_before_is_refused_and_nothing_is_written(here, jobs, hand):
    other = here.new()
    await accept(jobs, here.new())
    claimed = await hand.take_only()
    await accept(jobs, other)
    clash = here.new(id=other.id, parent_id=claimed.job.id)
    with pytest.raises(InvalidValue):
        await jobs.finish(claimed, Waiting((here.new(parent_id=claimed.job.id), clash)))
    assert await jobs.parts(claimed.job.id, 9) == []
    assert await jobs.finish(claimed, DONE)


async def test_a_job_has_a_bounded_number_of_parts(here, jobs, hand, monkeypatch):
    monkeypatch.setattr(ending, "PARTS_MAX", 2)
    await accept(jobs, here.new())
    claimed = await hand.take_only()
    with pytest.raises(InvalidValue, match="2 parts at most"):
        await jobs.finish(claimed, Waiting((here.new(parent_id=claimed.job.id),) * 3))
    assert await state(jobs, claimed.job.id) == "running"


async def test_parts_of_a_cancelled_job_are_cancelled_and_those_that_run_are_told(here, jobs, hand):
    parent, parts = await family(here, jobs, hand)
    running = await hand.take(1)
    job = await jobs.cancel(parent, "team:core")
    assert (job.state, job.parts_open) == ("cancelled", 1)
    found = [each.job for each in await jobs.parts(parent, 9)]
    assert [(each.state, each.cancel) for each in found] == [
        ("running", True),
        ("cancelled", False),
        ("cancelled", False),
    ]
    assert await jobs.finish(running[0], Again(OOPS, NOW_S))
    assert [each.job.state for each in await jobs.parts(parent, 9)] == ["cancelled"] * 3
    assert await state(jobs, parent) == "cancelled"
    assert ids(running) == parts[:1]


async def test_parts_can_be_cancelled_alone_and_their_parent_goes_on(here, jobs, hand):
    parent, _ = await family(here, jobs, hand)
    (running,) = await hand.take(1)
    assert await jobs.cancel_parts(parent) == 3
    assert await state(jobs, parent) == "scheduled"
    await jobs.finish(running, Again(OOPS, NOW_S))
    assert await state(jobs, parent) == "queued"
    assert await jobs.cancel_parts(parent) == 0


async def test_a_replay_begins_the_parts_again_that_did_not_succeed(here, jobs, hand):
    parent, parts = await family(here, jobs, hand)
    claimed = await hand.take()
    await jobs.finish(claimed[0], DONE)
    await jobs.finish(claimed[1], Failed(OOPS))
    await jobs.finish(claimed[2], Failed(OOPS))
    await jobs.finish(await hand.take_only(), Failed(OOPS))
    assert not await jobs.replay(parts[1], None)  # its parent's affair
    assert await jobs.replay(parent, None)
    job = (await jobs.look(parent, None))[0]
    assert (job.state, job.parts, job.parts_open) == ("scheduled", 3, 2)
    claimed = await hand.take()
    assert ids(claimed) == parts[1:]
    for each in claimed:
        await jobs.finish(each, DONE)
    await jobs.finish(await hand.take_only(), Failed(OOPS))
    assert await jobs.replay(parent, None, args=b"{}")
    assert await jobs.parts(parent, 9) == []
    assert (await hand.take_only()).job.parts == 0


async def test_a_part_lost_time_and_again_ends_and_its_parent_goes_on(here, jobs, hand):
    parent, parts = await family(here, jobs, hand, parts=1)
    for number in range(5):
        doomed = await Hand.enrolled(here, jobs, f"doomed-{number}")
        await (doomed.take() if number < 2 else jobs.claim_quarantined(doomed.id, here.token()))
        here.clock.advance(LEASE_S + 1)
        assert len(await jobs.reap()) == 1
    assert await state(jobs, parts[0]) == "dead"
    assert await state(jobs, parent) == "queued"


async def test_a_request_of_a_stream_stays_where_its_only_worker_finds_it(here, jobs):
    new = here.new(kind="stream")
    await accept(jobs, new)
    for number in range(4):
        doomed = await Hand.enrolled(here, jobs, f"doomed-{number}")
        await doomed.take_this(new.id)
        here.clock.advance(LEASE_S + 1)
        (taken_back,) = await jobs.reap()
        assert (taken_back.job.state, taken_back.job.queue) == ("queued", new.queue)


async def test_parts_are_deleted_with_their_parent_and_not_alone(here, jobs, hand):
    parent, parts = await family(here, jobs, hand, keep_s=100.0)
    for each in await hand.take():
        await jobs.finish(each, Failed(OOPS))
    assert not await jobs.delete(parts[0], None)
    assert not await jobs.purge(parts[0], None)
    await jobs.finish(await hand.take_only(), DONE)
    assert await jobs.delete(parent, None)
    assert await jobs.parts(parent, 9) == []
    with pytest.raises(NotFound):
        await jobs.get(parts[0], None)


# --- Housekeeping ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["succeeds", "fails", "is cancelled", "expires", "is lost"])
async def test_whoever_asked_is_told_of_every_end_in_its_transaction(here, jobs, way):
    ttl_s = 1 if way == "expires" else 9_999
    new = here.new(callback_url="https://example.com/hook", expires_at=NOW_S + ttl_s)
    await accept(jobs, new, here.new(callback_url="https://example.com/hook", notify=False))
    if way == "is cancelled":
        await jobs.cancel(new.id, None)
    elif way == "expires":
        here.clock.advance(1)
        await jobs.expire()
    elif way == "is lost":
        for number in range(5):
            doomed = await Hand.enrolled(here, jobs, f"doomed-{number}")
            await doomed.take_this(new.id)
            await jobs.claim_quarantined(doomed.id, here.token())
            here.clock.advance(LEASE_S + 1)
            await jobs.reap()
    else:
        hand = await Hand.enrolled(here, jobs, "w1")
        claimed = await hand.take_this(new.id)
        await jobs.finish(claimed, DONE if way == "succeeds" else Failed(OOPS))
    (letter,) = await jobs.listed(Filter(kind="webhook"), 9)
    assert (letter.queue, letter.state, letter.parent_id) == ("webhooks", "queued", "")
    assert new.id.encode() in (await jobs.get(letter.id, None)).args


async def test_what_is_due_is_promoted_a_bounded_number_at_a_time(here, jobs, monkeypatch):
    monkeypatch.setattr(upkeep, "PROMOTE_JOBS", 2)
    other = await here.jobs()
    await accept(jobs, *(here.new(run_at=NOW_S + 5 + n) for n in range(3)))
    assert await jobs.promote() == 0
    here.clock.advance(9)
    assert sorted([await jobs.promote(), await other.promote()]) == [1, 2]
    assert await jobs.promote() == 0


async def test_what_has_been_kept_for_its_time_is_deleted(here, jobs, hand, monkeypatch):
    monkeypatch.setattr(upkeep, "RETAIN_JOBS", 2)
    short = [here.new(keep_s=10.0) for _ in range(3)]
    long, waiting = here.new(keep_s=99.0), here.new()
    await accept(jobs, *short, long)
    for each in await hand.take():
        await jobs.step(each, "a", b"1")
        await jobs.finish(each, DONE)
    await accept(jobs, waiting)
    here.clock.advance(9.9)
    assert await jobs.retain() == 0
    here.clock.advance(0.1)
    assert [await jobs.retain() for _ in range(3)] == [2, 1, 0]
    assert ids(await jobs.listed(Filter(), 9)) == [waiting.id, long.id]
    assert await jobs.steps(short[0].id) == {}


async def test_parts_are_kept_as_long_as_their_parent_needs_them(here, jobs, hand):
    parent = here.new(keep_s=10.0)
    await accept(jobs, parent)
    part = here.new(parent_id=parent.id, keep_s=10.0)
    await jobs.finish(await hand.take_only(), Waiting((part,)))
    await jobs.finish(await hand.take_only(), DONE)
    here.clock.advance(20)
    assert await jobs.retain() == 0
    await jobs.finish(await hand.take_only(), DONE)
    here.clock.advance(20)
    while await jobs.retain():
        pass
    assert await jobs.listed(Filter(parent_id=parent.id), 9) == []


async def test_jobs_are_rung_once_and_again_when_nobody_came(here, jobs, hand):
    new = [here.new(priority=number) for number in (0, 2)]
    await accept(jobs, *new, here.new(run_at=NOW_S + 99))
    rings = {Ring(each.id, QUEUE, each.priority) for each in new}
    assert set(await jobs.rerung(float("inf"), 99)) == rings
    assert await jobs.rerung(float("inf"), 99) == []
    here.clock.advance(15)
    assert await jobs.rerung(15.1, 99) == []
    assert len(await jobs.rerung(14.9, 1)) == 1
    claimed = await hand.take()
    assert await jobs.rerung(0.0, 99) == []
    await jobs.finish(claimed[0], Again(OOPS, here.clock.unix_s()))
    assert await jobs.rerung(float("inf"), 99) == [Ring(new[0].id, QUEUE, 0)]


async def test_what_was_told_when_it_was_submitted_is_not_told_again(here, jobs):
    new = [here.new() for _ in range(45)]
    await accept(jobs, *new)
    await jobs.mark_rung([each.id for each in new[:44]])
    assert await jobs.rerung(60.0, 99) == [Ring(new[44].id, QUEUE, 1)]
    await jobs.mark_rung([])


async def test_workers_are_known_until_they_leave(here, jobs):
    row = worker("w1", queues=("a", "b"), running=3)
    await jobs.enroll(row)
    with pytest.raises(InvalidValue):
        await jobs.enroll(row)
    assert await jobs.workers() == [row]
    await jobs.leave("w1")
    assert await jobs.workers() == []


# --- Lists and sums -------------------------------------------------------------------------------


async def test_lists_come_in_pages_the_newest_first(here, jobs):
    new = [here.new() for _ in range(7)]
    await accept(jobs, *new)
    pages, after = [], ""
    while page := await jobs.listed(Filter(), 3, after):
        pages.append(ids(page))
        after = page[-1].id
    assert pages == [[each.id for each in reversed(some)] for some in (new[4:], new[1:4], new[:1])]


async def test_lists_are_filtered(here, jobs, hand):
    plain = here.new()
    await accept(jobs, plain)
    dead = here.new(owner="team:other", priority=0)
    await accept(jobs, dead)
    await jobs.finish((await hand.take(1))[0], Failed(OOPS))
    here.clock.advance(10)
    cron = here.new(queue="cpu", kind="tidy", priority=2)
    await accept(jobs, cron, here.new(kind="webhook", owner="team:core"))

    async def found(**fields):
        return ids(await jobs.listed(Filter(**fields), 9))

    assert await found() == [cron.id, dead.id, plain.id]
    assert await found(owner="team:other") == [dead.id]
    assert await found(owner="team:core") == [cron.id, plain.id]
    assert await found(owner="") == []
    assert await found(state="dead") == await found(state="dead", owner="team:other") == [dead.id]
    assert await found(state="dead", owner="team:core") == []
    assert await found(state="queued", owner="team:core") == [cron.id, plain.id]
    assert await found(kind="tidy") == await found(queue="cpu") == await found(priority=2)
    assert await found(priority=0) == [dead.id]
    assert len(await found(kind="webhook")) == len(await found(kind="webhook", owner="team:core"))
    assert await found(error="upstream_timeout") == [dead.id]
    assert await found(error="upstream") == await found(error="upstream%") == []
    assert await found(created_after_s=NOW_S + 10) == [cron.id]
    assert await found(created_before_s=NOW_S + 10) == [dead.id, plain.id]


async def test_depths_say_how_much_waits_where_and_for_how_long(here, jobs, hand):
    await accept(jobs, here.new(priority=0), here.new(priority=0), here.new(run_at=NOW_S + 60))
    (first,) = await hand.take(1)
    here.clock.advance(5)
    await accept(jobs, here.new(queue="cpu"))
    found = sorted(await jobs.depths(), key=lambda depth: (depth.queue, depth.state))
    assert found == [
        Depth("cpu", 1, "queued", 1, 0.0),
        Depth(QUEUE, 0, "queued", 1, 5.0),
        Depth(QUEUE, 0, "running", 1, 5.0),
        Depth(QUEUE, 1, "scheduled", 1, 0.0),
    ]
    await jobs.finish(first, DONE)
    assert sum(depth.jobs for depth in await jobs.depths()) == 3


async def test_the_cost_of_a_job_is_that_of_its_attempts_and_of_its_parts(here, ledger, jobs, hand):
    parent, parts = await family(here, jobs, hand)
    for name, job_id, cost in (("a", parent, 5), ("b", parts[0], 70), ("c", parts[2], 600)):
        ledger.record(usage_row(name, job_id=job_id, cost_microusd=cost, at=NOW_S))
    ledger.record(usage_row("d", cost_microusd=9_000, at=NOW_S))
    await ledger.flushed()
    assert await jobs.cost(parent) == 675
    assert await jobs.costs([parts[0], parts[1]]) == {parts[0]: 70, parts[1]: 0}
    ledger.record(usage_row("e", job_id=parts[1], cost_microusd=None, at=NOW_S))
    await ledger.flushed()
    assert await jobs.cost(parent) is None
    assert await jobs.cost(parts[0]) == 70


async def test_a_job_is_looked_at_without_what_is_long(here, jobs, hand):
    await accept(jobs, here.new(args=b"x" * 100_000))
    claimed = await hand.take_only()
    await jobs.finish(claimed, Again(OOPS, NOW_S + 9), Progress(2, 5, "on the way"))
    job, progress = await jobs.look(claimed.job.id, "team:core")
    assert progress == Progress(2, 5, "on the way")
    assert job.error is not None
    assert await jobs.attempts("job_x") == []

"""Who gets which job, on SQLite and on Postgres: order, limits, and never two."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from gatemill.core.job import QUARANTINE, Again, Failed, Released, Succeeded, Want
from gatemill.ledger.jobs import claiming
from gatemill.ledger.jobs.rows import QueueLimit
from jobs_ledger import LEASE_S, NOW_S, OOPS, QUEUE, Hand, accept, ids, state

DONE = Succeeded(b"null")
PROCESSES = 4


@pytest.fixture
async def hands(here):
    """Workers of several processes."""
    return [
        await Hand.enrolled(here, await here.jobs(), f"worker-{number}")
        for number in range(PROCESSES)
    ]


# --- Order ----------------------------------------------------------------------------------------


async def test_the_best_priority_goes_first_and_then_the_longest_waiting(here, jobs, hand):
    low, default = here.new(priority=2), here.new(priority=1)
    late = here.new(priority=0, run_at=NOW_S - 1)
    early = here.new(priority=0, run_at=NOW_S - 2)
    await accept(jobs, low, default, late, early)
    assert ids(await hand.take()) == [early.id, late.id, default.id, low.id]


async def test_one_of_a_claim_may_go_by_age(here, jobs, hand):
    old = here.new(priority=2, run_at=NOW_S - 9)
    new = [here.new(priority=0) for _ in range(3)]
    await accept(jobs, *new, old)
    assert ids(await hand.take(3, oldest=True)) == [old.id, new[0].id, new[1].id]
    assert ids(await hand.take(3, oldest=True)) == [new[2].id]


async def test_only_wanted_priorities_and_queues_are_given(here, jobs, hand):
    new = [here.new(priority=number) for number in (0, 1, 2)]
    other = here.new(queue="webhooks")
    await accept(jobs, *new, other)
    assert await hand.take(priorities=()) == []
    assert await hand.take(0) == []
    assert ids(await hand.take(priorities=(2, 0))) == [new[0].id, new[2].id]
    assert ids(await hand.take(priorities=(1,), oldest=True)) == [new[1].id]
    wants = [Want("webhooks", 1), Want(QUEUE, 1)]
    assert ids(await jobs.claim("w1", wants, {}, here.token())) == [other.id]


async def test_what_is_not_due_or_has_expired_is_not_given(here, jobs, hand):
    due, expiring = here.new(run_at=NOW_S + 10), here.new(expires_at=NOW_S + 10)
    await accept(jobs, due, expiring)
    here.clock.advance(10)
    assert await hand.take() == []
    assert await hand.take_this(expiring.id) is None
    assert await jobs.expire() == 1
    assert await jobs.expire() == 0
    assert await state(jobs, expiring.id) == "expired"
    assert await jobs.promote() == 1
    assert ids(await hand.take()) == [due.id]


async def test_a_job_that_has_begun_does_not_expire(here, jobs, hand):
    await accept(jobs, here.new(expires_at=NOW_S + 10), here.new(expires_at=NOW_S + 10))
    retried, released = await hand.take()
    await jobs.finish(retried, Again(OOPS, NOW_S + 20))
    await jobs.finish(released, Released())
    here.clock.advance(20)
    assert await jobs.expire() == 1  # the one whose only attempt did not count
    assert await jobs.promote() == 1
    assert ids(await hand.take()) == [retried.job.id]


async def test_a_worker_that_is_not_enrolled_gets_nothing(here, jobs, hand):
    new = here.new()
    await accept(jobs, new)
    await jobs.leave("w1")
    assert await hand.take() == []
    assert await hand.take(oldest=True) == []
    assert await hand.take_this(new.id) is None
    assert await jobs.claim_quarantined("w1", here.token()) == []


async def test_a_claim_whose_answer_was_lost_is_given_again(here, jobs, hand):
    await accept(jobs, *(here.new() for _ in range(5)))
    wants = [Want(QUEUE, 2)]
    first = await jobs.claim("w1", wants, {}, "token")
    assert await jobs.claim("w1", wants, {}, "token") == first
    assert await jobs.claim_quarantined("w1", "token") == first
    one = await jobs.claim_one("w1", "job_000000004", {}, "other")
    assert one is not None
    assert await jobs.claim_one("w1", "job_000000004", {}, "other") == one
    await jobs.finish(first[0], DONE)
    assert await jobs.claim("w1", wants, {}, "token") == first[1:]


async def test_one_job_is_taken_when_it_waits_and_is_due(here, jobs, hand):
    waiting, later = here.new(priority=2), here.new(run_at=NOW_S + 10)
    await accept(jobs, here.new(), waiting, later)
    claimed = await hand.take_this(waiting.id)
    assert claimed is not None
    assert (claimed.job.state, claimed.args) == ("running", waiting.args)
    assert await hand.take_this(waiting.id) is None
    assert await hand.take_this(later.id) is None
    assert await hand.take_this("job_x") is None
    here.clock.advance(10)
    assert await hand.take_this(later.id)  # although nobody promoted it


# --- Never two ------------------------------------------------------------------------------------


async def test_workers_of_four_processes_never_get_the_same_job(here, hands):
    new = [here.new(priority=number % 3) for number in range(300)]
    await accept(hands[0].jobs, *new)
    taken: list[str] = []

    async def work(hand):
        while found := await hand.take(7, oldest=True):
            taken.extend(ids(found))
            await asyncio.gather(*(hand.jobs.finish(each, DONE) for each in found))

    await asyncio.gather(*map(work, hands))
    assert Counter(taken) == Counter(each.id for each in new)
    attempts = await asyncio.gather(*(hands[0].jobs.attempts(each.id) for each in new[:20]))
    assert all([each.outcome for each in some] == ["succeeded"] for some in attempts)


async def test_one_job_asked_for_by_many_goes_to_one(here, hands):
    new = here.new()
    await accept(hands[0].jobs, new)
    found = await asyncio.gather(*(hand.take_this(new.id) for hand in hands * 10))
    assert sum(each is not None for each in found) == 1


# --- Limits ---------------------------------------------------------------------------------------


async def test_no_more_run_than_the_queue_may_over_all_processes(here, hands):
    limit = QueueLimit(running_max=5)
    new = [here.new() for _ in range(40)]
    await accept(hands[0].jobs, *new)
    seen: list[int] = []
    done: set[str] = set()

    async def work(hand):
        while len(done) < len(new):
            found = await hand.take(3, limit=limit)
            last = new[-1 - len(done) % len(new)]
            if one := await hand.take_this(last.id, **{QUEUE: limit}):
                found.append(one)
            depths = await hand.jobs.depths()
            seen.append(sum(depth.jobs for depth in depths if depth.state == "running"))
            for each in found:
                assert await hand.jobs.finish(each, DONE)
                done.add(each.job.id)

    await asyncio.gather(*map(work, hands))
    assert 3 < max(seen) <= 5


async def test_no_minute_sees_more_starts_than_the_queue_may(here, hands):
    limit = QueueLimit(starts_per_minute=120)
    await accept(hands[0].jobs, *(here.new() for _ in range(500)))
    starts: list[float] = []
    for _ in range(360):
        found = await asyncio.gather(
            *(hand.take(9, limit=limit) for hand in hands), hands[0].take(1, limit=limit)
        )
        starts += [here.clock.unix_s()] * sum(map(len, found))
        here.clock.advance(0.5)
    worst = max(sum(at <= each < at + 60 for each in starts) for at in starts)
    assert worst <= 120
    assert len(starts) >= 3 * 118


async def test_the_slowest_rate_is_kept(here, hand, jobs):
    limit = QueueLimit(starts_per_minute=1)
    await accept(jobs, *(here.new() for _ in range(9)))
    assert len(await hand.take(limit=limit)) == 1
    here.clock.advance(59.9)
    assert await hand.take(limit=limit) == []
    here.clock.advance(0.1)
    assert len(await hand.take(limit=limit)) == 1


async def test_no_owner_has_more_running_than_it_may_and_the_others_go_on(here, hands):
    limit = QueueLimit(running_max_per_owner=2)
    greedy = [here.new(owner="greedy", priority=0) for _ in range(30)]
    modest = [here.new(owner=f"modest-{n % 3}", priority=2) for n in range(9)]
    await accept(hands[0].jobs, *greedy, *modest)
    found = await asyncio.gather(*(hand.take(5, limit=limit) for hand in hands))
    owners = Counter(each.job.owner for some in found for each in some)
    assert owners == {"greedy": 2, "modest-0": 2, "modest-1": 2, "modest-2": 2}
    assert await hands[0].take_this(greedy[9].id, **{QUEUE: limit}) is None
    (first,) = [each for some in found for each in some if each.job.id == greedy[0].id]
    await hands[0].jobs.finish(first, DONE)
    assert await hands[0].take_this(greedy[9].id, **{QUEUE: limit}) is not None
    assert await hands[1].take(limit=limit) == []


async def test_an_owner_at_its_limit_does_not_hide_the_others_for_ever(
    here, jobs, hand, monkeypatch
):
    monkeypatch.setattr(claiming, "PAGE_JOBS", 10)
    monkeypatch.setattr(claiming, "LOOKED_AT_MAX", 30)
    limit = QueueLimit(running_max_per_owner=1)
    greedy = [here.new(owner="greedy") for _ in range(95)]
    modest = [here.new(owner=f"modest-{n}") for n in range(3)]
    await accept(jobs, *greedy, *modest)
    assert ids(await hand.take(1, limit=limit)) == [greedy[0].id]
    taken = []
    for _ in range(6):
        taken += ids(await hand.take(2, limit=limit))
    assert taken == [each.id for each in modest]


async def test_the_longest_waiting_owner_with_room_goes_by_age(here, jobs, hand):
    limit = QueueLimit(running_max_per_owner=1)
    old = [here.new(owner=f"o{n // 2}", priority=2, run_at=NOW_S - 9 + n) for n in range(4)]
    await accept(jobs, here.new(priority=0, owner="a"), here.new(priority=0, owner="b"), *old)
    assert ids(await hand.take(2, limit=limit, oldest=True))[0] == old[0].id
    assert ids(await hand.take(1, limit=limit, oldest=True)) == [old[2].id]


async def test_a_paused_queue_starts_nothing_anywhere(here, jobs, hand):
    new = here.new()
    await accept(jobs, new)
    other = await here.jobs()
    await other.pause(QUEUE, paused=True)
    for limit in (None, QueueLimit(running_max=5)):
        assert await hand.take(limit=limit) == []
    assert await hand.take_this(new.id) is None
    assert await hand.take_this(new.id, **{QUEUE: QueueLimit(running_max=5)}) is None
    assert await jobs.queues() == {QUEUE: True}
    await other.pause(QUEUE, paused=False)
    assert await jobs.queues() == {QUEUE: False}
    assert ids(await hand.take(limit=QueueLimit(running_max=5))) == [new.id]


# --- Workers that die ---------------------------------------------------------------------------


async def lose(here, jobs, count, worker_id="doomed"):
    """A worker takes `count` jobs, or those in quarantine, and dies."""
    hand = await Hand.enrolled(here, jobs, worker_id)
    taken = await (hand.take(count) if count else jobs.claim_quarantined(hand.id, here.token()))
    here.clock.advance(LEASE_S + 1)
    turned = await jobs.reap()
    assert sorted(ids(taken)) == sorted(each.job.id for each in turned)
    return ids(taken)


async def test_jobs_of_a_silent_worker_are_taken_back_uncharged(here, jobs, hand):
    new = here.new()
    await accept(jobs, new)
    claimed = await hand.take_only()
    here.clock.advance(LEASE_S)
    assert await jobs.reap() == []
    here.clock.advance(1)
    assert await jobs.reap(spared="w1") == []
    (turned,) = await (await here.jobs()).reap()
    assert turned.worker_id == "w1"
    job = turned.job
    assert (job.state, job.queue, job.attempt, job.lost) == ("queued", QUEUE, 0, 1)
    assert (await jobs.attempts(new.id))[0].outcome == "lost"
    assert not await jobs.finish(claimed, DONE)
    assert await jobs.workers() == []
    assert await jobs.reap() == []


async def test_jobs_of_dead_processes_of_this_host_are_taken_back_at_once(here, jobs, hand):
    await Hand.enrolled(here, jobs, "w2", pid=8, pid_started=80)
    await Hand.enrolled(here, jobs, "w3", pid=8, pid_started=80, host="there")
    await accept(jobs, here.new())
    await hand.take_only()
    asked = []

    def alive(pid, started):
        asked.append((pid, started))
        return pid == 8

    (turned,) = await jobs.reap_dead_pids("here", alive)
    assert turned.worker_id == "w1"
    assert sorted(asked) == [(7, 70), (8, 80)]
    assert [each.id for each in await jobs.workers()] == ["w2", "w3"]


async def test_a_job_that_kills_its_workers_is_found_and_its_neighbours_succeed(here, jobs):
    new = [here.new() for _ in range(60)]
    poison = new[17].id
    await accept(jobs, *new)
    for _ in range(2):  # with all others in one process
        assert len(await lose(here, jobs, 60)) == 60
    hand = await Hand.enrolled(here, jobs, "any")
    assert await hand.take() == []  # quarantine is not for everybody
    assert await hand.take_this(poison) is None
    assert await jobs.waits(QUARANTINE)
    lives = 0
    while await jobs.waits(QUARANTINE):
        lives += 1
        child = await Hand.enrolled(here, jobs, f"child-{lives}")
        while found := await jobs.claim_quarantined(child.id, here.token()):
            assert len(found) <= 20
            assert len(found) == 1 or all(each.job.lost == 2 for each in found)
            if poison in ids(found):
                here.clock.advance(LEASE_S + 1)
                await jobs.reap()
                break
            for each in found:
                assert await jobs.finish(each, DONE)
    states = Counter([await state(jobs, each.id) for each in new])
    assert states == {"succeeded": 59, "dead": 1}
    job = (await jobs.look(poison, None))[0]
    assert (job.lost, job.attempt, job.error is not None and b"worker_lost" in job.error) == (
        5,
        0,
        True,
    )
    assert [each.outcome for each in await jobs.attempts(poison)] == ["lost"] * 5


async def test_a_dead_letter_from_quarantine_is_replayed_in_its_own_queue(here, jobs):
    new = here.new()
    await accept(jobs, new)
    for _ in range(2):
        await lose(here, jobs, 1)
    for _ in range(3):
        await lose(here, jobs, 0)
    assert await state(jobs, new.id) == "dead"
    assert await jobs.replay(new.id, None)
    hand = await Hand.enrolled(here, jobs, "any")
    (claimed,) = await hand.take()
    assert (claimed.job.queue, claimed.job.lost) == (QUEUE, 0)


async def test_a_job_in_quarantine_that_fails_by_itself_is_tried_again_there(here, jobs):
    new = here.new()
    await accept(jobs, new)
    for _ in range(2):
        await lose(here, jobs, 1)
    await Hand.enrolled(here, jobs, "child")
    (claimed,) = await jobs.claim_quarantined("child", here.token())
    await jobs.finish(claimed, Again(OOPS, here.clock.unix_s() + 1))
    here.clock.advance(1)
    await jobs.promote()
    (claimed,) = await jobs.claim_quarantined("child", here.token())
    assert claimed.job.attempt == 2
    await jobs.pause(QUARANTINE, paused=True)
    await jobs.finish(claimed, Failed(OOPS))
    assert await jobs.claim_quarantined("child", here.token()) == []

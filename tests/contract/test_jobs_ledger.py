"""What becomes of a job, on SQLite and on Postgres."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gatemill.core.errors import Conflict, IdempotencyKeyReused, NotFound, Overloaded, RateLimited
from gatemill.core.job import (
    Again,
    Failed,
    Postponed,
    Problem,
    Progress,
    Released,
    Stopped,
    Succeeded,
    Waiting,
)
from gatemill.ledger.jobs import accepting
from gatemill.ledger.jobs.rows import Filter
from jobs_ledger import LEASE_S, NOW_S, OOPS, accept, ids, state, submit

DONE = Succeeded(b'{"answer":42}')


# --- Accepting ------------------------------------------------------------------------------------


async def test_a_job_is_what_was_asked_for(here, jobs):
    new = here.new(
        priority=2,
        run_at=NOW_S + 9,
        expires_at=NOW_S + 99,
        metadata='{"ü":"\\u0000"}'.encode(),
        callback_url="https://example.com/hook",
        unique_key="once",
        notify=False,
        args=bytes(range(256)),
    )
    (accepted,) = await submit(jobs, new)
    assert accepted.created
    full = await jobs.get(new.id, "team:core")
    assert full.job == accepted.job
    assert full.args == new.args
    assert (full.progress, full.result) == (None, None)
    said = {name: getattr(new, name) for name in new.__struct_fields__}
    kept = {name: getattr(full.job, name, said[name]) for name in said}
    assert kept == said
    assert full.job.state == "scheduled"
    assert full.job.created_at == NOW_S


async def test_a_unique_key_gives_the_first_job_and_not_with_another_request(here, jobs):
    first = here.new(unique_key="once", fingerprint="a")
    await submit(jobs, first)
    again = here.new(unique_key="once", fingerprint="a")
    other = here.new(unique_key="once", fingerprint="b")
    theirs = here.new(unique_key="once", fingerprint="b", owner="team:other")
    both = await submit(jobs, again, theirs)
    assert [(each.job.id, each.created) for each in both] == [(first.id, False), (theirs.id, True)]
    with pytest.raises(IdempotencyKeyReused):
        await submit(jobs, here.new(), other)
    assert len(await jobs.listed(Filter(), 10)) == 2  # nothing refused leaves a row


async def test_two_jobs_of_one_request_may_share_a_unique_key(here, jobs):
    new = [here.new(unique_key="once") for _ in range(3)]
    found = await submit(jobs, *new)
    assert [(each.job.id, each.created) for each in found] == [
        (new[0].id, True),
        (new[0].id, False),
        (new[0].id, False),
    ]


async def test_a_hundred_with_one_unique_key_in_two_processes_are_one_job(here, jobs):
    both = jobs, await here.jobs()
    found = await asyncio.gather(
        *(submit(each, here.new(unique_key="once")) for _ in range(50) for each in both)
    )
    assert len({each.job.id for (each,) in found}) == 1
    assert sum(each.created for (each,) in found) == 1
    assert len(await jobs.listed(Filter(), 10)) == 1


async def test_who_has_too_many_open_jobs_is_refused_until_one_ends(here, jobs, hand):
    first, _ = [here.new() for _ in range(2)]
    await jobs.submit([first, here.new()], 2, 9)
    with pytest.raises(RateLimited):
        await jobs.submit([here.new()], 2, 9)
    await jobs.submit([here.new(owner="team:other")], 2, 9)
    with pytest.raises(Overloaded):
        await jobs.submit([here.new(owner="team:third")], 2, 3)
    assert len(await jobs.listed(Filter(), 10)) == 3
    await jobs.cancel(first.id, None)
    await jobs.submit([here.new()], 2, 9)


async def test_jobs_of_another_process_count_after_two_seconds(here, jobs):
    other = await here.jobs()
    await jobs.submit([here.new()], 2, 9)
    await other.submit([here.new()], 2, 9)
    here.clock.advance(2.0)
    with pytest.raises(RateLimited):
        await jobs.submit([here.new()], 2, 9)


async def test_a_dear_count_is_not_repeated_for_everybody_who_is_refused(
    here, jobs, hand, monkeypatch
):
    monkeypatch.setattr(accepting, "DEAR_JOBS", 1)
    first = here.new()
    await jobs.submit([first, here.new()], 2, 9)
    await jobs.cancel(first.id, None)
    with pytest.raises(RateLimited):
        await jobs.submit([here.new()], 2, 9)
    here.clock.advance(accepting.RECOUNT_S)
    await jobs.submit([here.new()], 2, 9)


async def test_counts_of_many_owners_are_forgotten_and_counted_anew(here, jobs, monkeypatch):
    monkeypatch.setattr(accepting, "OWNERS_MAX", 2)
    for owner in ("a", "b", "c", "a"):
        await jobs.submit([here.new(owner=owner)], 2, 9)
    with pytest.raises(RateLimited):
        await jobs.submit([here.new(owner="a")], 2, 9)


async def test_a_submission_whose_commit_failed_to_say_so_is_not_made_twice(
    here, jobs, monkeypatch
):
    new, keyed = here.new(), here.new(unique_key="once")
    shared = jobs._share

    async def deaf(work):
        monkeypatch.setattr(jobs, "_share", shared)
        await shared(work)
        return await shared(work)  # as the writer does when it knows nothing of the first try

    monkeypatch.setattr(jobs, "_share", deaf)
    found = await submit(jobs, new, keyed)
    assert [(each.job.id, each.created) for each in found] == [(new.id, True), (keyed.id, False)]
    assert len(await jobs.listed(Filter(), 9)) == 2


async def test_an_id_that_is_in_use_is_never_given_twice(here, jobs):
    theirs, keyed = here.new(owner="team:other"), here.new(unique_key="once")
    await submit(jobs, theirs, keyed)
    clash = here.new(id=theirs.id)
    with pytest.raises(Conflict):
        await submit(jobs, clash, here.new())
    assert len(await jobs.listed(Filter(), 9)) == 2


async def test_what_two_groups_commit_at_once_is_all_there(here, jobs):
    other = await here.jobs()
    new = [here.new() for _ in range(400)]
    await asyncio.gather(
        *(submit(each, one) for each, one in zip([jobs, other] * 200, new, strict=True))
    )
    assert ids(await jobs.listed(Filter(), 1_000)) == [each.id for each in reversed(new)]


# --- How an attempt ends --------------------------------------------------------------------------


async def test_a_job_that_succeeded_has_its_result_and_its_last_progress(here, jobs, hand):
    new = here.new(keep_s=100.0, args=b'{"a":1}')
    await accept(jobs, new)
    claimed = await hand.take_only()
    assert claimed.args == new.args
    assert (claimed.job.state, claimed.job.attempt, claimed.job.worker_id) == ("running", 1, "w1")
    here.clock.advance(5.0)
    assert await jobs.finish(claimed, DONE, Progress(3, 3, "done"))
    full = await jobs.get(new.id, None)
    assert full.result == DONE.result
    assert full.progress == Progress(3, 3, "done")
    job = full.job
    assert (job.state, job.worker_id, job.error) == ("succeeded", "", None)
    assert (job.started_at, job.finished_at, job.keep_until) == (NOW_S, NOW_S + 5, NOW_S + 105)


@pytest.mark.parametrize(
    ("outcome", "after", "attempt", "word"),
    [
        (DONE, "succeeded", 1, "succeeded"),
        (Failed(OOPS), "dead", 1, "failed"),
        (Failed(Problem("job_timeout", "Too long.")), "dead", 1, "timeout"),
        (Again(OOPS, NOW_S + 60), "scheduled", 1, "retried"),
        (Again(OOPS, NOW_S), "queued", 1, "retried"),
        (Again(Problem("job_timeout", "Too long."), NOW_S), "queued", 1, "timeout"),
        (Postponed(OOPS, NOW_S + 60), "scheduled", 0, "postponed"),
        (Released(), "queued", 0, "released"),
        (Stopped(), "cancelled", 1, "cancelled"),
        (Waiting(()), "queued", 0, "waiting"),
    ],
)
async def test_every_outcome_has_its_state_and_stands_in_the_history(
    here, hand, outcome, after, attempt, word
):
    jobs = hand.jobs
    await accept(jobs, here.new())
    claimed = await hand.take_only()
    assert (await jobs.attempts(claimed.job.id))[0].ended_at is None
    assert await jobs.finish(claimed, outcome)
    job = (await jobs.look(claimed.job.id, None))[0]
    assert (job.state, job.attempt, job.worker_id) == (after, attempt, "")
    (found,) = await jobs.attempts(job.id)
    error = getattr(outcome, "error", None)
    assert (found.number, found.outcome, found.error) == (1, word, error)
    assert job.error == (None if error is None else msgspec.json.encode(error))


async def test_starts_that_do_not_count_are_numbered_on_all_the_same(here, jobs, hand):
    await accept(jobs, here.new())
    for outcome in (Released(), Again(OOPS, NOW_S), Postponed(OOPS, NOW_S), Failed(OOPS)):
        assert await jobs.finish(await hand.take_only(), outcome)
    found = await jobs.attempts((await jobs.listed(Filter(), 1))[0].id)
    assert [(each.number, each.outcome) for each in found] == [
        (1, "released"),
        (2, "retried"),
        (3, "postponed"),
        (4, "failed"),
    ]


async def test_without_its_claim_a_worker_writes_nothing(here, jobs, hand):
    await accept(jobs, here.new())
    old = await hand.take_only()
    await jobs.finish(old, Released())
    new = await hand.take_only()
    assert not await jobs.finish(old, DONE, Progress(1))
    assert not await jobs.finish(old, Failed(OOPS))
    assert not await jobs.finish(old, Waiting((here.new(parent_id=old.job.id),)))
    assert not await jobs.step(old, "a", b"1")
    assert not await jobs.append_events(old, [b"a"])
    assert await jobs.finish(new, DONE)
    assert not await jobs.finish(new, DONE)
    assert not await jobs.finish(new, Failed(OOPS))
    full = await jobs.get(new.job.id, None)
    assert (full.job.state, full.result, full.progress) == ("succeeded", DONE.result, None)
    assert len(await jobs.attempts(new.job.id)) == 2
    assert await jobs.steps(new.job.id) == {}
    assert await jobs.events(new.job.id, 0, 10) == []
    assert len(await jobs.listed(Filter(parent_id=new.job.id), 10)) == 0


async def test_steps_are_kept_for_the_next_attempt(here, jobs, hand):
    await accept(jobs, here.new())
    first = await hand.take_only()
    assert await jobs.step(first, "a", b"1")
    assert await jobs.step(first, "b", b"\x00\xff")
    assert await jobs.step(first, "a", b"2")
    await jobs.finish(first, Again(OOPS, NOW_S))
    assert await jobs.steps(first.job.id) == {"a": b"2", "b": b"\x00\xff"}


async def test_events_are_numbered_from_one_and_read_from_anywhere(here, jobs, hand):
    await accept(jobs, here.new())
    claimed = await hand.take_only()
    assert await jobs.append_events(claimed, [b"a", b"b"])
    assert await jobs.append_events(claimed, [])
    assert await jobs.append_events(claimed, [b"c"])
    assert await jobs.events(claimed.job.id, 0, 10) == [(1, b"a"), (2, b"b"), (3, b"c")]
    assert await jobs.events(claimed.job.id, 1, 1) == [(2, b"b")]


# --- Cancelling -----------------------------------------------------------------------------------


async def test_a_job_that_waits_is_cancelled_at_once(here, jobs, hand):
    queued, scheduled = here.new(), here.new(run_at=NOW_S + 60)
    await accept(jobs, queued, scheduled)
    for new in (queued, scheduled):
        job = await jobs.cancel(new.id, "team:core")
        assert (job.state, job.finished_at) == ("cancelled", NOW_S)
        assert await jobs.cancel(new.id, None) == job
    here.clock.advance(61)
    assert await jobs.promote() == 0
    assert await hand.take() == []


@pytest.mark.parametrize(
    "outcome",
    [Again(OOPS, NOW_S), Postponed(OOPS, NOW_S), Released(), Failed(OOPS), Stopped(), Waiting(())],
)
async def test_a_job_that_runs_is_told_to_stop_and_never_starts_again(here, jobs, hand, outcome):
    await accept(jobs, here.new())
    claimed = await hand.take_only()
    job = await jobs.cancel(claimed.job.id, None)
    assert (job.state, job.cancel) == ("running", True)
    assert await jobs.finish(claimed, outcome)
    assert await state(jobs, job.id) == "cancelled"
    assert (await jobs.attempts(job.id))[0].outcome == "cancelled"


async def test_a_job_that_was_done_before_it_could_stop_has_succeeded(here, jobs, hand):
    await accept(jobs, here.new())
    claimed = await hand.take_only()
    await jobs.cancel(claimed.job.id, None)
    assert await jobs.finish(claimed, DONE)
    job = await jobs.cancel(claimed.job.id, None)
    assert (job.state, job.cancel) == ("succeeded", False)


async def test_a_job_whose_worker_died_before_it_stopped_is_cancelled(here, jobs, hand):
    await accept(jobs, here.new())
    claimed = await hand.take_only()
    await jobs.cancel(claimed.job.id, None)
    here.clock.advance(LEASE_S + 1)
    (turned,) = await jobs.reap()
    assert (turned.job.state, turned.worker_id) == ("cancelled", "w1")


async def test_a_foreign_or_unknown_job_is_not_found(here, jobs, hand):
    new = here.new()
    await accept(jobs, new)
    claimed = await hand.take_only()
    await jobs.finish(claimed, Failed(OOPS))
    for job_id, owner in ((new.id, "team:other"), (new.id, ""), ("job_x", None)):
        for ask in (jobs.get, jobs.look, jobs.cancel, jobs.replay, jobs.purge, jobs.delete):
            with pytest.raises(NotFound):
                await ask(job_id, owner)
    assert await jobs.listed(Filter(owner="team:other"), 10) == []
    assert await state(jobs, new.id) == "dead"

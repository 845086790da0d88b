"""A worker with a real database: many jobs at once, cancel, drain, priorities, attempts."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

import databases
import heavy
from crews import PLAY, Site, acting, ended, reached, submit, until, working
from gatemill.core.errors import RateLimited, UpstreamError
from gatemill.core.job import HIGH, LOW, Problem, Ring
from gatemill.house import Shift
from gatemill.jobs.context import Parts, Quit


def log_of(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with databases.empty(request.param, tmp_path) as place:
        yield {"GATEMILL_STORES__DATABASE": place.url} if place.url else {}


async def test_300_jobs_sleep_side_by_side(tmp_path: Path, database: Any):
    async with working(tmp_path, **database) as site:
        ids = await submit(site.services, "sleep", count=300, seconds=1.0)
        begun_s = time.monotonic()
        for job_id in ids:
            assert (await ended(site.services, job_id, 60.0)).job.state == "succeeded"
        took_s = time.monotonic() - begun_s
    assert took_s < 60.0, "one after another they would take five minutes"
    counted = site.home.jobs.counters.kind("play")
    assert (counted.started, counted.succeeded) == (300, 300)


async def test_no_more_jobs_run_than_there_are_slots(tmp_path: Path):
    running = most = 0

    async def look(_ctx: Any, _args: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    config = f"{PLAY}slots = 7\n[jobs.queues.inference]\nslots = 5\n"
    with acting(look=look):
        async with working(tmp_path, config) as site:
            for job_id in await submit(site.services, "look", count=60):
                await ended(site.services, job_id)
    assert most == 5


async def test_a_running_job_is_cancelled_within_two_seconds(tmp_path: Path, database: Any):
    async with working(tmp_path, **database) as site:
        jobs = site.services.ledger.jobs
        (job_id,) = await submit(site.services, "sleep", seconds=60.0)
        await reached(site.services, job_id, {"running"})
        begun_s = time.monotonic()
        await jobs.cancel(job_id, None)  # as another process does it: nobody tells the worker
        full = await ended(site.services, job_id)
        took_s = time.monotonic() - begun_s
        assert full.job.state == "cancelled"
        assert [one.outcome for one in await jobs.attempts(job_id)] == ["cancelled"]
    assert took_s < heavy.within(2.0)


async def test_a_job_of_this_process_is_cancelled_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gatemill.ledger.jobs.heart.LOOK_S", 600.0)  # nobody looks; it is told
    async with working(tmp_path, f"{PLAY}lease_s = 600\nbeat_s = 60\n") as site:
        (job_id,) = await submit(site.services, "sleep", seconds=300.0)
        await reached(site.services, job_id, {"running"})
        await site.services.ledger.jobs.cancel(job_id, None)
        await site.services.bell.call_off(job_id)
        assert (await ended(site.services, job_id)).job.state == "cancelled"


async def test_a_drain_gives_back_what_it_cannot_finish_and_charges_nothing(tmp_path: Path):
    drains = asyncio.Event()

    async def last(_ctx: Any, _args: Any) -> None:
        await drains.wait()

    with acting(last=last):
        async with working(tmp_path) as site:
            await _drained(site, drains)


async def _drained(site: Site, drains: asyncio.Event) -> None:
    jobs = site.services.ledger.jobs
    quick = await submit(site.services, "last", count=5)
    slow = await submit(site.services, "sleep", count=20, seconds=300.0)
    await until(lambda: len(site.worker.running) == 25, "all run")
    draining = asyncio.ensure_future(site.crew.drain(3.0))
    await asyncio.sleep(0)
    drains.set()
    await draining
    assert [(await jobs.get(each, None)).job.state for each in quick] == ["succeeded"] * 5
    for job_id in slow:
        job = (await jobs.get(job_id, None)).job
        assert (job.state, job.attempt, job.lost) == ("queued", 0, 0)
        assert [one.outcome for one in await jobs.attempts(job_id)] == ["released"]
    assert await jobs.workers() == []
    # Another one begins where they are.
    crew = site.hire(Shift())
    crew.start()
    await reached(site.services, slow[0], {"running"})
    await crew.drain(0.0)


async def test_what_is_claimed_while_the_worker_leaves_is_given_back(tmp_path: Path):
    async with working(tmp_path, starts=False) as site:
        (job_id,) = await submit(site.services, "sleep", seconds=60.0)
        site.crew.start()
        await asyncio.sleep(0)  # it has begun to enroll
        await site.crew.drain(0.0)
        job = (await site.services.ledger.jobs.get(job_id, None)).job
        assert (job.state, job.attempt, job.lost) == ("queued", 0, 0)


async def test_a_high_job_overtakes_ten_thousand_low_ones(tmp_path: Path):
    config = f"{PLAY}slots = 10\n"
    async with working(tmp_path, config, starts=False) as site:
        for _ in range(10):
            await submit(site.services, "sleep", count=1000, seconds=0.05, priority=LOW)
        site.crew.start()
        await until(lambda: len(site.worker.running) == 10, "low ones run")
        waits_s = []
        for _ in range(5):
            begun_s = time.monotonic()
            (job_id,) = await submit(site.services, "sleep", priority=HIGH)
            full = await ended(site.services, job_id)
            assert full.job.started_at is not None
            waits_s.append(full.job.started_at - full.job.created_at)
            assert time.monotonic() - begun_s < 20
        # A slot's time and 100 ms; behind the others it would be 50 s.
        assert sorted(waits_s)[2] < heavy.within(0.05 + 0.1)


async def test_one_start_in_twenty_goes_to_the_job_that_has_waited_longest(tmp_path: Path):
    order: list[str] = []

    async def note(_ctx: Any, args: Any) -> None:
        order.append(args.text)

    with acting(note=note):
        async with working(tmp_path, f"{PLAY}slots = 1\n", starts=False) as site:
            low = await submit(site.services, "note", count=5, text="low", priority=LOW)
            await submit(site.services, "note", count=100, text="high", priority=HIGH)
            site.crew.start()
            for job_id in low:
                await ended(site.services, job_id)
    assert [at for at, word in enumerate(order) if word == "low"] == [19, 39, 59, 79, 99]


async def test_a_worker_may_take_some_priorities_only(tmp_path: Path):
    shift = Shift(priorities=(HIGH,))
    async with working(tmp_path, PLAY, shift) as site:
        (low,) = await submit(site.services, "sleep", priority=LOW)
        (high,) = await submit(site.services, "sleep", priority=HIGH)
        await ended(site.services, high)
        assert (await site.services.ledger.jobs.get(low, None)).job.state == "queued"
        assert not await site.crew.take(Ring(low, "inference", LOW))


async def test_a_job_that_could_not_begin_is_postponed_and_not_charged(tmp_path: Path):
    tries = 0

    async def wait(_ctx: Any, _args: Any) -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise RateLimited("Wait.", retry_after_s=0.01)
        return "done"

    with acting(wait=wait):
        async with working(tmp_path) as site:
            (job_id,) = await submit(site.services, "wait", attempts_max=1)
            full = await ended(site.services, job_id)
            history = await site.services.ledger.jobs.attempts(job_id)
    assert (full.job.state, full.job.attempt) == ("succeeded", 1)
    assert [one.outcome for one in history] == ["postponed", "postponed", "succeeded"]


async def test_a_job_fails_as_often_as_it_may_and_is_then_a_dead_letter(tmp_path: Path):
    async def fail(_ctx: Any, _args: Any) -> None:
        raise UpstreamError("The provider is down.")

    config = f"{PLAY}attempts_max = 3\nbackoff_s = 0.01\n"
    with acting(fail=fail):
        async with working(tmp_path, config) as site:
            (job_id,) = await submit(site.services, "fail")
            full = await ended(site.services, job_id)
            history = await site.services.ledger.jobs.attempts(job_id)
    assert (full.job.state, full.job.attempt) == ("dead", 3)
    assert json.loads(full.job.error or b"")["code"] == "upstream_error"
    assert [one.outcome for one in history] == ["retried", "retried", "failed"]


async def test_the_last_progress_is_kept(tmp_path: Path, database: Any):
    async def count(ctx: Any, _args: Any) -> None:
        for number in range(1001):
            ctx.progress(number, 1000)
        ctx.progress(3, 1000, "still")

    with acting(count=count):
        async with working(tmp_path, **database) as site:
            (job_id,) = await submit(site.services, "count")
            full = await ended(site.services, job_id)
    assert full.progress is not None
    assert (full.progress.current, full.progress.total, full.progress.note) == (1000, 1000, "still")


async def test_a_step_is_made_once_in_the_life_of_a_job(tmp_path: Path):
    made = []

    async def make(name: str) -> dict[str, str]:
        made.append(name)
        return {"name": name}

    async def steps(ctx: Any, _args: Any) -> Any:
        first = await ctx.step("first", lambda: make("first"))
        if ctx.job.attempt < 3:
            raise UpstreamError("cut")
        return [first, await ctx.step("second", lambda: make("second"))]

    with acting(steps=steps):
        async with working(tmp_path, f"{PLAY}backoff_s = 0.01\n") as site:
            (job_id,) = await submit(site.services, "steps")
            full = await ended(site.services, job_id)
    assert json.loads(full.result or b"") == [{"name": "first"}, {"name": "second"}]
    assert made == ["first", "second"]


async def test_a_job_goes_on_when_its_parts_have_ended(tmp_path: Path, database: Any):
    async def whole(ctx: Any, _args: Any) -> Any:
        if not ctx.job.parts:
            raise Parts(
                [ctx.part("play", {"act": "part", "text": str(i)}, part=i) for i in range(5)]
            )
        return [(one.job.state, one.result and json.loads(one.result)) for one in await ctx.parts()]

    async def part(_ctx: Any, args: Any) -> str:
        if args.text == "3":
            raise Quit(Problem("no", "not this one"))
        return args.text

    with acting(whole=whole, part=part):
        async with working(tmp_path, **database) as site:
            (job_id,) = await submit(site.services, "whole")
            full = await ended(site.services, job_id)
    assert json.loads(full.result or b"") == [
        ["succeeded", "0"],
        ["succeeded", "1"],
        ["succeeded", "2"],
        ["dead", None],
        ["succeeded", "4"],
    ]
    assert full.job.attempt == 1


async def test_events_stand_in_the_log_in_order(tmp_path: Path):
    async def speak(ctx: Any, _args: Any) -> None:
        for number in range(50):
            await ctx.emit([b"data: %d\n\n" % number])
            await asyncio.sleep(0.005)

    with acting(speak=speak):
        async with working(tmp_path) as site:
            (job_id,) = await submit(site.services, "speak")
            await ended(site.services, job_id)
            found = await site.services.ledger.jobs.events(job_id, 0, 100)
    assert found == [(number + 1, b"data: %d\n\n" % number) for number in range(50)]


async def test_take_runs_one_job_and_says_when_there_is_nothing_to_do(tmp_path: Path):
    config = f"{PLAY}poll_s = 60\n"
    async with working(tmp_path, config, Shift(claiming="told")) as site:
        (job_id,) = await submit(site.services, "sleep", seconds=0.1)
        ring = Ring(job_id, "inference", 1)
        assert await site.crew.take(ring)
        assert not await site.crew.take(ring), "it runs already"
        await site.crew.job_ended(job_id)
        assert (await site.services.ledger.jobs.get(job_id, None)).job.state == "succeeded"
        assert not await site.crew.take(ring), "it is over"
        assert not await site.crew.take(Ring(job_id, "elsewhere", 1))


async def test_take_waits_for_a_slot_and_gives_up_when_the_worker_leaves(tmp_path: Path):
    config = f"{PLAY}slots = 1\n"
    async with working(tmp_path, config, Shift(claiming="told")) as site:
        first, second = await submit(site.services, "sleep", count=2, seconds=60.0)
        assert await site.crew.take(Ring(first, "inference", 1))
        waiting = asyncio.ensure_future(site.crew.take(Ring(second, "inference", 1)))
        await site.services.bell.call_off(first)
        assert await asyncio.wait_for(waiting, 20)
        third = asyncio.ensure_future(site.crew.take(Ring(first, "inference", 1)))
        await asyncio.sleep(0)
        await site.crew.drain(0.0)
        assert not await asyncio.wait_for(third, 20)

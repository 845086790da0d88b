"""Calls of jobs give way to all others in a lane, and are not starved by them."""

from __future__ import annotations

import asyncio
import time

from gatemill.upstream.lane import JOBS_TURN, Lane, LaneSettings, Slot

LATER = 1e9


def lane(concurrency: int, waiting: int = 1000) -> Lane:
    return Lane("p/m", LaneSettings(concurrency_max=concurrency, waiting_max=waiting), None)


def entered(one: Lane, count: int, *, of_job: bool) -> list[Slot]:
    slots = [one.enter(0.0, LATER, of_job=of_job) for _ in range(count)]
    return [slot for slot in slots if slot is not None]


async def waiting(one: Lane, count: int, *, of_job: bool) -> list[asyncio.Task]:
    async def wait() -> tuple[bool, Slot]:
        slot = await one.wait(LATER, lambda: 0.0, of_job=of_job)
        assert slot is not None
        return of_job, slot

    tasks = [asyncio.ensure_future(wait()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def order(one: Lane, slots: list[Slot], tasks: list[asyncio.Task]) -> list[bool]:
    """Who got in, in turn: whether it was a job. Each goes before the next comes."""
    found = []
    left = set(tasks)
    (last,) = slots
    begun_s = time.monotonic()
    while left:
        last.end(None, 0.0)
        (done, left) = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        (task,) = done
        of_job, last = task.result()
        found.append(of_job)
        assert time.monotonic() - begun_s < 20
    last.end(None, 0.0)
    return found


async def test_jobs_take_three_quarters_of_the_room_and_no_more():
    one = lane(8)
    jobs = entered(one, 20, of_job=True)
    assert len(jobs) == 6
    assert len(entered(one, 20, of_job=False)) == 2
    assert not entered(one, 1, of_job=False)
    jobs[0].end(None, 0.0)
    assert len(entered(one, 5, of_job=True)) == 1


async def test_a_lane_with_one_place_has_it_for_jobs_too():
    assert len(entered(lane(1), 2, of_job=True)) == 1


async def test_callers_go_before_the_jobs_that_waited_longer():
    one = lane(1)
    slots = entered(one, 1, of_job=False)
    jobs = await waiting(one, 3, of_job=True)
    callers = await waiting(one, 5, of_job=False)
    assert await order(one, slots, jobs + callers) == [False] * 5 + [True] * 3
    assert one.is_idle


async def test_one_turn_in_twenty_is_a_jobs_however_many_callers_wait():
    one = lane(1)
    slots = entered(one, 1, of_job=False)
    jobs = await waiting(one, 3, of_job=True)
    callers = await waiting(one, 5 * JOBS_TURN, of_job=False)
    found = await order(one, slots, jobs + callers)
    assert [at for at, of_job in enumerate(found) if of_job] == [19, 39, 59]


async def test_jobs_that_wait_leave_the_callers_queue_alone():
    one = lane(1, waiting=2)
    slots = entered(one, 1, of_job=False)
    jobs = await waiting(one, 2, of_job=True)
    callers = await waiting(one, 2, of_job=False)
    assert one.waiting == 4
    assert await order(one, slots, jobs + callers) == [False, False, True, True]


async def test_a_place_that_a_cancelled_job_was_given_is_passed_on():
    one = lane(4)
    slots = entered(one, 3, of_job=True)
    first, second = await waiting(one, 2, of_job=True)
    slots[0].end(None, 0.0)
    first.cancel()
    await asyncio.wait([first])
    await asyncio.wait_for(second, 20)
    assert one.in_flight == 3
    for slot in (*slots[1:], second.result()[1]):
        slot.end(None, 0.0)
    assert one.is_idle
    assert len(entered(one, 9, of_job=True)) == 3

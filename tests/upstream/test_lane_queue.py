"""Who waits for a place on a lane: in order, not without end, and not where nothing will come."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.errors import DeadlineExceeded, QueueFull, UpstreamAuthFailed, UpstreamOverloaded
from gatemill.policy.breaker import OPEN
from gatemill.upstream.lane import LaneSettings, Slot
from lane_play import DOWN, LATER, QUICK, Road, busy, turn


async def test_who_waits_gets_the_place_that_becomes_free_in_order():
    road = busy(2)
    order: list[int] = []

    async def wait(number: int) -> Slot | None:
        slot = await road.lane.wait(LATER, road.clock.monotonic_s)
        order.append(number)
        return slot

    tasks = [asyncio.ensure_future(wait(number)) for number in range(4)]
    await turn()
    assert (road.numbers.waiting, road.numbers.in_flight) == (4, 2)
    assert road.lane.enter(road.now_s, LATER) is None, "nobody overtakes"
    for slot in road.held:
        road.end(slot)
    await turn()
    assert order == [0, 1]
    for task in tasks[:2]:
        slot = await task
        assert slot is not None
        road.end(road.begun(slot))
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]
    assert (road.numbers.waiting, road.numbers.in_flight) == (0, 2)


async def test_a_full_queue_refuses_at_once():
    road = busy(waiting_max=1)
    first = road.queue()
    await turn()
    with pytest.raises(QueueFull) as caught:
        await road.queue()
    assert caught.value.falls_back
    assert road.numbers.queue_full == 1
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_wait_ends_after_wait_s():
    road = busy(wait_s=0.01)
    with pytest.raises(QueueFull):
        await road.queue()
    assert (road.numbers.queue_full, road.numbers.waiting, road.numbers.in_flight) == (1, 0, 1)


async def test_a_wait_ends_with_the_deadline():
    road = busy()
    with pytest.raises(DeadlineExceeded):
        await road.queue(deadline_s=0.01)
    assert (road.numbers.queue_full, road.numbers.waiting) == (0, 0)


async def test_who_is_cancelled_leaves_the_queue_and_passes_the_turn_on():
    road = busy()
    tasks = [road.queue() for _ in range(3)]
    await turn()
    tasks[1].cancel()
    await turn()
    assert road.numbers.waiting == 2
    road.end(road.held[0])  # the place goes to the first, who leaves in this very moment
    tasks[0].cancel()
    await turn()
    assert tasks[0].cancelled()
    assert tasks[1].cancelled()
    slot = await tasks[2]
    assert slot is not None
    assert road.numbers.in_flight == 1


async def test_a_place_that_frees_in_the_moment_of_a_cancel_goes_to_the_next():
    road = busy()
    tasks = [road.queue() for _ in range(2)]
    await turn()
    tasks[0].cancel()  # its future is cancelled, and still stands in the queue
    road.end(road.held[0])
    assert await tasks[1] is not None
    assert tasks[0].cancelled()
    assert (road.numbers.in_flight, road.numbers.waiting) == (1, 0)


async def test_whoever_waits_is_sent_elsewhere_when_the_target_is_ejected():
    road = busy(2)
    tasks = [road.queue() for _ in range(3)]
    await turn()
    for slot in road.held:
        road.end(slot, DOWN)
    assert await asyncio.gather(*tasks) == [None] * 3
    assert road.numbers.state == OPEN
    assert (road.numbers.in_flight, road.numbers.waiting) == (0, 0)


async def test_they_are_sent_away_at_once_also_while_others_are_under_way():
    road = busy(4)
    tasks = [road.queue() for _ in range(2)]
    await turn()
    for slot in road.held[:2]:  # overloaded: the limit falls to 2, and 2 go on
        road.end(slot, UpstreamOverloaded("503"))
    assert await asyncio.gather(*tasks) == [None, None]
    assert (road.numbers.in_flight, road.numbers.limit) == (2, 2)


async def test_a_turn_that_finds_the_target_ejected_is_given_back():
    road = busy(1)
    task = road.queue()
    await turn()
    road.end(road.held[0])  # the turn is given, and before it is taken the target fails elsewhere
    for _ in range(2):
        slot = Slot(road.lane, road.lane._breaker.generation, LATER, is_probe=False, key=None)
        road.lane.in_flight += 1
        road.end(road.begun(slot), DOWN)
    assert await task is None
    assert road.numbers.in_flight == 0


async def test_a_turn_that_finds_all_keys_at_rest_is_given_back():
    road = Road(LaneSettings(breaker=QUICK.breaker, concurrency_max=1), "sk-first-0001")
    held = road.enter()
    task = road.queue()
    await turn()
    road.end(held, UpstreamAuthFailed("401"))
    assert await task is None
    assert road.numbers.in_flight == 0


async def test_a_higher_maximum_lets_those_in_who_wait():
    road = busy(1)
    task = road.queue()
    await turn()
    road.lane.configure(LaneSettings(breaker=QUICK.breaker, concurrency_max=2), None)
    assert await task is not None

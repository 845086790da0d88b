"""A call that waits, for its turn at a full target and until its deadline."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

import heavy
from course_play import BODY, DOWN, GOOD, Always, Held, always, asked, failure, lane_of, run, said
from gatemill.core.call import Target
from gatemill.core.errors import DeadlineExceeded, QueueFull, UpstreamTimeout, UpstreamUnreachable
from gatemill.core.ports import Incoming
from gatemill.policy.breaker import BreakerSettings
from gatemill.upstream.attempt import attempt
from gatemill.upstream.lane import Lane, LaneSettings
from gatemill.wire import chat
from playbook import Trying, call, target

# --- Queues ------------------------------------------------------------------------------------------

NARROW = LaneSettings(concurrency_max=1, waiting_max=1, wait_s=5)


def full(name: str, settings: LaneSettings = NARROW) -> tuple[Target, Held]:
    held = Held()
    place = target(name=name, lane=Lane(f"{name}/m", settings, None))
    return msgspec.structs.replace(place, transport=held), held


async def test_a_target_with_room_is_taken_before_waiting_for_the_first():
    first, held = full("a")
    busy = asyncio.ensure_future(run(Trying(), first))
    await asyncio.sleep(0)
    second = always(GOOD, "b")
    await run(Trying(), first, second)
    assert (held.asked, asked(second)) == (1, 1)
    held.gate.set()
    await busy


async def test_a_call_waits_for_its_turn_instead_of_failing():
    place, held = full("a")
    tasks = [asyncio.ensure_future(run(Trying(), place)) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (held.asked, lane_of(place).waiting) == (1, 1)
    held.gate.set()
    for reply in await asyncio.gather(*tasks):
        assert reply.body == BODY
    assert (held.asked, lane_of(place).in_flight) == (2, 0)


async def test_when_every_queue_is_full_the_caller_hears_so():
    places = [full("a")[0], full("b")[0]]
    tasks = [asyncio.ensure_future(run(Trying(), *places)) for _ in range(4)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [lane_of(place).waiting for place in places] == [1, 1]
    made = call()
    error = await failure(Trying(), *places, made=made)
    assert (type(error), error.retry_after_s) == (QueueFull, 1)
    assert made.attempts == []
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [(lane_of(place).in_flight, lane_of(place).waiting) for place in places] == [(0, 0)] * 2


async def test_after_a_failure_a_full_queue_does_not_hide_it():
    busy, held = full("b", msgspec.structs.replace(NARROW, waiting_max=0))
    task = asyncio.ensure_future(run(Trying(), busy))
    await asyncio.sleep(0)
    assert (await failure(Trying(), always(said(401)), busy)).code == "upstream_auth_failed"
    held.gate.set()
    await task


async def test_a_call_that_leaves_while_it_waits_makes_no_attempt():
    place, held = full("a")
    first = asyncio.ensure_future(run(Trying(), place))
    await asyncio.sleep(0)
    made = call()
    second = asyncio.ensure_future(run(Trying(), place, made=made))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert (made.attempts, lane_of(place).waiting) == ([], 0)
    held.gate.set()
    await first


async def test_a_repeat_waits_for_its_turn_too():
    narrow = Lane("a/m", NARROW, None)
    place, trying = target(DOWN, GOOD, lane=narrow), Trying()
    other: list = []

    async def sleep(seconds: float) -> None:
        other.append(narrow.enter(0, 100))  # somebody else is quicker
        asyncio.get_running_loop().call_soon(lambda: other[0].end(None, 0))

    tries = msgspec.structs.replace(trying.tries, sleep=sleep)
    reply = await attempt([place], chat, call(), tries)
    assert reply.body == BODY
    assert other[0] is not None


async def test_a_repeat_that_finds_the_target_ejected_is_not_made():
    lane = Lane("a/m", LaneSettings(breaker=BreakerSettings(failures=2)), None)
    place, trying = target(DOWN, GOOD, lane=lane), Trying()

    async def sleep(seconds: float) -> None:
        slot = lane.enter(0, 100)
        assert slot is not None
        slot.end(DOWN, 0)

    tries = msgspec.structs.replace(trying.tries, sleep=sleep)
    with pytest.raises(UpstreamUnreachable):
        await attempt([place], chat, call(), tries)
    assert len(place.transport.asked) == 1


# --- Deadline ----------------------------------------------------------------------------------------


async def test_a_timeout_at_the_deadline_is_the_deadlines():
    trying = Trying()

    class Silent(Always):
        async def exchange(self, *args) -> Incoming:
            trying.clock.advance(2)
            raise UpstreamTimeout("total_s")

    place = msgspec.structs.replace(target(), transport=Silent(GOOD))
    second, made = always(GOOD, "b"), call(deadline_s=2.0)
    error = await failure(trying, place, second, made=made)
    assert type(error) is DeadlineExceeded
    assert [tried.error for tried in made.attempts] == ["deadline_exceeded"]
    assert asked(second) == 0


async def test_no_target_follows_after_the_deadline():
    trying = Trying()

    class Slow(Always):
        async def exchange(self, *args) -> Incoming:
            trying.clock.advance(2)
            return await super().exchange(*args)

    place = msgspec.structs.replace(target(), transport=Slow(said(503)))
    second, made = always(GOOD, "b"), call(deadline_s=2.0)
    assert type(await failure(trying, place, second, made=made)) is DeadlineExceeded
    assert asked(second) == 0


async def test_a_wait_in_the_queue_ends_with_the_deadline():
    place, held = full("a", msgspec.structs.replace(NARROW, wait_s=30))
    first = asyncio.ensure_future(run(Trying(), place))
    await asyncio.sleep(0)
    started_s = asyncio.get_running_loop().time()
    error = await failure(Trying(), place, made=call(deadline_s=0.02))
    assert type(error) is DeadlineExceeded
    assert asyncio.get_running_loop().time() - started_s < heavy.within(5.0)
    held.gate.set()
    await first


async def test_a_caller_who_leaves_during_a_pause_holds_nothing():
    trying, made = Trying(), call()
    paused = asyncio.Event()

    async def sleep(seconds: float) -> None:
        paused.set()
        await asyncio.get_running_loop().create_future()

    tries = msgspec.structs.replace(trying.tries, sleep=sleep)
    place = always(DOWN)
    task = asyncio.ensure_future(attempt([place], chat, made, tries))
    await paused.wait()
    assert lane_of(place).in_flight == 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(made.attempts) == 1

"""Targets that are ejected: passed over, tried anyway, probed; and what frees a probe."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from course_play import DOWN, GOOD, QUICK, Held, always, asked, failure, lane_of, opened, run
from gatemill.core.clock import FakeClock
from gatemill.core.errors import CircuitOpen, UpstreamInterrupted, UpstreamTimeout
from gatemill.policy.breaker import CLOSED, OPEN
from gatemill.upstream.lane import Lane, LaneSettings
from playbook import DONE, HELLO, ROLE, STOP, Scripted, Trying, call, target
from transports import Remembered


async def test_an_ejected_target_is_passed_over():
    first = opened(always(GOOD, settings=QUICK))
    await run(Trying(), first, target(GOOD, name="b"))
    assert asked(first) == 0


async def test_when_all_are_ejected_the_one_that_opens_first_is_tried_anyway():
    late = QUICK.breaker
    later = LaneSettings(breaker=msgspec.structs.replace(late, open_s=20))
    first = opened(always(GOOD, "a", later))
    second = opened(always(GOOD, "b", QUICK))
    await run(Trying(), first, second)
    assert (asked(first), asked(second)) == (0, 1)
    assert lane_of(second).numbers(0).state == OPEN, "it was no probe"


async def test_or_it_is_refused_where_the_settings_say_so():
    settings = msgspec.structs.replace(QUICK, last_target="refuse")
    places = [opened(always(GOOD, name, settings)) for name in "ab"]
    clock = FakeClock()
    clock.advance(4)
    made = call()
    error = await failure(Trying(clock), *places, made=made)
    assert type(error) is CircuitOpen
    assert error.retry_after_s == 6
    assert made.attempts == []


async def test_only_one_ejected_target_is_tried_anyway():
    places = [opened(always(DOWN, name, QUICK)) for name in "ab"]
    assert await failure(Trying(), *places) is DOWN
    assert [asked(place) for place in places] == [1, 0]


async def test_after_a_failed_probe_another_ejected_target_is_tried():
    first = opened(always(DOWN, "a", QUICK))
    clock = FakeClock()
    clock.advance(10)
    second = always(GOOD, "b", QUICK)
    slot = lane_of(second).enter(5, 100)
    assert slot is not None
    slot.end(DOWN, 5)
    await run(Trying(clock), first, second)
    assert (asked(first), asked(second)) == (1, 1)


async def test_no_ejected_target_is_tried_after_one_that_was_ready():
    first, second = always(UpstreamTimeout("late"), "a"), opened(always(GOOD, "b", QUICK))
    error = await failure(Trying(), first, second)
    assert error.code == "upstream_timeout"
    assert asked(second) == 0


async def test_a_target_that_this_call_has_ejected_is_not_repeated_while_it_is_open():
    place = always(DOWN, settings=QUICK)
    assert await failure(Trying(), place) is DOWN
    assert asked(place) == 1


async def test_an_ejected_target_without_room_is_no_place_to_go():
    settings = msgspec.structs.replace(QUICK, concurrency_max=1)
    place = opened(always(GOOD, settings=settings))
    lane_of(place).force(0, 1)
    assert type(await failure(Trying(), place)) is CircuitOpen


async def test_a_probe_that_the_caller_leaves_frees_the_probe():
    clock = FakeClock()
    clock.advance(10)
    place = opened(always(GOOD, settings=QUICK))
    hung = msgspec.structs.replace(place, transport=Held())
    task = asyncio.ensure_future(run(Trying(clock), hung))
    await asyncio.sleep(0)
    assert not lane_of(place).is_ready(10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lane_of(place).is_ready(10)
    await run(Trying(clock), place)
    assert lane_of(place).numbers(10).state == CLOSED


async def test_a_stream_is_a_success_when_it_has_ended_and_a_failure_when_it_is_cut():
    clock = FakeClock()
    clock.advance(10)
    source = Scripted(ROLE, HELLO)
    place = opened(target(source, lane=Lane("a/m", QUICK, None)))
    reply = await run(Trying(clock), place, made=call(stream=True))
    assert reply.stream is not None
    reply.stream.attach(Remembered())
    assert lane_of(place).in_flight == 1
    assert not lane_of(place).is_ready(10)
    source.say(STOP + DONE)
    source.end()
    numbers = lane_of(place).numbers(10)
    assert (numbers.state, numbers.in_flight) == (CLOSED, 0)

    cut = Scripted(ROLE, HELLO)
    reply = await run(
        Trying(clock),
        msgspec.structs.replace(place, transport=target(cut).transport),
        made=call(stream=True),
    )
    cut.end(UpstreamInterrupted("cut"))
    numbers = lane_of(place).numbers(10)
    assert (numbers.state, numbers.in_flight) == (OPEN, 0)


async def test_a_stream_whose_caller_leaves_frees_its_place_and_says_nothing():
    place = target(Scripted(ROLE, HELLO), lane=Lane("a/m", QUICK, None))
    reply = await run(Trying(), place, made=call(stream=True))
    assert reply.stream is not None
    reply.stream.abort()
    numbers = lane_of(place).numbers(0)
    assert (numbers.state, numbers.in_flight) == (CLOSED, 0)


async def test_a_fault_of_our_own_frees_the_place_and_the_probe():
    place = opened(always(RuntimeError("a bug"), settings=QUICK))
    clock = FakeClock()
    clock.advance(10)
    with pytest.raises(RuntimeError):
        await run(Trying(clock), place)
    assert lane_of(place).in_flight == 0
    assert lane_of(place).is_ready(10)

"""So many at once of each name; a few wait, and those sent away come back one after the other."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from gatemill.core.clock import FakeClock
from gatemill.core.errors import Overloaded
from gatemill.core.tasks import spawn
from gatemill.upstream import turns
from gatemill.upstream.turns import Turns


@pytest.fixture
def clock():
    return FakeClock()


async def sent_away(of: Turns, name: str = "a") -> float:
    """For how long."""
    with pytest.raises(Overloaded) as caught:
        async with of.hold(name):
            pass
    assert caught.value.retry_after_s is not None
    return caught.value.retry_after_s


async def work(of: Turns, clock: FakeClock, seconds: float, name: str = "a") -> None:
    async with of.hold(name):
        clock.advance(seconds)


async def slow(of: Turns, clock: FakeClock, seconds: float) -> None:
    """The name "a" is known to take so long."""
    for _ in range(60):
        await work(of, clock, seconds)


class Held:
    """Somebody who has a turn, or waits for one, until `done`."""

    def __init__(self, of: Turns, name: str = "a") -> None:
        self.done = asyncio.Event()
        self.has = asyncio.Event()
        self.task = spawn(self._run(of, name), "held")

    async def _run(self, of: Turns, name: str) -> None:
        async with of.hold(name):
            self.has.set()
            await self.done.wait()

    async def end(self) -> None:
        self.done.set()
        await self.task


async def test_a_name_has_so_many_turns_and_others_have_theirs(clock):
    of = Turns(2, 0.0, clock.monotonic_s)
    async with of.hold("a"), of.hold("a"), of.hold("b"):
        assert of.running == 3
        assert await sent_away(of) == 1.0
        await work(of, clock, 1.0, "b")
    assert of.running == 0
    await work(of, clock, 1.0)


async def test_a_turn_that_fails_is_given_back(clock):
    of = Turns(1, 0.0, clock.monotonic_s)
    with pytest.raises(KeyError):
        async with of.hold("a"):
            raise KeyError
    assert of.running == 0


async def test_whoever_waits_has_the_next_turn_in_the_order_of_asking(clock):
    of = Turns(1, 30.0, clock.monotonic_s)
    held = [Held(of) for _ in range(4)]
    for each in held:
        await asyncio.wait_for(each.has.wait(), 10)
        assert [one.has.is_set() for one in held].count(True) == held.index(each) + 1
        assert of.running == 1
        await each.end()
    assert of.running == 0


async def test_a_wait_ends_and_the_turn_goes_to_the_next(clock):
    of = Turns(1, 0.02, clock.monotonic_s)
    first = Held(of)
    await first.has.wait()
    assert await sent_away(of) == 1.0
    await first.end()
    async with of.hold("a"):
        assert of.running == 1


async def test_who_hangs_up_while_waiting_leaves_the_turn_to_others(clock):
    of = Turns(1, 30.0, clock.monotonic_s)
    first, second, third = Held(of), Held(of), Held(of)
    await first.has.wait()
    first.done.set()
    await asyncio.wait({first.task})  # the second has been given the turn, or has it already
    second.task.cancel()
    await asyncio.wait_for(third.has.wait(), 10)
    assert of.running == 1
    await third.end()
    assert of.running == 0


async def test_a_name_that_is_known_to_be_slow_is_not_waited_for(clock):
    of = Turns(1, 30.0, clock.monotonic_s)
    await slow(of, clock, 40.0)
    async with of.hold("a"):
        await sent_away(of)


async def test_a_name_that_hangs_now_is_not_waited_for(clock):
    of = Turns(2, 30.0, clock.monotonic_s)
    async with of.hold("a"), of.hold("a"):
        clock.advance(61.0)
        await sent_away(of)


async def test_those_who_are_sent_away_come_as_fast_as_the_work_is_done(clock):
    of = Turns(2, 0.0, clock.monotonic_s)
    await slow(of, clock, 8.0)
    async with of.hold("a"), of.hold("a"):
        waits = [await sent_away(of) for _ in range(3)]
        assert waits == pytest.approx([4.0, 8.0, 12.0], rel=0.01)
        clock.advance(12.0)
        assert await sent_away(of) == pytest.approx(4.0, rel=0.01)


async def test_nobody_is_sent_away_for_longer_than_a_minute(clock):
    of = Turns(1, 0.0, clock.monotonic_s)
    await slow(of, clock, 15.0)
    async with of.hold("a"):
        assert max([await sent_away(of) for _ in range(1000)]) == 60.0
        clock.advance(30.0)
        assert await sent_away(of) <= 60.0


async def test_whoever_could_do_nothing_teaches_nothing(clock):
    of, other = Turns(2, 0.0, clock.monotonic_s), Turns(1, 0.0, clock.monotonic_s)
    await slow(of, clock, 8.0)
    async with other.hold("x"):
        for _ in range(50):
            with pytest.raises(Overloaded):
                async with of.hold("a"), other.hold("x"):
                    pass
    async with of.hold("a"), of.hold("a"):
        assert await sent_away(of) == pytest.approx(4.0, rel=0.01)


async def test_names_without_work_are_forgotten(clock, monkeypatch):
    monkeypatch.setattr(turns, "NAMES_MAX", 3)
    of = Turns(1, 0.0, clock.monotonic_s)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(of.hold("busy"))
        for number in range(10):
            await work(of, clock, 1.0, f"name {number}")
        assert len(of._names) <= 3
        await sent_away(of, "busy")

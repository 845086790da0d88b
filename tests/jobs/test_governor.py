"""Background calls wait while the event loop is late, and not for ever."""

from __future__ import annotations

import asyncio

from crews import until
from gatemill.jobs.governor import LATE_S, PATIENCE_S, TICK_S, Governor


class Time:
    """A loop that a test makes late. It moves on with the task that watches, or with the first."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.late_s = 0.0
        self._mover: object = None

    def now(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        self._mover = self._mover or task
        if task is self._mover:
            self.now_s += seconds + self.late_s
        await asyncio.sleep(0)


async def test_a_loop_that_keeps_up_delays_nobody():
    time = Time()
    governor = Governor(time.now, time.sleep)
    watching = asyncio.ensure_future(governor.watch())
    await until(lambda: time.now_s > 1.0, "it watches")
    await governor.turn()
    assert governor.delayed == 0
    watching.cancel()


async def test_calls_wait_until_the_loop_keeps_up_again():
    time = Time()
    governor = Governor(time.now, time.sleep)
    watching = asyncio.ensure_future(governor.watch())
    time.late_s = 0.2
    await until(lambda: governor.late_s >= 0.2, "it is late")
    call = asyncio.ensure_future(governor.turn())
    await asyncio.sleep(0)
    assert not call.done()
    time.late_s = 0.0
    await call
    assert governor.late_s < LATE_S
    assert governor.delayed == 1
    watching.cancel()


async def test_a_machine_that_is_always_busy_lets_jobs_go_on():
    time = Time()
    governor = Governor(time.now, time.sleep)
    governor.late_s = 1.0
    await governor.turn()
    assert PATIENCE_S <= time.now_s <= PATIENCE_S + 2 * TICK_S


async def test_of_calls_that_come_together_one_begins_in_each_turn_of_the_loop():
    governor = Governor(asyncio.get_running_loop().time)
    begun: list[int] = []

    async def call(number: int) -> None:
        await governor.turn()
        begun.append(number)

    calls = [asyncio.ensure_future(call(number)) for number in range(20)]
    before = 0
    while not all(task.done() for task in calls):
        await asyncio.sleep(0)
        assert len(begun) - before <= 1
        before = len(begun)
    assert begun == list(range(20))

"""Many at a time, not more than wanted, in order; a failure is a value."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.errors import RateLimited
from gatemill.core.gathering import gathered


class Asked:
    """Counts what is under way."""

    def __init__(self) -> None:
        self.running = self.most = self.tasks_most = 0
        self.cancelled = 0
        self.hold = False

    async def __call__(self, item: int) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        self.tasks_most = max(self.tasks_most, len(asyncio.all_tasks()))
        try:
            await asyncio.sleep(0)
            if self.hold:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return -item


async def test_answers_stand_in_the_order_of_the_questions():
    delays = [3, 1, 2, 0]

    async def ask(index: int) -> int:
        for _ in range(delays[index]):
            await asyncio.sleep(0)
        return index

    assert await gathered(ask, range(4), 4) == [0, 1, 2, 3]


async def test_ten_thousand_questions_are_a_few_tasks():
    asked = Asked()
    assert await gathered(asked, range(10_000), 8) == [-item for item in range(10_000)]
    assert asked.most == 8
    assert asked.tasks_most <= 8 + 1, "and the test itself"


async def test_questions_are_taken_when_there_is_time_for_them():
    taken = 0

    def questions():
        nonlocal taken
        for item in range(100):
            taken += 1
            yield item

    ahead = []

    async def ask(item: int) -> None:
        await asyncio.sleep(0)
        ahead.append(taken - len(ahead))

    await gathered(ask, questions(), 3)
    assert max(ahead) <= 3


async def test_questions_may_come_later():
    async def questions():
        for item in range(20):
            await asyncio.sleep(0)
            yield item

    asked = Asked()
    assert await gathered(asked, questions(), 4) == [-item for item in range(20)]


async def test_no_questions_have_no_answers():
    assert await gathered(Asked(), [], 5) == []


async def test_a_failure_is_a_value_and_stops_nothing():
    async def ask(item: int) -> int:
        if item % 2:
            raise RateLimited(str(item))
        return item

    results = await gathered(ask, range(5), 2)
    assert results[::2] == [0, 2, 4]
    assert [str(each) for each in results[1::2]] == ["1", "3"]


async def test_a_bug_stops_all_and_is_raised_as_it_is():
    asked = Asked()

    async def ask(item: int) -> int:
        if item == 3:
            await asyncio.sleep(0)
            raise ZeroDivisionError
        asked.hold = True
        return await asked(item)

    with pytest.raises(ZeroDivisionError):
        await gathered(ask, range(10), 5)
    assert asked.running == 0


async def test_questions_that_fail_stop_all():
    def questions():
        yield 1
        raise KeyError("no more")

    with pytest.raises(KeyError):
        await gathered(Asked(), questions(), 2)


async def test_cancelling_stops_all():
    asked = Asked()
    asked.hold = True
    task = asyncio.ensure_future(gathered(asked, range(100), 10))
    for _ in range(15):
        await asyncio.sleep(0)
    assert asked.running == 10
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (asked.running, asked.cancelled) == (0, 10)
    assert asyncio.all_tasks() == {asyncio.current_task()}

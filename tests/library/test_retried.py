"""A function is asked again when that can help, with the gateway's pauses, within one deadline."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.errors import (
    BudgetSpent,
    DeadlineExceeded,
    InvalidRequest,
    InvalidType,
    InvalidValue,
    Overloaded,
    RateLimited,
    UpstreamError,
)


class Failing:
    """Fails with each of these in turn, then answers."""

    def __init__(self, *failures: BaseException) -> None:
        self.left = list(failures)
        self.runs = 0

    async def run(self) -> int:
        self.runs += 1
        if self.left:
            raise self.left.pop(0)
        return self.runs


async def test_it_is_asked_again_until_it_answers(bench):
    failing = Failing(OSError("one"), TimeoutError("two"))

    @bench.gm.retried()
    async def ask() -> int:
        return await failing.run()

    assert await ask() == 3
    assert bench.pauses == [0.125, 0.25], "half of what a pause may be, which doubles"


async def test_the_last_failure_is_raised_as_it_was(bench):
    failures = [OSError(str(number)) for number in range(5)]
    failing = Failing(*failures)

    @bench.gm.retried(attempts_max=4, backoff_s=1, backoff_max_s=2)
    async def ask() -> int:
        return await failing.run()

    with pytest.raises(OSError, match="3") as caught:
        await ask()
    assert caught.value is failures[3]
    assert failing.runs == 4
    assert bench.pauses == [0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    "failure",
    [ValueError("bug"), InvalidRequest("mistake"), BudgetSpent("spent"), asyncio.CancelledError()],
)
async def test_what_a_repeat_cannot_help_is_raised_at_once(bench, failure):
    failing = Failing(failure)

    @bench.gm.retried()
    async def ask() -> int:
        return await failing.run()

    with pytest.raises(type(failure)):
        await ask()
    assert failing.runs == 1


@pytest.mark.parametrize(
    "failure", [UpstreamError("gone"), RateLimited("busy"), Overloaded("busy"), ValueError("own")]
)
async def test_what_a_repeat_can_help_is_repeated(bench, failure):
    failing = Failing(failure)

    @bench.gm.retried(on=(UpstreamError, RateLimited, Overloaded, ValueError))
    async def ask() -> int:
        return await failing.run()

    assert await ask() == 2


async def test_only_what_is_named_is_repeated(bench):
    failing = Failing(OSError("gone"))

    @bench.gm.retried(on=(UpstreamError,))
    async def ask() -> int:
        return await failing.run()

    with pytest.raises(OSError, match="gone"):
        await ask()


async def test_retry_after_is_waited_for_when_it_is_short(bench):
    failing = Failing(RateLimited("busy", retry_after_s=7), RateLimited("busy", retry_after_s=21))

    @bench.gm.retried()
    async def ask() -> int:
        return await failing.run()

    with pytest.raises(RateLimited):
        await ask()
    assert bench.pauses == [7]
    assert failing.runs == 2


async def test_no_pause_goes_beyond_the_deadline(bench):
    failing = Failing(OSError("one"), RateLimited("two", retry_after_s=9))

    @bench.gm.retried(deadline_s=5)
    async def ask() -> int:
        return await failing.run()

    with pytest.raises(RateLimited, match="two"):
        await ask()
    assert bench.pauses == [0.125]


async def test_an_attempt_under_way_ends_at_the_deadline(bench):
    failing = Failing(OSError("one"))

    @bench.gm.retried(deadline_s=0.5, backoff_s=0.001)
    async def ask() -> None:
        await failing.run()
        await asyncio.Event().wait()

    with pytest.raises(
        DeadlineExceeded, match=r"ask took longer than 0\.5 s in 2 attempts"
    ) as caught:
        await ask()
    assert isinstance(caught.value.__cause__, OSError)


async def test_a_timeout_of_its_own_is_a_failure_like_others(bench):
    failing = Failing(TimeoutError("own"))

    @bench.gm.retried(deadline_s=100, attempts_max=1)
    async def ask() -> int:
        return await failing.run()

    with pytest.raises(TimeoutError, match="own"):
        await ask()


def test_what_is_wrong_is_said_when_the_function_is_decorated(bench):
    for said in ({"attempts_max": 0}, {"backoff_s": 0}, {"backoff_max_s": -1}, {"deadline_s": 0}):
        with pytest.raises(InvalidValue, match=next(iter(said))):
            bench.gm.retried(**said)
    with pytest.raises(InvalidType, match="on must be"):
        bench.gm.retried(on=(asyncio.CancelledError,))

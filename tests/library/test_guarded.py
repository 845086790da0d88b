"""A function that keeps failing is left alone; then one call decides."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from gatemill.core.errors import (
    CircuitOpen,
    InvalidRequest,
    InvalidType,
    InvalidValue,
    UpstreamError,
)


class Switch:
    """An async function that fails while it is off."""

    def __init__(self) -> None:
        self.failure: BaseException | None = OSError("off")
        self.runs = 0
        self.open = asyncio.Event()
        self.open.set()

    async def run(self) -> str:
        self.runs += 1
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return "on"


@pytest.fixture
def switch() -> Switch:
    return Switch()


def guarded(bench, switch, **said):
    @bench.gm.guarded(name="search", **said)
    async def ask() -> str:
        return await switch.run()

    return ask


async def fail(ask, times: int, error: type[BaseException] = OSError) -> None:
    for _ in range(times):
        with pytest.raises(error):
            await ask()


async def test_after_three_failures_nobody_is_let_through(bench, switch):
    ask = guarded(bench, switch)
    await fail(ask, 3)
    with pytest.raises(CircuitOpen, match="function search failed lately") as caught:
        await ask()
    assert switch.runs == 3
    assert caught.value.retry_after_s == 30


async def test_failures_far_apart_do_not_open(bench, switch):
    ask = guarded(bench, switch, failures=2, window_s=10)
    for _ in range(5):
        await fail(ask, 1)
        bench.clock.advance(11)
    assert switch.runs == 5


async def test_of_many_at_once_one_probes(bench, switch):
    ask = guarded(bench, switch)
    await fail(ask, 3)
    bench.clock.advance(30)
    switch.failure = None
    switch.open.clear()
    calls = [asyncio.ensure_future(ask()) for _ in range(100)]
    for _ in range(3):
        await asyncio.sleep(0)
    switch.open.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert switch.runs == 4
    assert [each for each in results if each == "on"] == ["on"]
    assert {type(each) for each in results if each != "on"} == {CircuitOpen}
    assert await asyncio.gather(*(ask() for _ in range(10))) == ["on"] * 10


async def test_a_probe_that_fails_doubles_the_pause(bench, switch):
    ask = guarded(bench, switch, open_s=10)
    await fail(ask, 3)
    bench.clock.advance(10)
    await fail(ask, 1)
    bench.clock.advance(19)
    await fail(ask, 1, CircuitOpen)
    bench.clock.advance(1)
    switch.failure = None
    assert await ask() == "on"


async def test_a_probe_that_is_cancelled_says_nothing(bench, switch):
    ask = guarded(bench, switch)
    await fail(ask, 3)
    bench.clock.advance(30)
    switch.open.clear()
    probe = asyncio.ensure_future(ask())
    await asyncio.sleep(0)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    switch.open.set()
    switch.failure = None
    assert await ask() == "on", "the next one probes at once"


async def test_mistakes_and_what_is_not_named_never_open(bench, switch):
    ask = guarded(bench, switch, on=(OSError, UpstreamError, InvalidRequest))
    for failure in (ValueError("bug"), InvalidRequest("mistake"), asyncio.CancelledError()):
        switch.failure = failure
        await fail(ask, 5, type(failure))
    switch.failure = UpstreamError("gone")
    await fail(ask, 3, UpstreamError)
    await fail(ask, 1, CircuitOpen)


async def test_each_change_is_logged_once_and_counted(bench, switch):
    ask = guarded(bench, switch)
    with capture_logs() as lines:
        await fail(ask, 3)
        await fail(ask, 5, CircuitOpen)
        bench.clock.advance(30)
        switch.failure = None
        await ask()
        await ask()
    assert [(line["event"], line["target"]) for line in lines] == [
        ("target_opened", "function/search"),
        ("target_half_open", "function/search"),
        ("target_closed", "function/search"),
    ]
    seen = bench.numbers()
    for name, count in (("opened", 1), ("closed", 1), ("probes", 1)):
        labelled = [n for label, n in seen.items() if label.startswith(f"target_{name}_total")]
        assert sum(labelled) == count


async def test_functions_of_one_name_share_its_breaker(bench, switch):
    await fail(guarded(bench, switch), 3)
    await fail(guarded(bench, switch), 1, CircuitOpen)

    @bench.gm.guarded()
    async def other() -> str:
        return "on"

    assert await other() == "on"


async def test_thousands_of_calls_are_let_through_at_once(bench, switch):
    switch.failure = None
    ask = guarded(bench, switch)
    assert await asyncio.gather(*(ask() for _ in range(2000))) == ["on"] * 2000


def test_what_is_wrong_is_said_when_the_function_is_decorated(bench):
    for said in ({"failures": 0}, {"window_s": 0}, {"open_s": -1}):
        with pytest.raises(InvalidValue, match=next(iter(said))):
            bench.gm.guarded(**said)
    with pytest.raises(InvalidType, match="on must be"):
        bench.gm.guarded(on=OSError)

"""Calls of a function are among the gateway's numbers."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.errors import RateLimited


async def test_calls_failures_and_durations_are_counted(bench):
    @bench.gm.metered(name="search")
    async def ask(failure: BaseException | None = None) -> str:
        bench.clock.advance(0.3)
        if failure is not None:
            raise failure
        return "found"

    assert [await ask(), await ask()] == ["found", "found"]
    for failure in (ValueError("bug"), RateLimited("busy"), asyncio.CancelledError()):
        with pytest.raises(type(failure)):
            await ask(failure)
    seen = bench.numbers()
    counts = {
        status: seen[
            f'requests_total{{model="search",operation="function",provider="",status="{status}"}}'
        ]
        for status in (200, 429, 499, 500)
    }
    assert counts == {200: 2, 429: 1, 499: 1, 500: 1}
    durations = 'request_duration_seconds_{}{{model="search",operation="function"}}'
    assert seen[durations.format("count")] == 5
    assert seen[durations.format("sum")] == pytest.approx(1.5)


async def test_without_a_name_it_is_the_functions_own(bench):
    @bench.gm.metered()
    async def ask() -> None:
        pass

    await ask()
    name = b"test_without_a_name_it_is_the_functions_own.<locals>.ask"
    assert name in bench.gm.metrics()


async def test_the_metrics_say_the_version_and_the_configuration(bench):
    page = bench.gm.metrics().decode()
    assert f'config="{bench.home.gateway.version}"' in page
    assert "gatemill_requests_in_flight 0.0" in page

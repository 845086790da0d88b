"""Decorators keep what a function is, and work together."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from gatemill.core.errors import CircuitOpen, RateLimited


def every(gm):
    return {
        "cached": gm.cached(ttl_s=1),
        "limited": gm.limited(requests_per_minute=1),
        "retried": gm.retried(),
        "guarded": gm.guarded(),
        "metered": gm.metered(),
    }


@pytest.mark.parametrize("name", ["cached", "limited", "retried", "guarded", "metered"])
async def test_a_decorated_function_stays_what_it_was(bench, name):
    async def ask(question: str, *, top: int = 3) -> str:
        """What it is for."""
        return question * top

    decorated = every(bench.gm)[name](ask)
    assert inspect.iscoroutinefunction(decorated)
    assert inspect.signature(decorated) == inspect.signature(ask)
    assert (decorated.__name__, decorated.__doc__) == ("ask", "What it is for.")
    assert await decorated("a", top=2) == "aa"


@pytest.mark.parametrize("name", ["cached", "limited", "retried", "guarded", "metered"])
def test_a_function_that_is_not_async_is_refused(bench, name):
    def ask() -> None:
        pass

    with pytest.raises(TypeError, match=r"ask is no `async def` function; decorate one that is"):
        every(bench.gm)[name](ask)


async def test_all_of_them_around_one_function(bench):
    failures: list[Exception] = []
    runs = 0

    @bench.gm.metered(name="search")
    @bench.gm.cached(ttl_s=60)
    @bench.gm.retried(on=(OSError,), attempts_max=2)
    @bench.gm.guarded(name="search", failures=4)
    @bench.gm.limited(name="search", requests_per_minute=5)
    async def search(text: str) -> list[str]:
        nonlocal runs
        runs += 1
        if failures:
            raise failures.pop()
        return text.split()

    failures.append(OSError("once"))
    assert await asyncio.gather(*(search("a b") for _ in range(50))) == [["a", "b"]] * 50
    assert runs == 2, "one for all, repeated once"

    failures.extend(OSError("down") for _ in range(9))
    with pytest.raises(OSError, match="down"):
        await search("c")
    for text in ("d", "e"):  # the fourth failure within a minute has opened
        with pytest.raises(CircuitOpen):
            await search(text)
    assert runs == 5
    assert await search("a b") == ["a", "b"]

    bench.clock.advance(31)
    with pytest.raises(RateLimited):
        await search("e")
    assert runs == 5
    seen = bench.numbers()
    counted = 'requests_total{{model="search",operation="function",provider="",status="{}"}}'
    assert seen[counted.format(200)] == 51
    assert seen[counted.format(503)] == 2
    assert seen[counted.format(429)] == 1


async def test_methods_are_decorated_too(bench):
    class Search:
        def __init__(self, name: str) -> None:
            self.name = name

        @bench.gm.cached(ttl_s=60, key=lambda self, text: [self.name, text])
        async def find(self, text: str) -> str:
            return f"{self.name} {text}"

    assert await Search("one").find("a") == "one a"
    assert await Search("two").find("a") == "two a"

"""Equal calls share one result: kept, under way, or no longer fresh."""

from __future__ import annotations

import asyncio
import functools

import pytest
from msgspec import Struct

from gatemill.core.errors import InvalidRequest, InvalidType, InvalidValue, UpstreamError


class Found(Struct):
    text: str
    score: float


class Counted:
    """An async function that says how often it ran, and waits when told to."""

    def __init__(self) -> None:
        self.runs: list[object] = []
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None

    async def run(self, what: object) -> object:
        self.runs.append(what)
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return what


@pytest.fixture
def counted() -> Counted:
    return Counted()


async def waiting(count: int) -> None:
    """Everybody has got as far as they can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_result_is_kept_for_its_time_and_no_longer(bench, counted):
    @bench.gm.cached(ttl_s=60)
    async def ask(question: str) -> object:
        return await counted.run(question)

    assert [await ask("a"), await ask("a"), await ask("b")] == ["a", "a", "b"]
    assert counted.runs == ["a", "b"]
    bench.clock.advance(59.9)
    await ask("a")
    assert counted.runs == ["a", "b"]
    bench.clock.advance(0.2)
    await ask("a")
    assert counted.runs == ["a", "b", "a"]


async def test_a_hundred_equal_calls_at_once_run_once(bench, counted):
    @bench.gm.cached(ttl_s=60)
    async def ask(question: str) -> object:
        return await counted.run([question])

    counted.open.clear()
    calls = [asyncio.ensure_future(ask("same")) for _ in range(100)]
    await waiting(5)
    counted.open.set()
    results = await asyncio.gather(*calls)
    assert counted.runs == [["same"]]
    assert results == [["same"]] * 100
    assert len({id(result) for result in results}) == 100, "nobody sees what others do to theirs"
    seen = bench.numbers()
    assert (seen["cache_misses_total{}"], seen["cache_coalesced_total{}"]) == (1, 99)


async def test_when_the_one_that_runs_fails_one_other_takes_over(bench, counted):
    @bench.gm.cached(ttl_s=60)
    async def ask() -> object:
        return await counted.run("x")

    counted.open.clear()
    counted.failure = OSError("gone")
    calls = [asyncio.ensure_future(ask()) for _ in range(5)]
    await waiting(5)
    calls[0].cancel()
    await waiting(5)
    assert len(counted.runs) == 2, "one took over from the one that was cancelled"
    counted.failure = None
    counted.open.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == ["x"] * 4
    assert len(counted.runs) == 2


async def test_what_the_arguments_are_to_blame_for_is_told_to_all(bench, counted):
    @bench.gm.cached(ttl_s=60)
    async def ask() -> object:
        return await counted.run("x")

    counted.open.clear()
    counted.failure = InvalidRequest("no")
    calls = [asyncio.ensure_future(ask()) for _ in range(5)]
    await waiting(5)
    counted.open.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in results] == [InvalidRequest] * 5
    assert len(counted.runs) == 1


async def test_a_failure_is_not_kept(bench, counted):
    @bench.gm.cached(ttl_s=60)
    async def ask() -> object:
        return await counted.run("x")

    counted.failure = ValueError("first")
    with pytest.raises(ValueError, match="first"):
        await ask()
    counted.failure = None
    assert await ask() == "x"


@pytest.mark.parametrize("failure", [OSError("gone"), UpstreamError("gone")])
async def test_a_stale_result_is_better_than_a_failure(bench, counted, failure):
    @bench.gm.cached(ttl_s=60, stale_s=600)
    async def ask() -> object:
        return await counted.run("x")

    assert await ask() == "x"
    counted.failure = failure
    bench.clock.advance(100)
    counted.open.clear()
    calls = [asyncio.ensure_future(ask()) for _ in range(3)]
    await waiting(5)
    counted.open.set()
    assert await asyncio.gather(*calls) == ["x"] * 3
    assert len(counted.runs) == 2
    assert bench.numbers()["cache_stale_total{}"] == 3
    bench.clock.advance(600)
    with pytest.raises(type(failure)):
        await ask()


async def test_a_stale_result_does_not_hide_other_failures(bench, counted):
    @bench.gm.cached(ttl_s=1, stale_s=600, stale_on=(OSError,))
    async def ask() -> object:
        return await counted.run("x")

    await ask()
    bench.clock.advance(2)
    for failure in (ValueError("bug"), InvalidRequest("mistake")):
        counted.failure = failure
        with pytest.raises(type(failure)):
            await ask()
    counted.failure = OSError("gone")
    assert await ask() == "x"


async def test_calls_are_equal_however_the_arguments_are_written(bench, counted):
    @bench.gm.cached(ttl_s=60)
    async def ask(first: str, *rest: str, top: int = 3) -> object:
        return await counted.run((first, rest, top))

    await ask("a", top=3)
    await ask("a")
    await ask(first="a")
    assert len(counted.runs) == 1
    await ask("a", "b")
    await ask("a", top=4)
    assert len(counted.runs) == 3


async def test_two_functions_never_share_a_result(bench):
    @bench.gm.cached(ttl_s=60)
    async def one(x: int) -> str:
        return "one"

    @bench.gm.cached(ttl_s=60)
    async def two(x: int) -> str:
        return "two"

    assert (await one(1), await two(1)) == ("one", "two")


async def test_functions_from_the_same_lines_with_other_values_share_nothing(bench):
    def made(word: str):
        @bench.gm.cached(ttl_s=60)
        async def say(x: int) -> str:
            return word

        return say

    assert (await made("one")(1), await made("two")(1), await made("one")(1)) == (
        "one",
        "two",
        "one",
    )


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value", [object(), (1,), {1: "a"}, {1, 2}, float("nan"), b"x", Text("x"), [[object()]]]
)
async def test_an_argument_that_is_no_json_is_named(bench, value):
    @bench.gm.cached(ttl_s=60)
    async def ask(question: str, thing: object) -> str:
        return question

    with pytest.raises(TypeError, match=r"`thing` is no JSON.*key="):
        await ask("a", value)


async def test_an_argument_that_contains_itself_is_no_json(bench):
    @bench.gm.cached(ttl_s=60)
    async def ask(thing: list[object]) -> str:
        return ""

    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="`thing` is no JSON"):
        await ask(endless)


async def test_a_key_decides_which_calls_are_equal(bench, counted):
    @bench.gm.cached(ttl_s=60, key=lambda thing, n: [type(thing).__name__, n])
    async def ask(thing: object, n: int) -> object:
        return await counted.run(n)

    await ask(object(), 1)
    await ask(object(), 1)
    await ask(object(), 2)
    assert counted.runs == [1, 2]


async def test_a_key_that_is_no_json_is_refused(bench):
    @bench.gm.cached(ttl_s=60, key=lambda thing: thing)
    async def ask(thing: object) -> str:
        return ""

    with pytest.raises(TypeError, match="`key` is no JSON"):
        await ask(object())


async def test_everybody_gets_the_type_that_the_function_says(bench):
    @bench.gm.cached(ttl_s=60)
    async def find(text: str) -> list[Found]:
        return [Found(text, 0.5)]

    @bench.gm.cached(ttl_s=60)
    async def pair():
        return (1, 2)

    assert await find("a") == await find("a") == [Found("a", 0.5)]
    assert await pair() == await pair() == [1, 2], "without an annotation, plain JSON"


async def test_a_result_that_is_no_json_is_said_so(bench):
    @bench.gm.cached(ttl_s=60)
    async def thing():
        return object()

    @bench.gm.cached(ttl_s=60, stale_s=60)
    async def wrong() -> int:
        return "text"

    for function in (thing, wrong):
        with pytest.raises(TypeError, match="cannot be kept as JSON"):
            await function()


async def test_an_annotation_that_is_not_there_at_run_time_is_refused(bench):
    async def ask() -> int:
        return 1

    ask.__annotations__["return"] = "Missing"
    with pytest.raises(TypeError, match=r"return annotation of .*ask does not exist"):
        bench.gm.cached(ttl_s=60)(ask)


async def test_only_the_annotation_of_the_result_has_to_be_there(bench):
    async def ask(x: int) -> int:
        return x

    ask.__annotations__["x"] = "Missing"
    assert await bench.gm.cached(ttl_s=60)(ask)(1) == 1


async def test_a_kept_value_of_an_earlier_version_is_a_miss(bench, counted):
    def version(annotation: object):
        async def ask():
            return await counted.run(7)

        ask.__annotations__["return"] = annotation
        return bench.gm.cached(ttl_s=60)(ask)

    assert await version(int)() == 7
    counted.runs.clear()
    with pytest.raises(TypeError):
        await version(str)()
    assert counted.runs == [7], "it was asked again"


async def test_a_confused_store_is_a_miss(bench, counted):
    @bench.gm.cached(ttl_s=60)
    async def ask() -> object:
        return await counted.run("x")

    await ask()
    entries = bench.home.lasting.answers._entries
    for key, (_, ends_s) in list(entries.items()):
        entries[key] = (b"\xff not ours", ends_s)
    assert await ask() == "x"
    assert len(counted.runs) == 2


async def test_a_large_result_is_given_and_not_kept(bench, counted):
    @bench.gm.cached(ttl_s=60)
    async def ask() -> object:
        return await counted.run("x" * bench.home.settings.cache.entry_bytes)

    await ask()
    await ask()
    assert len(counted.runs) == 2
    assert bench.numbers()["cache_too_large_total{}"] == 2


def test_what_is_wrong_is_said_when_the_function_is_decorated(bench):
    with pytest.raises(InvalidValue, match="ttl_s"):
        bench.gm.cached(ttl_s=0)
    with pytest.raises(InvalidValue, match="stale_s"):
        bench.gm.cached(ttl_s=1, stale_s=-1)
    with pytest.raises(InvalidType, match="stale_on"):
        bench.gm.cached(ttl_s=1, stale_on=OSError)
    with pytest.raises(TypeError, match="async def"):
        bench.gm.cached(ttl_s=1)(print)


async def test_a_variable_that_is_set_later_is_no_part_of_the_key(bench):
    @bench.gm.cached(ttl_s=60)
    async def ask() -> int:
        return later

    later = 3
    assert await functools.partial(ask)() == 3

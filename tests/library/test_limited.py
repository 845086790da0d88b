"""A function is called as often as it may be, and who is refused hears when to come back."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.errors import BudgetSpent, InvalidType, InvalidValue, RateLimited


async def outcomes(function, count: int) -> tuple[int, list[Exception]]:
    """How many of so many calls at once succeeded, and what the others failed with."""
    results = await asyncio.gather(*(function() for _ in range(count)), return_exceptions=True)
    failed = [each for each in results if isinstance(each, Exception)]
    return count - len(failed), failed


async def test_exactly_so_many_calls_pass_in_a_minute(bench):
    @bench.gm.limited(requests_per_minute=100, name="search")
    async def ask() -> None:
        await asyncio.sleep(0)

    passed, failed = await outcomes(ask, 250)
    assert passed == 100
    assert {type(each) for each in failed} == {RateLimited}
    error = failed[0]
    assert str(error).startswith("The function `search` may use 100 requests per minute.")
    assert 0 < error.retry_after_s <= 62
    assert bench.numbers()['limit_refusals_total{limit="requests",scope="model"}'] == 150
    bench.clock.advance(error.retry_after_s)
    await ask()


async def test_a_call_that_failed_has_used_its_turn(bench):
    @bench.gm.limited(requests_per_day=1)
    async def ask() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await ask()
    with pytest.raises(RateLimited, match="1 requests per day"):
        await ask()


async def test_no_more_calls_are_under_way_than_may_be(bench):
    running = most = 0

    @bench.gm.limited(concurrency=3, name="slow")
    async def ask() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    passed, failed = await outcomes(ask, 10)
    assert (passed, most) == (3, 3)
    assert str(failed[0]).startswith("The function `slow` may have 3 requests under way at once.")
    assert (await outcomes(ask, 3))[0] == 3, "their places are free again"


async def test_a_call_that_is_cancelled_gives_its_place_back(bench):
    @bench.gm.limited(concurrency=1)
    async def ask(event: asyncio.Event) -> None:
        await event.wait()

    call = asyncio.ensure_future(ask(asyncio.Event()))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    done = asyncio.Event()
    done.set()
    await ask(done)


async def test_a_call_waits_where_it_may(bench):
    @bench.gm.limited(requests_per_minute=2, wait_s=120)
    async def ask() -> float:
        return bench.clock.monotonic_s()

    times = [await ask() for _ in range(4)]
    assert times[:2] == [0, 0]
    assert all(59 < each <= 62 for each in times[2:])


async def test_a_wait_that_does_not_help_is_none(bench):
    @bench.gm.limited(requests_per_day=1, wait_s=5)
    async def ask() -> None:
        pass

    await ask()
    with pytest.raises(RateLimited):
        await ask()
    assert bench.pauses == []


async def test_a_wait_for_others_to_end_is_short_and_bounded(bench):
    release = asyncio.Event()

    @bench.gm.limited(concurrency=1, wait_s=1.0)
    async def ask(event: asyncio.Event) -> str:
        await event.wait()
        return "done"

    first = asyncio.ensure_future(ask(release))
    await asyncio.sleep(0)
    with pytest.raises(RateLimited):
        await ask(release)
    assert sum(bench.pauses) == pytest.approx(1.0)
    assert max(bench.pauses) <= 0.5

    second = asyncio.ensure_future(ask(release))
    await asyncio.sleep(0)
    release.set()
    assert await asyncio.gather(first, second) == ["done", "done"]


async def test_tokens_are_counted_by_the_arguments(bench):
    @bench.gm.limited(tokens_per_minute=100, tokens=len)
    async def ask(text: str) -> None:
        pass

    await ask("x" * 60)
    with pytest.raises(RateLimited, match="100 tokens per minute"):
        await ask("x" * 41)
    await ask("x" * 40)
    with pytest.raises(InvalidValue, match="more tokens than"):
        await ask("x" * 101)


async def test_money_is_exact_under_concurrency(bench):
    @bench.gm.limited(usd_per_day=0.10, usd=0.001, name="paid")
    async def ask() -> None:
        await asyncio.sleep(0)

    passed, failed = await outcomes(ask, 150)
    assert passed == 100
    assert {type(each) for each in failed} == {RateLimited}, "the money is held, not spent"
    with pytest.raises(BudgetSpent, match=r"The function `paid` has no room .* \$0\.10 per day"):
        await ask()
    bench.clock.advance(86_400)
    await ask()


async def test_all_budgets_hold_at_once(bench):
    @bench.gm.limited(
        usd_per_day=3, usd_per_week=4, usd_per_month=5, usd_total=2, usd=lambda usd: usd
    )
    async def ask(usd: float) -> None:
        pass

    await ask(2)
    with pytest.raises(BudgetSpent, match="in all"):
        await ask(0.5)


async def test_functions_of_one_name_share_its_limits(bench):
    @bench.gm.limited(requests_per_minute=1, name="shared")
    async def one() -> None:
        pass

    @bench.gm.limited(requests_per_minute=1, name="shared")
    async def two() -> None:
        pass

    @bench.gm.limited(requests_per_minute=1)
    async def other() -> None:
        pass

    await one()
    await other()
    with pytest.raises(RateLimited):
        await two()


async def test_what_one_call_takes_has_to_be_an_amount(bench):
    @bench.gm.limited(tokens_per_minute=10, tokens=lambda: -1)
    async def tokens() -> None:
        pass

    @bench.gm.limited(usd_per_day=1, usd=lambda: "1")
    async def words() -> None:
        pass

    @bench.gm.limited(usd_per_day=1, usd=float("nan"))
    async def nothing() -> None:
        pass

    with pytest.raises(InvalidValue, match="tokens must be"):
        await tokens()
    with pytest.raises(InvalidType, match="usd must be a number"):
        await words()
    with pytest.raises(InvalidValue, match="usd must be 0"):
        await nothing()


@pytest.mark.parametrize(
    ("limits", "error", "words"),
    [
        ({}, InvalidValue, "at least one limit"),
        ({"concurrency": None}, InvalidValue, "at least one limit"),
        ({"concurrency": 0}, InvalidValue, "concurrency must be 1"),
        ({"requests_per_day": "1"}, InvalidType, "requests_per_day must be a whole"),
        ({"usd_total": -1}, InvalidValue, "usd_total must be 0"),
        ({"usd_per_day": True}, InvalidType, "usd_per_day must be a number"),
        ({"requests_per_hour": 1}, TypeError, "no such limit: requests_per_hour"),
        ({"concurrency": 1, "wait_s": -1}, InvalidValue, "wait_s"),
    ],
)
def test_what_is_wrong_is_said_when_the_function_is_decorated(bench, limits, error, words):
    with pytest.raises(error, match=words):
        bench.gm.limited(**limits)

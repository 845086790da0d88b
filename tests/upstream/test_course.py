"""How often and where a call is tried: order, repeats, pauses, budgets, money."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

import msgspec
import pytest

from course_play import BODY, DOWN, GOOD, Always, always, asked, failure, lane_of, run, said
from gatemill.core.call import Target
from gatemill.core.errors import (
    BudgetSpent,
    GatemillError,
    Overloaded,
    RateLimited,
    UpstreamInterrupted,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gatemill.core.ports import Incoming
from gatemill.policy.breaker import BreakerSettings
from gatemill.upstream.attempt import attempt
from gatemill.upstream.lane import Lane, LaneSettings
from playbook import HELLO, ROLE, Scripted, Trying, call, event, target
from transports import Remembered


def living() -> set[int]:
    """The errors that somebody holds."""
    gc.collect()
    return {id(each) for each in gc.get_objects() if isinstance(each, GatemillError)}


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_what_a_failed_call_has_held_is_gone_with_it(status: int):
    # A failure's traceback holds the frame that holds the course: the collector has to see all of that ring.
    before = living()
    places = (always(said(status)), always(said(500), "b"))
    with suppress(GatemillError):
        await run(Trying(), *places)
    del places
    assert living() - before == set()


# --- What is repeated --------------------------------------------------------------------------------

# what the only target answers, calls it gets, what the caller hears
ONE_TARGET = [
    (said(400), 1, "upstream_invalid_request"),
    (said(401), 1, "upstream_auth_failed"),
    (said(402), 1, "insufficient_quota"),
    (said(403), 1, "upstream_auth_failed"),
    (said(404), 1, "upstream_error"),
    (said(408), 1, "upstream_timeout"),
    (said(413), 1, "request_too_large"),
    (said(422), 1, "upstream_invalid_request"),
    (said(400, "content_policy_violation"), 1, "content_policy_violation"),
    (said(400, "context_length_exceeded"), 1, "context_length_exceeded"),
    (said(429, "insufficient_quota"), 1, "insufficient_quota"),
    (said(429), 3, "rate_limit_exceeded"),
    (said(429, retry_after="3600"), 1, "rate_limit_exceeded"),
    (said(500), 3, "upstream_error"),
    (said(502), 3, "upstream_error"),
    (said(503), 3, "upstream_overloaded"),
    (said(503, retry_after="21"), 1, "upstream_overloaded"),
    (said(504), 1, "upstream_timeout"),
    (said(529), 3, "upstream_overloaded"),
    (Incoming(200, {}, b"<html>"), 1, "upstream_bad_reply"),
    (UpstreamUnreachable("refused"), 3, "upstream_unreachable"),
    (UpstreamTimeout("first_token_s"), 1, "upstream_timeout"),
    (UpstreamInterrupted("cut"), 1, "upstream_interrupted"),
    (Overloaded("no connection free"), 1, "overloaded"),
]


@pytest.mark.parametrize(
    ("answer", "calls", "code"),
    ONE_TARGET,
    ids=[f"{getattr(a, 'status', '')}-{code}" for a, _, code in ONE_TARGET],
)
@pytest.mark.parametrize("streams", [False, True])
async def test_only_what_is_safe_is_repeated(answer, calls, code, streams):
    place, trying, made = always(answer), Trying(), call(stream=streams)
    error = await failure(trying, place, made=made)
    assert (error.code, asked(place)) == (code, calls)
    assert [tried.error for tried in made.attempts] == [code] * calls
    assert [tried.number for tried in made.attempts] == list(range(1, calls + 1))
    assert len(trying.pauses) == calls - 1
    assert lane_of(place).in_flight == 0


async def test_a_repeat_that_succeeds_is_the_answer():
    made = call()
    reply = await run(Trying(), target(said(503), said(503), GOOD), made=made)
    assert reply.body == BODY
    assert [tried.error for tried in made.attempts] == ["upstream_overloaded"] * 2 + [""]


async def test_every_target_is_asked_before_one_is_asked_again():
    made, trying = call(), Trying()
    first, second = target(DOWN, GOOD), target(DOWN, name="b")
    await run(trying, first, second, made=made)
    assert trying.opened == ["a/m", "b/m", "a/m"]
    assert len(trying.pauses) == 1


async def test_the_target_that_failed_longest_ago_is_repeated_first():
    trying = Trying(attempts_max=5)
    await run(trying, target(DOWN, DOWN, GOOD), target(DOWN, DOWN, name="b"))
    assert trying.opened == ["a/m", "b/m", "a/m", "b/m", "a/m"]


async def test_three_attempts_are_the_most_over_all_targets():
    places = [always(DOWN, name) for name in "abcd"]
    error = await failure(Trying(), *places)
    assert [asked(place) for place in places] == [1, 1, 1, 0]
    assert error is DOWN


async def test_nothing_is_repeated_after_the_first_content():
    made = call(stream=True)
    source = Scripted(ROLE, HELLO)
    place, second = target(source, Scripted(ROLE, HELLO)), target(GOOD, name="b")
    reply = await run(Trying(), place, second, made=made)
    source.end(UpstreamInterrupted("cut"))
    sink = Remembered()
    assert reply.stream is not None
    reply.stream.attach(sink)
    assert isinstance(sink.closed[0], UpstreamInterrupted)
    assert (len(place.transport.asked), len(second.transport.asked)) == (1, 0)


async def test_a_failure_inside_a_stream_before_content_may_be_repeated_at_the_same_target():
    broken, whole = Scripted(ROLE, event(error={"message": "boom"})), Scripted(ROLE, HELLO)
    made = call(stream=True)
    reply = await run(Trying(), target(broken, whole), made=made)
    assert reply.stream is not None
    assert len(made.attempts) == 2


# --- Pauses ------------------------------------------------------------------------------------------


async def test_pauses_grow_and_are_random():
    trying = Trying(unit=0.5, attempts_max=4)
    await failure(trying, always(DOWN))
    assert trying.pauses == [0.125, 0.25, 0.5]


async def test_a_providers_retry_after_is_waited_for():
    trying = Trying()
    await run(trying, target(said(429, retry_after="7"), GOOD))
    assert trying.pauses == [7]


async def test_the_time_that_another_target_took_counts_towards_retry_after():
    trying = Trying(unit=0.0)

    class Slow(Always):
        async def exchange(self, *args) -> Incoming:
            trying.clock.advance(5)
            return await super().exchange(*args)

    slow = msgspec.structs.replace(target(name="b"), transport=Slow(said(401)))
    await run(trying, target(said(503, retry_after="7"), GOOD), slow)
    assert trying.pauses == [2]


async def test_the_shortest_pause_decides_who_is_repeated():
    trying = Trying()
    await run(trying, target(said(503, retry_after="7")), target(DOWN, GOOD, name="b"))
    assert trying.opened == ["a/m", "b/m", "b/m"]


async def test_a_retry_after_beyond_the_longest_is_told_to_the_caller():
    error = await failure(Trying(), always(said(429, retry_after="60")))
    assert error.retry_after_s == 60


async def test_a_pause_that_does_not_fit_the_deadline_is_not_made():
    trying = Trying()
    error = await failure(trying, always(said(503, retry_after="7")), made=call(deadline_s=7.0))
    assert (error.code, error.retry_after_s) == ("upstream_overloaded", 7)
    assert trying.pauses == []


# --- Retry budget ----------------------------------------------------------------------------------


# One breaker that leaves the provider alone, and one that never opens: then the budget is alone.
NEVER = BreakerSettings(attempts_min=1_000_000)


@pytest.mark.parametrize("answer", [said(503), said(500), DOWN, said(429)])
@pytest.mark.parametrize("breaker", [BreakerSettings(), NEVER], ids=["breaker", "no-breaker"])
async def test_two_thousand_requests_to_a_failing_provider_are_at_most_a_fifth_more(
    answer, breaker
):
    place, trying = always(answer, settings=LaneSettings(breaker=breaker)), Trying()
    for _ in range(40):
        done = await asyncio.gather(*(_error(trying, place) for _ in range(50)))
        assert all(done)
    assert 2000 <= asked(place) <= 1.2 * 2000 + 3
    numbers = lane_of(place).numbers(0)
    assert numbers.retries == asked(place) - 2000
    if breaker is NEVER:
        assert numbers.retries == 403
        assert numbers.retries_refused > 0


async def _error(trying: Trying, *places: Target) -> bool:
    try:
        await run(trying, *places, made=call(deadline_s=1e9))
    except GatemillError:
        return True
    return False


async def test_a_healthy_second_target_answers_two_thousand_requests_whatever_the_first_does():
    for answer in (said(503), said(429), said(401), DOWN, UpstreamTimeout("late"), said(500)):
        first, second, trying = always(answer), always(GOOD, "b"), Trying()
        for _ in range(40):
            done = await asyncio.gather(*(_error(trying, first, second) for _ in range(50)))
            assert not any(done)
        assert asked(first) <= 2000


async def test_a_fallback_needs_no_retry_budget():
    settings = LaneSettings(budget_share=0, budget_floor=0)
    second = target(GOOD, name="b", lane=Lane("b/m", settings, None))
    await run(Trying(), always(DOWN, "a", settings), second)
    assert await _error(Trying(), always(DOWN, "a", settings))


# --- Money -------------------------------------------------------------------------------------------


async def test_every_attempt_is_announced_and_all_but_the_first_are_asked_for():
    trying = Trying()
    await failure(trying, always(DOWN), always(DOWN, "b"))
    assert trying.opened == ["a/m", "b/m", "a/m"]
    assert trying.asked_more == ["b/m", "a/m"]


@pytest.mark.parametrize("refusal", [BudgetSpent("no money"), RateLimited("too many")])
async def test_a_further_attempt_that_is_refused_ends_with_the_last_failure(refusal):
    trying, made, second = Trying(), call(), always(GOOD, "b")
    trying.refusal = refusal
    assert await failure(trying, always(DOWN), second, made=made) is DOWN
    assert (asked(second), len(made.attempts)) == (0, 1)
    assert lane_of(second).in_flight == 0


async def test_nothing_is_announced_that_is_not_sent():
    trying = Trying()
    strict = target(GOOD, native=frozenset(), refuse_hints=True)
    broken = call(messages=[{"role": "user", "content": 5}])
    broken.operation = "messages"
    from gatemill.wire import messages

    with pytest.raises(GatemillError):
        await attempt([strict], messages, broken, trying.tries)
    assert trying.opened == []

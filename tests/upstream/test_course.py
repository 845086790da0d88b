"""How often and where a call is tried: order, repeats, pauses, budgets, queues, deadlines."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gatemill.core.call import Target
from gatemill.core.clock import FakeClock
from gatemill.core.errors import (
    BudgetSpent,
    CircuitOpen,
    DeadlineExceeded,
    GatemillError,
    Overloaded,
    QueueFull,
    RateLimited,
    UpstreamInterrupted,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gatemill.core.ports import Incoming
from gatemill.policy.breaker import CLOSED, OPEN, BreakerSettings
from gatemill.providers import openai
from gatemill.upstream.attempt import attempt
from gatemill.upstream.keys import KeyPool
from gatemill.upstream.lane import Lane, LaneSettings
from gatemill.wire import chat
from playbook import DONE, HELLO, ROLE, STOP, Scripted, Trying, call, event, target
from transports import Remembered

BODY = (
    b'{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}'
)
GOOD = Incoming(200, {}, BODY)
QUICK = LaneSettings(breaker=BreakerSettings(failures=1, window_s=60, open_s=10))
DOWN = UpstreamUnreachable("no")


def said(status: int, code: str | None = None, **headers: str) -> Incoming:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    body = msgspec.json.encode({"error": {"message": "no", "code": code}})
    return Incoming(status, names, body)


class Always:
    """A transport that gives the same answer for ever."""

    def __init__(self, answer: Incoming | Exception) -> None:
        self.answer = answer
        self.asked = 0

    async def exchange(self, out, timeouts, deadline_s) -> Incoming:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def open(self, out, timeouts, deadline_s) -> Incoming:
        return await self.exchange(out, timeouts, deadline_s)

    async def close(self) -> None: ...


class Held:
    """A transport that answers when it is told to."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked = 0

    async def exchange(self, out, timeouts, deadline_s) -> Incoming:
        self.asked += 1
        await self.gate.wait()
        return GOOD


def always(answer: Incoming | Exception, name: str = "a", settings: LaneSettings | None = None):
    lane = Lane(f"{name}/m", settings or LaneSettings(), None)
    return msgspec.structs.replace(target(name=name, lane=lane), transport=Always(answer))


def lane_of(place: Target) -> Lane:
    assert isinstance(place.lane, Lane)
    return place.lane


def asked(place: Target) -> int:
    return place.transport.asked


def opened(place: Target) -> Target:
    """The same target after it was ejected at the time 0."""
    slot = lane_of(place).enter(0, 1)
    assert slot is not None
    slot.end(DOWN, 0)
    assert lane_of(place).numbers(0).state == OPEN
    return place


async def run(trying: Trying, *places: Target, made=None):
    return await attempt(places, chat, made or call(), trying.tries)


async def failure(trying: Trying, *places: Target, made=None) -> GatemillError:
    with pytest.raises(GatemillError) as caught:
        await run(trying, *places, made=made)
    return caught.value


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


# --- Breakers ----------------------------------------------------------------------------------------


async def test_an_ejected_target_is_passed_over():
    first = opened(always(GOOD, settings=QUICK))
    await run(Trying(), first, target(GOOD, name="b"))
    assert asked(first) == 0


async def test_when_all_are_ejected_the_one_that_opens_first_is_tried_anyway():
    late = QUICK.breaker
    later = LaneSettings(breaker=msgspec.structs.replace(late, open_s=20))
    first = opened(always(GOOD, "a", later))
    second = opened(always(GOOD, "b", QUICK))
    await run(Trying(), first, second)
    assert (asked(first), asked(second)) == (0, 1)
    assert lane_of(second).numbers(0).state == OPEN, "it was no probe"


async def test_or_it_is_refused_where_the_settings_say_so():
    settings = msgspec.structs.replace(QUICK, last_target="refuse")
    places = [opened(always(GOOD, name, settings)) for name in "ab"]
    clock = FakeClock()
    clock.advance(4)
    made = call()
    error = await failure(Trying(clock), *places, made=made)
    assert type(error) is CircuitOpen
    assert error.retry_after_s == 6
    assert made.attempts == []


async def test_only_one_ejected_target_is_tried_anyway():
    places = [opened(always(DOWN, name, QUICK)) for name in "ab"]
    assert await failure(Trying(), *places) is DOWN
    assert [asked(place) for place in places] == [1, 0]


async def test_after_a_failed_probe_another_ejected_target_is_tried():
    first = opened(always(DOWN, "a", QUICK))
    clock = FakeClock()
    clock.advance(10)
    second = always(GOOD, "b", QUICK)
    slot = lane_of(second).enter(5, 100)
    assert slot is not None
    slot.end(DOWN, 5)
    await run(Trying(clock), first, second)
    assert (asked(first), asked(second)) == (1, 1)


async def test_no_ejected_target_is_tried_after_one_that_was_ready():
    first, second = always(UpstreamTimeout("late"), "a"), opened(always(GOOD, "b", QUICK))
    error = await failure(Trying(), first, second)
    assert error.code == "upstream_timeout"
    assert asked(second) == 0


async def test_a_target_that_this_call_has_ejected_is_not_repeated_while_it_is_open():
    place = always(DOWN, settings=QUICK)
    assert await failure(Trying(), place) is DOWN
    assert asked(place) == 1


async def test_an_ejected_target_without_room_is_no_place_to_go():
    settings = msgspec.structs.replace(QUICK, concurrency_max=1)
    place = opened(always(GOOD, settings=settings))
    lane_of(place).force(0, 1)
    assert type(await failure(Trying(), place)) is CircuitOpen


async def test_a_probe_that_the_caller_leaves_frees_the_probe():
    clock = FakeClock()
    clock.advance(10)
    place = opened(always(GOOD, settings=QUICK))
    hung = msgspec.structs.replace(place, transport=Held())
    task = asyncio.ensure_future(run(Trying(clock), hung))
    await asyncio.sleep(0)
    assert not lane_of(place).is_ready(10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lane_of(place).is_ready(10)
    await run(Trying(clock), place)
    assert lane_of(place).numbers(10).state == CLOSED


async def test_a_stream_is_a_success_when_it_has_ended_and_a_failure_when_it_is_cut():
    clock = FakeClock()
    clock.advance(10)
    source = Scripted(ROLE, HELLO)
    place = opened(target(source, lane=Lane("a/m", QUICK, None)))
    reply = await run(Trying(clock), place, made=call(stream=True))
    assert reply.stream is not None
    reply.stream.attach(Remembered())
    assert lane_of(place).in_flight == 1
    assert not lane_of(place).is_ready(10)
    source.say(STOP + DONE)
    source.end()
    numbers = lane_of(place).numbers(10)
    assert (numbers.state, numbers.in_flight) == (CLOSED, 0)

    cut = Scripted(ROLE, HELLO)
    reply = await run(
        Trying(clock),
        msgspec.structs.replace(place, transport=target(cut).transport),
        made=call(stream=True),
    )
    cut.end(UpstreamInterrupted("cut"))
    numbers = lane_of(place).numbers(10)
    assert (numbers.state, numbers.in_flight) == (OPEN, 0)


async def test_a_stream_whose_caller_leaves_frees_its_place_and_says_nothing():
    place = target(Scripted(ROLE, HELLO), lane=Lane("a/m", QUICK, None))
    reply = await run(Trying(), place, made=call(stream=True))
    assert reply.stream is not None
    reply.stream.abort()
    numbers = lane_of(place).numbers(0)
    assert (numbers.state, numbers.in_flight) == (CLOSED, 0)


async def test_a_fault_of_our_own_frees_the_place_and_the_probe():
    place = opened(always(RuntimeError("a bug"), settings=QUICK))
    clock = FakeClock()
    clock.advance(10)
    with pytest.raises(RuntimeError):
        await run(Trying(clock), place)
    assert lane_of(place).in_flight == 0
    assert lane_of(place).is_ready(10)


# --- Queues ------------------------------------------------------------------------------------------

NARROW = LaneSettings(concurrency_max=1, waiting_max=1, wait_s=5)


def full(name: str, settings: LaneSettings = NARROW) -> tuple[Target, Held]:
    held = Held()
    place = target(name=name, lane=Lane(f"{name}/m", settings, None))
    return msgspec.structs.replace(place, transport=held), held


async def test_a_target_with_room_is_taken_before_waiting_for_the_first():
    first, held = full("a")
    busy = asyncio.ensure_future(run(Trying(), first))
    await asyncio.sleep(0)
    second = always(GOOD, "b")
    await run(Trying(), first, second)
    assert (held.asked, asked(second)) == (1, 1)
    held.gate.set()
    await busy


async def test_a_call_waits_for_its_turn_instead_of_failing():
    place, held = full("a")
    tasks = [asyncio.ensure_future(run(Trying(), place)) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (held.asked, lane_of(place).waiting) == (1, 1)
    held.gate.set()
    for reply in await asyncio.gather(*tasks):
        assert reply.body == BODY
    assert (held.asked, lane_of(place).in_flight) == (2, 0)


async def test_when_every_queue_is_full_the_caller_hears_so():
    places = [full("a")[0], full("b")[0]]
    tasks = [asyncio.ensure_future(run(Trying(), *places)) for _ in range(4)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [lane_of(place).waiting for place in places] == [1, 1]
    made = call()
    error = await failure(Trying(), *places, made=made)
    assert (type(error), error.retry_after_s) == (QueueFull, 1)
    assert made.attempts == []
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [(lane_of(place).in_flight, lane_of(place).waiting) for place in places] == [(0, 0)] * 2


async def test_after_a_failure_a_full_queue_does_not_hide_it():
    busy, held = full("b", msgspec.structs.replace(NARROW, waiting_max=0))
    task = asyncio.ensure_future(run(Trying(), busy))
    await asyncio.sleep(0)
    assert (await failure(Trying(), always(said(401)), busy)).code == "upstream_auth_failed"
    held.gate.set()
    await task


async def test_a_call_that_leaves_while_it_waits_makes_no_attempt():
    place, held = full("a")
    first = asyncio.ensure_future(run(Trying(), place))
    await asyncio.sleep(0)
    made = call()
    second = asyncio.ensure_future(run(Trying(), place, made=made))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert (made.attempts, lane_of(place).waiting) == ([], 0)
    held.gate.set()
    await first


async def test_a_repeat_waits_for_its_turn_too():
    narrow = Lane("a/m", NARROW, None)
    place, trying = target(DOWN, GOOD, lane=narrow), Trying()
    other: list = []

    async def sleep(seconds: float) -> None:
        other.append(narrow.enter(0, 100))  # somebody else is quicker
        asyncio.get_running_loop().call_soon(lambda: other[0].end(None, 0))

    tries = msgspec.structs.replace(trying.tries, sleep=sleep)
    reply = await attempt([place], chat, call(), tries)
    assert reply.body == BODY
    assert other[0] is not None


async def test_a_repeat_that_finds_the_target_ejected_is_not_made():
    lane = Lane("a/m", LaneSettings(breaker=BreakerSettings(failures=2)), None)
    place, trying = target(DOWN, GOOD, lane=lane), Trying()

    async def sleep(seconds: float) -> None:
        slot = lane.enter(0, 100)
        assert slot is not None
        slot.end(DOWN, 0)

    tries = msgspec.structs.replace(trying.tries, sleep=sleep)
    with pytest.raises(UpstreamUnreachable):
        await attempt([place], chat, call(), tries)
    assert len(place.transport.asked) == 1


# --- Deadline ----------------------------------------------------------------------------------------


async def test_a_timeout_at_the_deadline_is_the_deadlines():
    trying = Trying()

    class Silent(Always):
        async def exchange(self, *args) -> Incoming:
            trying.clock.advance(2)
            raise UpstreamTimeout("total_s")

    place = msgspec.structs.replace(target(), transport=Silent(GOOD))
    second, made = always(GOOD, "b"), call(deadline_s=2.0)
    error = await failure(trying, place, second, made=made)
    assert type(error) is DeadlineExceeded
    assert [tried.error for tried in made.attempts] == ["deadline_exceeded"]
    assert asked(second) == 0


async def test_no_target_follows_after_the_deadline():
    trying = Trying()

    class Slow(Always):
        async def exchange(self, *args) -> Incoming:
            trying.clock.advance(2)
            return await super().exchange(*args)

    place = msgspec.structs.replace(target(), transport=Slow(said(503)))
    second, made = always(GOOD, "b"), call(deadline_s=2.0)
    assert type(await failure(trying, place, second, made=made)) is DeadlineExceeded
    assert asked(second) == 0


async def test_a_wait_in_the_queue_ends_with_the_deadline():
    place, held = full("a", msgspec.structs.replace(NARROW, wait_s=30))
    first = asyncio.ensure_future(run(Trying(), place))
    await asyncio.sleep(0)
    started_s = asyncio.get_running_loop().time()
    error = await failure(Trying(), place, made=call(deadline_s=0.02))
    assert type(error) is DeadlineExceeded
    assert asyncio.get_running_loop().time() - started_s < 5
    held.gate.set()
    await first


async def test_a_caller_who_leaves_during_a_pause_holds_nothing():
    trying, made = Trying(), call()
    paused = asyncio.Event()

    async def sleep(seconds: float) -> None:
        paused.set()
        await asyncio.get_running_loop().create_future()

    tries = msgspec.structs.replace(trying.tries, sleep=sleep)
    place = always(DOWN)
    task = asyncio.ensure_future(attempt([place], chat, made, tries))
    await paused.wait()
    assert lane_of(place).in_flight == 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(made.attempts) == 1


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


# --- Keys --------------------------------------------------------------------------------------------


def pooled(*answers, count: int = 3, name: str = "a"):
    secrets = [f"sk-secret-000{number}" for number in range(1, count + 1)]
    lane = Lane(f"{name}/m", LaneSettings(), KeyPool(name, secrets, openai.secret_headers))
    return target(*answers, name=name, lane=lane)


def keys_seen(place: Target) -> list[str]:
    return [dict(out.headers)["authorization"][-4:] for out in place.transport.asked]


@pytest.mark.parametrize("refusal", [said(401), said(402), said(403), said(429)])
async def test_the_next_key_is_tried_at_once(refusal):
    trying, place = Trying(), pooled(refusal, GOOD, GOOD)
    await run(trying, place)
    assert keys_seen(place) == ["0001", "0002"]
    assert trying.pauses == []
    numbers = lane_of(place).numbers(0)
    assert (numbers.retries, numbers.keys_resting) == (0, 1)
    await run(trying, place)
    assert keys_seen(place)[-1] == "0003"


async def test_the_last_attempt_goes_to_another_target_rather_than_to_one_more_key():
    place, second = pooled(said(401), said(401)), target(GOOD, name="b")
    await run(Trying(), place, second)
    assert keys_seen(place) == ["0001", "0002"]
    assert len(second.transport.asked) == 1


async def test_but_to_the_key_where_no_other_target_is_ready():
    place = pooled(said(401), said(401), GOOD)
    await run(Trying(), place)
    assert keys_seen(place) == ["0001", "0002", "0003"]


async def test_when_no_key_is_left_the_call_goes_on_to_the_next_target():
    place = pooled(said(401), count=1)
    await run(Trying(), place, target(GOOD, name="b"))
    assert keys_seen(place) == ["0001"]


async def test_a_limited_single_key_is_waited_for_as_long_as_the_provider_says():
    trying, place = Trying(), pooled(said(429, retry_after="4"), GOOD, count=1)
    await run(trying, place)
    assert trying.pauses == [4]


async def test_a_failure_that_is_not_the_keys_is_repeated_as_any_other():
    trying, place = Trying(), pooled(said(503), GOOD)
    await run(trying, place)
    assert len(trying.pauses) == 1
    assert lane_of(place).numbers(0).keys_resting == 0

"""What is particular to the engine in memory; what it shares with others is in tests/contract."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import gatemill
from gatemill.core.clock import FakeClock, SystemClock
from gatemill.core.limits import Budget, Hold, Kind, Limits, Refusal, Rule, Wanted, rules
from gatemill.kv.memory.limits import MemoryLimiter

_OURS = str(Path(gatemill.__file__).parent)
NOW_S = 1_795_608_000.0
REQUESTS = Rule("requests:key:a", Kind.REQUESTS, "key", "a", 10)
TOKENS = Rule("tokens:key:a", Kind.TOKENS, "key", "a", 100)
SEATS = Rule("concurrency:key:a", Kind.CONCURRENCY, "key", "a", 5)
FULL = rules(
    "key",
    "a",
    Limits(
        requests_per_minute=10**6,
        tokens_per_minute=10**9,
        concurrency=100,
        budgets=(Budget("day", 10**12), Budget("month", 10**12)),
    ),
)


async def _spent(rule, start_s, end_s):
    return 0


def _crossed(rule, start_s, spent_microusd, share):
    pass


def _limiter(clock=None):
    return MemoryLimiter(_spent, _crossed, clock or FakeClock(NOW_S))


def _wanted(hold_id="req_1", wanted_rules=FULL, tokens=0, cost=0, unix_s=NOW_S):
    return Wanted(hold_id, tuple(wanted_rules), tokens, cost, unix_s)


def _now(coroutine):
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


async def test_a_known_key_is_admitted_and_settled_in_few_calls_and_without_waiting():
    limiter = _limiter(SystemClock())
    for number in range(2):
        limiter.settle(await limiter.admit(_wanted(f"warm_{number}", tokens=9, cost=9)), 5, 5)
    wanted = _wanted(tokens=9, cost=9)
    calls = []

    def count(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith((_OURS, "<")):
            calls.append(frame.f_code.co_qualname)

    sys.setprofile(count)
    hold = _now(limiter.admit(wanted))
    limiter.settle(hold, 5, 5)
    sys.setprofile(None)
    # A slot of two seconds may have begun in between: two windows turn, three calls each.
    turned = [each for each in calls if each in ("Counters.find", "Counters.window", "Window.turn")]
    assert "MemoryLimiter.admit" in calls
    assert len(turned) <= 6
    assert len(calls) - len(turned) <= 12, calls


def test_after_the_clock_was_set_back_a_little_time_stands_still():
    clock = FakeClock(NOW_S)
    limiter = _limiter(clock)
    holds = [_now(limiter.admit(_wanted(str(n), [REQUESTS]))) for n in range(10)]
    clock.advance(-59)
    assert all(isinstance(each, Hold) for each in holds)
    refusal = _now(limiter.admit(_wanted("late", [REQUESTS])))
    assert isinstance(refusal, Refusal)
    clock.advance(59 + refusal.retry_after_s)
    assert isinstance(_now(limiter.admit(_wanted("again", [REQUESTS]))), Hold)


def test_after_the_clock_was_set_back_far_sliding_windows_begin_anew():
    clock = FakeClock(NOW_S)
    limiter = _limiter(clock)
    old = _now(limiter.admit(_wanted("old", [TOKENS, SEATS], tokens=100)))
    clock.advance(-3600)
    new = _now(limiter.admit(_wanted("new", [TOKENS, SEATS], tokens=100)))
    limiter.settle(old, 10, 0)
    assert isinstance(_now(limiter.admit(_wanted("more", [TOKENS], tokens=1))), Refusal)
    limiter.settle(new, 10, 0)
    (tokens, seats) = _now(limiter.levels([TOKENS, SEATS], NOW_S - 3600))
    assert (tokens.used, seats.held) == (10, 0)


def test_tokens_of_a_retry_after_more_than_a_minute_are_taken_anew():
    clock = FakeClock(NOW_S)
    limiter = _limiter(clock)
    hold = _now(limiter.admit(_wanted("long", [TOKENS], tokens=90)))
    clock.advance(120)
    assert _now(limiter.extend(hold, 90, 0)) is None
    assert hold.tokens == 180
    limiter.settle(hold, 50, 0)
    (level,) = _now(limiter.levels([TOKENS], NOW_S + 120))
    assert level.used == 50


def test_a_retry_finds_its_window_also_after_it_was_dropped():
    clock = FakeClock(NOW_S)
    limiter = _limiter(clock)
    hold = _now(limiter.admit(_wanted("long", [TOKENS, SEATS], tokens=90)))
    clock.advance(-3600)
    _now(limiter.peek(_wanted("look", [SEATS])))  # notices that the clock was set back
    assert _now(limiter.extend(hold, 60, 0)) is None
    assert isinstance(_now(limiter.admit(_wanted("more", [TOKENS], tokens=41))), Refusal)
    limiter.settle(hold, 10, 0)
    (level,) = _now(limiter.levels([TOKENS], NOW_S - 3600))
    assert level.used == 10


def test_refusals_overruns_and_second_settlements_are_counted():
    limiter = _limiter()
    hold = _now(limiter.admit(_wanted("a", [TOKENS, SEATS], tokens=100)))
    assert isinstance(_now(limiter.admit(_wanted("b", [TOKENS], tokens=1))), Refusal)
    assert isinstance(_now(limiter.extend(hold, 1, 0)), Refusal)
    limiter.settle(hold, 101, 0)
    limiter.settle(hold, 101, 0)
    limiter.settle(_now(limiter.admit(_wanted("c", []))), 0, 0)
    assert limiter.refused == {
        "concurrency": 0,
        "requests": 0,
        "requests_day": 0,
        "tokens": 2,
        "budget": 0,
    }
    assert (limiter.overruns, limiter.settled_twice, limiter.counters) == (1, 1, 2)


async def test_only_what_exceeds_a_rule_is_an_overrun():
    limiter = _limiter()
    soft = Rule("budget:key:a:total", Kind.BUDGET, "key", "a", 5, "total", hard=False)
    hold = await limiter.admit(_wanted("a", [TOKENS, soft], tokens=10, cost=1))
    limiter.settle(hold, 100, 9)
    assert limiter.overruns == 0


def test_a_settled_hold_takes_nothing_more():
    limiter = _limiter()
    hold = _now(limiter.admit(_wanted("a", [TOKENS], tokens=50)))
    limiter.settle(hold, 50, 0)
    assert _now(limiter.extend(hold, 40, 0)) is None
    (level,) = _now(limiter.levels([TOKENS], NOW_S))
    assert level.used == 50


def test_beyond_the_maximum_idle_counters_are_dropped():
    clock = FakeClock(NOW_S)
    limiter = MemoryLimiter(_spent, _crossed, clock, counters_max=20)
    for number in range(100):
        rule = Rule(f"requests:key:{number}", Kind.REQUESTS, "key", str(number), 5)
        _now(limiter.admit(_wanted(str(number), [rule])))
        clock.advance(10)  # seven of them count at any time
    assert limiter.counters == 20
    assert limiter.evicted == 80


async def test_when_the_first_to_ask_gives_up_the_second_asks_the_ledger_again():
    questions = []

    async def spent(rule, start_s, end_s):
        questions.append(asyncio.get_running_loop().create_future())
        return await questions[-1]

    limiter = MemoryLimiter(spent, _crossed, FakeClock(NOW_S))
    money = FULL[-2:-1]
    first, second = (
        asyncio.ensure_future(limiter.admit(_wanted(name, money, cost=5))) for name in "ab"
    )
    for _ in range(5):
        await asyncio.sleep(0)
    first.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert first.cancelled()
    questions[1].set_result(70)
    assert [each.used for each in (await second).standings] == [75]
    assert len(questions) == 2


async def test_closing_needs_nothing():
    await _limiter().close()

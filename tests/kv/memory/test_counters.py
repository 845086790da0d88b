"""The table of counters: windows that follow each other, one question, room for those in use."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.errors import LedgerUnavailable
from gatemill.core.limits import Kind, Rule
from gatemill.kv.memory.counters import Counters

DAY_S = 86_400.0
NOON_S = 19_700 * DAY_S + 43_200


class Ledger:
    """Answers when it is let."""

    def __init__(self):
        self.questions = []

    async def spent(self, rule, start_s, end_s):
        answer = asyncio.get_running_loop().create_future()
        self.questions.append(answer)
        return await answer


def _counters(spent=None, counters_max=1000, told=None):
    async def nothing(rule, start_s, end_s):
        return 0

    def crossed(*event):
        if told is not None:
            told.append(event)

    return Counters(spent or nothing, crossed, counters_max)


def _rule(kind, scope_id="a", **more):
    period = "day" if kind is Kind.BUDGET else ""
    return Rule(f"{kind.name}:{scope_id}", kind, "key", scope_id, 100, period, **more)


DAY = _rule(Kind.REQUESTS_DAY)
MONEY = _rule(Kind.BUDGET)


async def _passed():
    """Everything that can run has run."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_day_and_the_one_before_are_kept():
    counters = _counters()
    monday = counters.find(DAY, NOON_S)
    tuesday = counters.find(DAY, NOON_S + DAY_S)
    assert tuesday is not monday
    assert counters.find(DAY, NOON_S) is monday
    assert counters.find(DAY, NOON_S + DAY_S) is tuesday
    wednesday = counters.find(DAY, NOON_S + 2 * DAY_S)
    assert wednesday.before is tuesday
    assert tuesday.before is None
    assert len(counters.by_name) == 1


def test_a_request_of_yesterday_does_not_replace_today():
    counters = _counters()
    today = counters.find(DAY, NOON_S)
    yesterday = counters.find(DAY, NOON_S - DAY_S)
    assert counters.by_name[DAY.name] is today
    assert today.before is yesterday


async def test_windows_of_money_follow_each_other_too():
    counters = _counters()
    assert counters.find(MONEY, NOON_S) is None
    await counters.learn(MONEY, NOON_S)
    today = counters.find(MONEY, NOON_S)
    assert counters.find(MONEY, NOON_S + DAY_S) is None
    await counters.learn(MONEY, NOON_S + DAY_S)
    assert counters.find(MONEY, NOON_S + DAY_S).before is today
    assert counters.find(MONEY, NOON_S) is today


async def test_a_share_that_is_spent_already_is_told_when_the_window_becomes_known():
    async def spent(rule, start_s, end_s):
        return 85

    told = []
    counters = _counters(spent, told=told)
    rule = _rule(Kind.BUDGET, alert_at=(0.8, 1.0))
    await counters.learn(rule, NOON_S)
    assert told == [(rule, NOON_S - 43_200, 85, 0.8)]


async def test_everybody_hears_of_the_failure_of_the_one_question():
    ledger = Ledger()
    counters = _counters(ledger.spent)
    asking = [asyncio.ensure_future(counters.learn(MONEY, NOON_S)) for _ in range(3)]
    await _passed()
    ledger.questions[0].set_exception(LedgerUnavailable("away"))
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(each) for each in answers] == [LedgerUnavailable] * 3
    assert len(ledger.questions) == 1
    # Nothing is left of it: the next one asks again.
    again = asyncio.ensure_future(counters.learn(MONEY, NOON_S))
    await _passed()
    ledger.questions[1].set_result(7)
    await again
    assert counters.find(MONEY, NOON_S).spent == 7


async def test_when_the_asker_gives_up_the_others_look_again():
    ledger = Ledger()
    counters = _counters(ledger.spent)
    asker = asyncio.ensure_future(counters.learn(MONEY, NOON_S))
    await _passed()
    waiter = asyncio.ensure_future(counters.learn(MONEY, NOON_S))
    await _passed()
    asker.cancel()
    await _passed()
    assert asker.cancelled()
    assert waiter.done()
    assert counters.find(MONEY, NOON_S) is None


async def test_when_a_waiter_gives_up_the_question_goes_on():
    ledger = Ledger()
    counters = _counters(ledger.spent)
    asker = asyncio.ensure_future(counters.learn(MONEY, NOON_S))
    await _passed()
    waiters = [asyncio.ensure_future(counters.learn(MONEY, NOON_S)) for _ in range(2)]
    await _passed()
    waiters[0].cancel()
    await _passed()
    ledger.questions[0].set_result(9)
    await asyncio.gather(asker, waiters[1])
    assert counters.find(MONEY, NOON_S).spent == 9


def test_idle_counters_make_room():
    counters = _counters(counters_max=10)
    for number in range(30):
        counters.find(_rule(Kind.REQUESTS, str(number)), NOON_S)
    counters.evict(NOON_S + 61)
    assert len(counters.by_name) == 30  # all of them still count
    counters.evict(NOON_S + 62)
    counters.evict(NOON_S + 62)
    counters.evict(NOON_S + 62)
    assert len(counters.by_name) == 10
    assert counters.evicted == 20


@pytest.mark.parametrize("kind", [Kind.CONCURRENCY, Kind.REQUESTS_DAY])
def test_what_is_in_use_is_never_dropped(kind):
    counters = _counters(counters_max=2)
    for number in range(6):
        found = counters.find(_rule(kind, str(number)), NOON_S)
        if number % 2:
            found.take(1)
    for _ in range(5):
        counters.evict(NOON_S)
    assert sorted(counters.by_name) == [f"{kind.name}:{n}" for n in (1, 3, 5)]
    assert counters.evicted == 3


def test_no_counter_no_eviction():
    counters = _counters(counters_max=-1)
    counters.evict(NOON_S)
    assert counters.evicted == 0


def test_sliding_windows_can_begin_anew():
    counters = _counters(counters_max=0)
    window = counters.find(_rule(Kind.TOKENS), NOON_S)
    seats = counters.find(_rule(Kind.CONCURRENCY), NOON_S)
    counters.forget_windows()
    assert counters.find(_rule(Kind.CONCURRENCY), NOON_S) is seats
    counters.evict(NOON_S)  # the order of eviction has been made anew as well
    assert counters.evicted == 1
    assert counters.find(_rule(Kind.TOKENS), NOON_S - 7200) is not window

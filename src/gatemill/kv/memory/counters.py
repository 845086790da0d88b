"""The table of counters: made when first needed, replaced when their window ends, dropped when idle.

Rule: what counts is never dropped. Past COUNTERS_MAX, idle counters go, a few with each request;
when all are live the table grows, because exact limits come before memory (about 0.5 KB each).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from gatemill.core.errors import GatemillError
from gatemill.core.limits import Kind
from gatemill.policy import period
from gatemill.policy.purse import Purse
from gatemill.policy.tally import Tally
from gatemill.policy.window import SLOT_S, Window

if TYPE_CHECKING:
    from gatemill.core.limits import Crossed, Rule, Spent

Counter = Window | Tally | Purse
_Dated = TypeVar("_Dated", Tally, Purse)

COUNTERS_MAX = 200_000
_LOOKS = 16  # counters looked at with each request beyond the maximum


class Counters:
    """Counters by the name of their rule. A calendar rule keeps its window and the one before."""

    __slots__ = ("_asked", "_counters_max", "_crossed", "_order", "_spent", "by_name", "evicted")

    def __init__(self, spent: Spent, crossed: Crossed, counters_max: int) -> None:
        self.by_name: dict[str, Counter] = {}
        self.evicted = 0  # for metrics
        self._order: deque[str] = deque()  # names in the order in which they are looked at
        self._counters_max = counters_max
        self._spent = spent
        self._crossed = crossed
        # Questions to the ledger that are under way, by rule name and start: at most one for each.
        self._asked: dict[tuple[str, float], asyncio.Future[GatemillError | None]] = {}

    def find(self, rule: Rule, at_s: float) -> Counter | None:
        """The rule's counter for that Unix time; None when the ledger has to be asked (`learn`)."""
        found = self.by_name.get(rule.name)
        if rule.kind is Kind.BUDGET:
            assert found is None or isinstance(found, Purse)
            return covering(found, at_s)
        if rule.kind in (Kind.REQUESTS, Kind.TOKENS):
            return self.window(rule.name, at_s)
        assert found is None or isinstance(found, Tally)
        if rule.kind is Kind.REQUESTS_DAY:
            return covering(found, at_s) or self._day(rule.name, found, at_s)
        return found or self._added(rule.name, Tally(-math.inf, math.inf))

    def window(self, name: str, now_s: float) -> Window:
        """The sliding window of that name, up to date."""
        slot = int(now_s / SLOT_S)
        found = self.by_name.get(name)
        if found is None:
            found = Window(slot)
            self._added(name, found)
        assert isinstance(found, Window)
        found.turn(slot)
        return found

    async def learn(self, rule: Rule, unix_s: float) -> None:
        """The budget's window is known. Everybody who needs it meanwhile shares one question.

        Raises GatemillError when the ledger cannot say.
        """
        start_s = period.start_s(rule.period, unix_s)
        asked = self._asked.get((rule.name, start_s))
        if asked is not None:
            # If who asks is cancelled, there is no error and no answer: the caller looks again.
            error = await asyncio.shield(asked)
            if error is not None:
                raise error
            return
        answer = self._asked[rule.name, start_s] = asyncio.get_running_loop().create_future()
        failure: GatemillError | None = None
        try:
            end_s = period.end_s(rule.period, unix_s)
            spent = await self._spent(rule, start_s, end_s)
            self._place(rule, Purse(start_s, end_s, spent))
        except GatemillError as error:
            failure = error
            raise
        finally:
            del self._asked[rule.name, start_s]
            answer.set_result(failure)

    def tell(self, rule: Rule, purse: Purse) -> None:
        """Somebody hears of each alert share that the purse has reached."""
        for share in purse.reached(rule):
            self._crossed(rule, purse.from_s, purse.spent, share)

    def forget_windows(self) -> None:
        """Sliding windows begin anew. Requests under way settle in the old ones, which nobody reads."""
        windows = [name for name, each in self.by_name.items() if isinstance(each, Window)]
        for name in windows:
            del self.by_name[name]
        self._order = deque(self.by_name)

    def evict(self, now_s: float) -> None:
        """Up to a few idle counters are gone if there are too many."""
        for _ in range(min(_LOOKS, len(self._order))):
            if len(self.by_name) <= self._counters_max:
                return
            name = self._order.popleft()
            if self.by_name[name].is_idle(now_s):
                del self.by_name[name]
                self.evicted += 1
            else:
                self._order.append(name)

    def _day(self, name: str, found: Tally | None, at_s: float) -> Tally:
        day = Tally(period.start_s("day", at_s), period.end_s("day", at_s))
        if found is None:
            self._added(name, day)
        else:
            self.by_name[name] = _newer(found, day)
        return day

    def _place(self, rule: Rule, purse: Purse) -> None:
        found = self.by_name.get(rule.name)
        if found is None:
            self._added(rule.name, purse)
        else:
            assert isinstance(found, Purse)
            self.by_name[rule.name] = _newer(found, purse)
        self.tell(rule, purse)

    def _added(self, name: str, counter: Counter) -> Counter:
        self.by_name[name] = counter
        self._order.append(name)
        return counter


def covering(found: _Dated | None, at_s: float) -> _Dated | None:
    """The one of a rule's two windows in which `at_s` lies."""
    while found is not None and not found.from_s <= at_s < found.until_s:
        found = found.before
    return found


def _newer(one: _Dated, other: _Dated) -> _Dated:
    """The later of two windows of a rule, with the earlier one behind it and none behind that."""
    if one.from_s > other.from_s:
        one, other = other, one
    one.before = None
    other.before = one
    return other

"""Limits and budgets of one process. Rule: between looking and taking nothing else runs.

Sliding windows follow the clock; calendar windows follow the moment at which a request arrived.
Requests per day begin at 0 when the process starts; money begins with what the ledger says.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gatemill.core.limits import Hold, Kind, Level, Refusal, Standing
from gatemill.kv.memory.counters import COUNTERS_MAX, Counters, covering
from gatemill.policy import period
from gatemill.policy.purse import Purse
from gatemill.policy.tally import Tally
from gatemill.policy.window import SLOT_S, SPAN_S, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.clock import Clock
    from gatemill.core.limits import Crossed, Rule, Spent, Wanted
    from gatemill.kv.memory.counters import Counter

_BUSY_S = 1.0  # a guess: when a request under way ends, nobody knows
# Seconds after its last slot at which a sliding window is empty, by kind.
_FADES_S = (0.0, SPAN_S, 0.0, SPAN_S, 0.0)
_tuple = tuple.__new__  # makes a Standing without the Python call of its own constructor

# Slot of admission, tokens taken there, and the counters, in the order of the hold's rules.
_Opened = tuple[int, int, "list[Counter]"]


class MemoryLimiter:
    """Satisfies `core.ports.Limiter`. For one process: others do not see its counters."""

    __slots__ = (
        "_by_name",
        "_counters",
        "_counters_max",
        "_latest_s",
        "_open",
        "_spent",
        "_unix_s",
        "overruns",
        "refused",
        "settled_twice",
    )

    def __init__(
        self, spent: Spent, crossed: Crossed, clock: Clock, counters_max: int = COUNTERS_MAX
    ) -> None:
        self._counters = Counters(spent, crossed, counters_max)
        self._counters_max = counters_max
        self._by_name = self._counters.by_name
        self._spent = spent
        self._unix_s = clock.unix_s
        self._latest_s = 0.0
        self._open: dict[str, _Opened] = {}  # by hold; as many as requests are under way
        # For metrics.
        self.refused = {kind.name.lower(): 0 for kind in Kind}
        self.overruns = 0  # requests that used more than they asked for, beyond a rule's most
        self.settled_twice = 0  # bugs

    @property
    def counters(self) -> int:
        """Counters in memory."""
        return len(self._by_name)

    @property
    def evicted(self) -> int:
        """Idle counters that were dropped to make room."""
        return self._counters.evicted

    async def open(self) -> bool:
        """See the port. Nothing to do here."""
        return True

    async def admit(self, wanted: Wanted) -> Hold | Refusal:
        """See the port. Waits only for the ledger, when a budget's window is not known yet.

        Raises GatemillError when the ledger cannot say what was spent; nothing is consumed.
        """
        rules, tokens, cost = wanted.rules, wanted.tokens, wanted.cost_microusd
        if not rules:
            return Hold(wanted.hold_id, rules, tokens, cost, wanted.unix_s)
        now_s, found = self._find(rules, wanted.unix_s)
        if found is None:
            now_s, found = await self._learn(rules, wanted.unix_s)
        amounts = (1, 1, 1, tokens, cost)
        for rule, counter in zip(rules, found, strict=True):
            amount = amounts[rule.kind]
            if counter.used + amount > rule.most and amount and rule.hard:
                return self._counted(_refusal(rules, found, amounts, now_s))
        standings = []
        for rule, counter in zip(rules, found, strict=True):
            kind = rule.kind
            used = counter.take(amounts[kind])
            if kind:
                reset_s = counter.until_s + _FADES_S[kind] - now_s
                standings.append(_tuple(Standing, (rule, used, reset_s)))
        self._open[wanted.hold_id] = (int(now_s / SLOT_S), tokens, found)
        if len(self._by_name) > self._counters_max:
            self._counters.evict(now_s)
        return Hold(wanted.hold_id, rules, tokens, cost, wanted.unix_s, tuple(standings))

    async def extend(self, hold: Hold, tokens: int, cost_microusd: int) -> Refusal | None:
        """See the port. A hold without rules, or settled already, grows and takes nothing.

        Its tokens count from now on as if all of them were taken now.
        """
        opened = self._open.get(hold.id)
        if opened is not None:
            refusal = self._grow(hold, opened, tokens, cost_microusd)
            if refusal is not None:
                return self._counted(refusal)
        hold.tokens += tokens
        hold.cost_microusd += cost_microusd
        return None

    def settle(self, hold: Hold, tokens: int, cost_microusd: int) -> None:
        """See the port. A second time is counted and changes nothing."""
        opened = self._open.pop(hold.id, None)
        if opened is None:
            if hold.rules:
                self.settled_twice += 1
            return
        slot, taken, counters = opened
        held = hold.cost_microusd
        for rule, counter in zip(hold.rules, counters, strict=True):
            if isinstance(counter, Purse):
                if counter.settle(rule, held, cost_microusd):
                    self._counters.tell(rule, counter)
            elif isinstance(counter, Tally):
                if rule.kind is Kind.CONCURRENCY:
                    counter.used -= 1
            elif rule.kind is Kind.TOKENS:
                counter.settle(slot, taken, tokens)
        if tokens > taken or cost_microusd > held:
            self._count_overruns(hold.rules, counters)

    async def peek(self, wanted: Wanted) -> Hold | Refusal:
        """See the port. Waits and raises as `admit` does."""
        rules, tokens, cost = wanted.rules, wanted.tokens, wanted.cost_microusd
        now_s, found = self._find(rules, wanted.unix_s)
        if found is None:
            now_s, found = await self._learn(rules, wanted.unix_s)
        amounts = (1, 1, 1, tokens, cost)
        refusal = _refusal(rules, found, amounts, now_s)
        if refusal is not None:
            return refusal
        standings = tuple(
            Standing(
                rule, each.used + amounts[rule.kind], each.until_s + _FADES_S[rule.kind] - now_s
            )
            for rule, each in zip(rules, found, strict=True)
            if rule.kind
        )
        return Hold(wanted.hold_id, rules, tokens, cost, wanted.unix_s, standings)

    async def levels(self, rules: Sequence[Rule], unix_s: float) -> list[Level]:
        """See the port. In sliding windows the worst case of requests under way counts as used.

        Raises GatemillError when the ledger cannot say what was spent.
        """
        return [await self._level(rule, unix_s) for rule in rules]

    async def close(self) -> None:
        """See the port. Nothing to do here."""

    def _find(
        self, rules: tuple[Rule, ...], arrived_s: float
    ) -> tuple[float, list[Counter] | None]:
        """Unix time, and the rules' counters; None when the ledger has to be asked first."""
        now_s = self._unix_s()
        if now_s < self._latest_s:
            now_s = self._set_back(now_s)
        self._latest_s = now_s
        times = (now_s, now_s, arrived_s, now_s, arrived_s)
        by_name = self._by_name
        found = []
        for rule in rules:
            at_s = times[rule.kind]
            counter = by_name.get(rule.name)
            if counter is None or not counter.from_s <= at_s < counter.until_s:
                counter = self._counters.find(rule, at_s)
                if counter is None:
                    return now_s, None
            found.append(counter)
        return now_s, found

    def _set_back(self, now_s: float) -> float:
        """What counts as now, when the clock shows less than before.

        Up to a window's length the latest time stands still. Beyond that, standing still would
        refuse for too long: sliding windows begin anew, and one may hold twice its most, once.
        """
        if self._latest_s - now_s < SPAN_S:
            return self._latest_s
        self._counters.forget_windows()
        return now_s

    async def _learn(
        self, rules: tuple[Rule, ...], arrived_s: float
    ) -> tuple[float, list[Counter]]:
        """As `_find`, after the ledger has said what was spent in windows not known yet."""
        while True:
            for rule in rules:
                if rule.kind is Kind.BUDGET and self._counters.find(rule, arrived_s) is None:
                    await self._counters.learn(rule, arrived_s)
            now_s, found = self._find(rules, arrived_s)
            if found is not None:
                return now_s, found

    def _grow(self, hold: Hold, opened: _Opened, tokens: int, cost: int) -> Refusal | None:
        slot, taken, before = opened
        now_s, _ = self._find((), hold.unix_s)
        counters = before
        if tokens:
            # A window whose counts were all too old may have been dropped, and be another now.
            counters = [
                self._counters.window(rule.name, now_s) if rule.kind is Kind.TOKENS else counter
                for rule, counter in zip(hold.rules, before, strict=True)
            ]
        amounts = (0, 0, 0, tokens, cost)
        refusal = _refusal(hold.rules, counters, amounts, now_s, hold.cost_microusd)
        if refusal is not None:
            return refusal
        moved = 0
        for rule, counter, former in zip(hold.rules, counters, before, strict=True):
            amount = amounts[rule.kind]
            if amount:
                counter.take(amount)
                if counter is former and isinstance(counter, Window) and counter.move(slot, taken):
                    moved = taken
        if tokens:
            self._open[hold.id] = (int(now_s / SLOT_S), moved + tokens, counters)
        return None

    def _count_overruns(self, rules: tuple[Rule, ...], counters: list[Counter]) -> None:
        for rule, counter in zip(rules, counters, strict=True):
            if rule.kind >= Kind.TOKENS and rule.hard and counter.used > rule.most:
                self.overruns += 1

    def _counted(self, refusal: Refusal | None) -> Refusal:
        assert refusal is not None
        self.refused[refusal.rule.kind.name.lower()] += 1
        return refusal

    async def _level(self, rule: Rule, unix_s: float) -> Level:
        found = self._by_name.get(rule.name)
        if rule.kind is Kind.BUDGET:
            return await self._money(rule, unix_s)
        if rule.kind is Kind.REQUESTS_DAY:
            assert found is None or isinstance(found, Tally)
            day = covering(found, unix_s)
            starts_s, ends_s = period.start_s("day", unix_s), period.end_s("day", unix_s)
            return Level(rule, 0 if day is None else day.used, 0, starts_s, ends_s)
        if isinstance(found, Window):
            return Level(rule, found.used_at(int(unix_s / SLOT_S)), 0, 0.0, 0.0)
        return Level(rule, 0, 0 if found is None else found.used, 0.0, 0.0)

    async def _money(self, rule: Rule, unix_s: float) -> Level:
        """A budget's level. What has to be asked for it is not kept: many rules may be looked at."""
        starts_s, ends_s = period.start_s(rule.period, unix_s), period.end_s(rule.period, unix_s)
        spent = held = 0
        if self._counters.find(rule, unix_s) is None:
            spent = await self._spent(rule, starts_s, ends_s)
        # Looked up again: a request may have come meanwhile.
        purse = self._counters.find(rule, unix_s)
        if isinstance(purse, Purse):
            spent, held = purse.spent, purse.used - purse.spent
        return Level(rule, spent, held, starts_s, 0.0 if ends_s == math.inf else ends_s)


def _refusal(
    rules: tuple[Rule, ...],
    counters: list[Counter],
    amounts: tuple[int, ...],
    now_s: float,
    own_microusd: int = 0,
) -> Refusal | None:
    """The refusal with the longest wait; None when all have room. `own_microusd` is held already.

    What asks for nothing is not refused, also where a rule holds more than it may.
    """
    longest: Refusal | None = None
    for rule, counter in zip(rules, counters, strict=True):
        amount = amounts[rule.kind]
        if not amount or not rule.hard or counter.used + amount <= rule.most:
            continue
        by_holds = False
        if isinstance(counter, Window):
            wait_s = counter.wait_s(amount, rule.most, now_s)
        elif rule.kind is Kind.CONCURRENCY or (
            isinstance(counter, Purse) and counter.spent + own_microusd + amount <= rule.most
        ):
            by_holds, wait_s = True, _BUSY_S
        else:
            wait_s = max(0.0, counter.until_s - now_s)
        if longest is None or (wait_s, -rule.kind) > (longest.retry_after_s, -longest.rule.kind):
            longest = Refusal(rule, wait_s, by_holds=by_holds)
    return longest

"""Limits while Redis is away: this process's share, counted here.

Rule: the caller is told the true limits, money that must not be guessed is not, and what is spent here
is booked when Redis is back.

A share is a limit divided by the processes that were alive when Redis last answered, rounded up. Of a
hard budget it is what was left then, divided, or nothing: `when_away` decides. The local counters
begin at nothing, so in the minute in which Redis goes away a sliding limit can be used twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from gatemill.core.limits import Hold, Kind, Refusal, Wanted
from gatemill.policy import period

if TYPE_CHECKING:
    from gatemill.core.limits import Rule, Spent, Standing
    from gatemill.core.ports import Limiter
    from gatemill.kv.redis.packing import Packing

RETRY_S = 1.0  # the next probe of Redis may be answered by then


class LocalShare:
    """The degraded mode."""

    def __init__(self, local: Limiter, packing: Packing, spent: Spent, *, guesses: bool) -> None:
        """`local` must not count what the ledger holds: it begins at 0. `guesses`: hard budgets too."""
        self.members = 1  # processes alive when Redis last answered; written by the limiter
        self.refused = 0
        self._local = local
        self._packing = packing
        self._spent = spent
        self._guesses = guesses
        self._inner: dict[str, Hold] = {}  # what the local engine gave, by id of the hold
        self._episode = 0  # budgets are shared anew each time Redis goes away
        self._used: dict[str, int] | None = None  # of budgets, when Redis last answered
        self._shares: dict[int, tuple[tuple[Rule, ...], int, tuple[Rule, ...]]] = {}  # as _packing

    def forget(self) -> None:
        """Redis is back: the next time it goes away, shares are made anew."""
        self._episode += 1
        self._used = None
        self._shares.clear()
        for packed in self._packing.by_id.values():
            packed.used = []  # it does not know what was spent meanwhile

    async def admit(self, wanted: Wanted) -> Hold | Refusal:
        """As the port's `admit`. Raises GatemillError when the ledger cannot say what was spent."""
        return await self._ask(wanted, commits=True)

    async def peek(self, wanted: Wanted) -> Hold | Refusal:
        """As the port's `peek`."""
        return await self._ask(wanted, commits=False)

    async def extend(self, hold: Hold, tokens: int, cost_microusd: int) -> Refusal | None:
        """As the port's `extend`."""
        inner = self._inner.get(hold.id)
        if inner is not None:
            refusal = await self._local.extend(inner, tokens, cost_microusd)
            if refusal is not None:
                return refusal._replace(rule=_true(refusal.rule, inner.rules, hold.rules))
        hold.tokens += tokens
        hold.cost_microusd += cost_microusd
        return None

    def unguessed(self, rules: tuple[Rule, ...]) -> Refusal | None:
        """The refusal for the first rule that must not be guessed; it is counted."""
        if not self._guesses:
            for rule in rules:
                if rule.kind is Kind.BUDGET and rule.hard:
                    self.refused += 1
                    return Refusal(rule, RETRY_S, unavailable=True)
        return None

    def settle(self, hold: Hold, tokens: int, cost_microusd: int) -> bool:
        """As the port's `settle`; whether it was the first time."""
        inner = self._inner.pop(hold.id, None)
        if inner is None:
            return False
        self._local.settle(inner, tokens, cost_microusd)
        return True

    async def close(self) -> None:
        """The local engine is closed."""
        await self._local.close()

    async def _ask(self, wanted: Wanted, *, commits: bool) -> Hold | Refusal:
        refusal = self.unguessed(wanted.rules)
        if refusal is not None:
            return refusal
        rules = await self._shared(wanted.rules, wanted.unix_s)
        ours = Wanted(wanted.hold_id, rules, wanted.tokens, wanted.cost_microusd, wanted.unix_s)
        ask = self._local.admit if commits else self._local.peek
        answer = await ask(ours)
        if isinstance(answer, Refusal):
            return answer._replace(rule=_true(answer.rule, rules, wanted.rules))
        if commits:
            self._inner[answer.id] = answer
        seen = _standings(answer.standings, rules, wanted.rules)
        return Hold(
            answer.id,
            wanted.rules,
            answer.tokens,
            answer.cost_microusd,
            answer.unix_s,
            seen,
            local=True,
        )

    async def _shared(self, rules: tuple[Rule, ...], unix_s: float) -> tuple[Rule, ...]:
        day = int(unix_s // period.DAY_S)
        found = self._shares.get(id(rules))
        if found is not None and found[0] is rules and found[1] == day:
            return found[2]
        shared = tuple([await self._share(rule, unix_s) for rule in rules])
        if len(self._shares) >= len(self._packing.by_id) + 1024:
            self._shares.clear()
        self._shares[id(rules)] = (rules, day, shared)
        return shared

    async def _share(self, rule: Rule, unix_s: float) -> Rule:
        if rule.kind is not Kind.BUDGET:
            return structs.replace(rule, most=-(-rule.most // self.members))
        starts_s, ends_s = period.start_s(rule.period, unix_s), period.end_s(rule.period, unix_s)
        used = self._last_used(rule, starts_s)
        if used is None:
            used = await self._spent(rule, starts_s, ends_s)
        left = max(0, rule.most - used) // self.members
        # Another name each time: what was spent here before is in `used` by then.
        name = f"{rule.name}@{self._episode}"
        return structs.replace(rule, name=name, most=left, alert_at=())

    def _last_used(self, rule: Rule, starts_s: float) -> int | None:
        if self._used is None:
            self._used = {}
            for packed in self._packing.by_id.values():
                for each, start_s, used in zip(
                    packed.rules, packed.starts_s, packed.used, strict=False
                ):
                    if each.kind is Kind.BUDGET:
                        name = _window(each, start_s)
                        self._used[name] = max(used, self._used.get(name, 0))
        return self._used.get(_window(rule, starts_s))


def _window(rule: Rule, starts_s: float) -> str:
    return f"{rule.name}:{starts_s:.0f}"


def _true(rule: Rule, shared: tuple[Rule, ...], rules: tuple[Rule, ...]) -> Rule:
    return rules[next(place for place, each in enumerate(shared) if each is rule)]


def _standings(
    standings: tuple[Standing, ...], shared: tuple[Rule, ...], rules: tuple[Rule, ...]
) -> tuple[Standing, ...]:
    """The standings under the true rules: as much is used as leaves what the share leaves."""
    found = []
    for each in standings:
        rule = _true(each.rule, shared, rules)
        found.append(each._replace(rule=rule, used=max(each.used, rule.most - each.remaining)))
    return tuple(found)

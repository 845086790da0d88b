"""The words of admission: what is limited, what a request asks for, and what it was given.

Rule: data only. `policy` decides, an engine of `kv` keeps the numbers, `gateway/admit.py` asks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct


class Budget(Struct, frozen=True):
    """Money that one scope may spend in one calendar period (UTC)."""

    period: str  # "day", "week" (from Monday), "month" or "total"
    limit_microusd: int
    hard: bool = True  # False: nothing is refused, crossing it only alerts
    alert_at: tuple[float, ...] = (0.8, 1.0)  # shares of the limit at which somebody is told


class Limits(Struct, frozen=True, omit_defaults=True):
    """What one key, user, team or model may do; None is unlimited."""

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    budgets: tuple[Budget, ...] = ()  # at most one for each period


UNLIMITED = Limits()


class Kind(IntEnum):
    """What a rule counts. The order is that in which a refusal is looked for."""

    CONCURRENCY = 0  # requests under way
    REQUESTS = 1  # in any 60 seconds
    REQUESTS_DAY = 2  # in a calendar day, UTC
    TOKENS = 3  # in any 60 seconds, prompt and answer
    BUDGET = 4  # micro-dollars in a calendar period, UTC


class Rule(Struct, frozen=True):
    """One bound on one counter. Made when a key or the configuration changes, and used for every request."""

    name: str  # of the counter, without its window: "requests:key:ab12", "budget:team:core:month"
    kind: Kind
    scope: str  # "key", "user", "team" or "model"
    scope_id: str
    most: int  # requests, tokens or micro-dollars
    period: str = ""  # of a budget
    hard: bool = True
    alert_at: tuple[float, ...] = ()
    is_gone: bool = False  # a budget that was taken away is counted on, in case it comes back


class Wanted(Struct, gc=False):
    """What one request asks of all its rules at once."""

    hold_id: str  # the request's id: unique
    rules: tuple[Rule, ...]
    tokens: int  # worst case: prompt and answer
    cost_microusd: int  # worst case
    unix_s: float  # when the request arrived; it decides which calendar window is charged


class Standing(NamedTuple):
    """Where a rule stands after a request was taken or refused."""

    rule: Rule
    used: int  # spent and held
    reset_s: float  # seconds until the counter is as good as new

    @property
    def remaining(self) -> int:
        """What is left; never below 0."""
        return max(0, self.rule.most - self.used)


class Hold(Struct, gc=False):
    """What a request was given. It is settled exactly once."""

    id: str
    rules: tuple[Rule, ...]
    tokens: int
    cost_microusd: int
    unix_s: float
    standings: tuple[Standing, ...] = ()  # of all rules but concurrency, after this request
    local: bool = False  # taken from this process's own share, because the shared store was away


class Refusal(NamedTuple):
    """Why a request was not admitted. Nothing was consumed."""

    rule: Rule
    retry_after_s: float  # the earliest time at which the same request could pass
    # The rest is only held by requests under way: a short wait may free it.
    by_holds: bool = False
    unavailable: bool = False  # the shared store is away and this rule must not be guessed


class Level(NamedTuple):
    """The state of one rule, for people."""

    rule: Rule
    used: int  # settled: spent micro-dollars, or requests and tokens in the window
    held: int  # reserved by requests under way
    starts_s: float  # Unix time at which the window began; 0 for sliding windows and totals
    ends_s: float  # Unix time at which a calendar window ends; 0 where none does


def rules(scope: str, scope_id: str, limits: Limits) -> tuple[Rule, ...]:
    """The rules of one scope."""
    plain = (
        (Kind.CONCURRENCY, "concurrency", limits.concurrency),
        (Kind.REQUESTS, "requests", limits.requests_per_minute),
        (Kind.REQUESTS_DAY, "requests_day", limits.requests_per_day),
        (Kind.TOKENS, "tokens", limits.tokens_per_minute),
    )
    found = [
        Rule(f"{name}:{scope}:{scope_id}", kind, scope, scope_id, most)
        for kind, name, most in plain
        if most is not None
    ]
    for each in limits.budgets:
        name = f"budget:{scope}:{scope_id}:{each.period}"
        found.append(
            Rule(
                name,
                Kind.BUDGET,
                scope,
                scope_id,
                each.limit_microusd,
                each.period,
                each.hard,
                each.alert_at,
            )
        )
    return tuple(found)


def merged(own: Limits, default: Limits) -> Limits:
    """`own`, with `default` where it says nothing; budgets by period."""
    said = {each.period for each in own.budgets}
    return Limits(
        requests_per_minute=_first(own.requests_per_minute, default.requests_per_minute),
        requests_per_day=_first(own.requests_per_day, default.requests_per_day),
        tokens_per_minute=_first(own.tokens_per_minute, default.tokens_per_minute),
        concurrency=_first(own.concurrency, default.concurrency),
        budgets=(*own.budgets, *(each for each in default.budgets if each.period not in said)),
    )


def _first(own: int | None, default: int | None) -> int | None:
    return default if own is None else own


Spent = Callable[[Rule, float, float], Awaitable[int]]
"""Micro-dollars that the ledger holds for a rule's scope, of requests that arrived in [start, end),
Unix time. Raises GatemillError when the ledger cannot say."""

Crossed = Callable[[Rule, float, int, float], None]
"""Told once per window and share by each process: the rule, the window's start (Unix time), the
micro-dollars spent, and the share of `rule.alert_at` that they reach. Must not raise."""

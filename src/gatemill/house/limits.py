"""Limits of the settings -> admission, and the engine that counts.

Rule: an engine outlives a reload, because what it counts does.
"""

from __future__ import annotations

import asyncio
import random
from importlib import import_module
from typing import TYPE_CHECKING, Any

import structlog

from gatemill.core import ids
from gatemill.core.limits import Budget, Limits
from gatemill.core.tasks import spawn
from gatemill.gateway.admit import Admission, Reserve
from gatemill.kv.memory.limits import MemoryLimiter
from gatemill.ledger.alerts import Alert

if TYPE_CHECKING:
    from decimal import Decimal

    from gatemill.core.clock import Clock
    from gatemill.core.limits import Crossed, Rule
    from gatemill.core.ports import Limiter
    from gatemill.ledger.ledger import Ledger
    from gatemill.settings.admission import Allowance
    from gatemill.settings.model import Settings

PERIODS = ("day", "week", "month", "total")


def limits_of(allowance: Allowance) -> Limits:
    """The limits that an allowance of the settings means."""
    budgets = []
    for period in PERIODS:
        budget = getattr(allowance.budgets, period)
        if budget is not None:
            budgets.append(Budget(period, microusd_of(budget.usd), budget.hard, budget.alert_at))
    return Limits(
        requests_per_minute=allowance.requests_per_minute,
        requests_per_day=allowance.requests_per_day,
        tokens_per_minute=allowance.tokens_per_minute,
        concurrency=allowance.concurrency,
        budgets=tuple(budgets),
    )


def microusd_of(usd: Decimal) -> int:
    """Dollars with at most six decimals as micro-dollars."""
    return int(usd * 1_000_000)


def admission_of(
    settings: Settings, limiter: Limiter, former: Admission | None = None
) -> Admission:
    """Stage 4 of the gateway; `former` is that of before a reload."""
    reserve = settings.reserve
    made = Admission(
        limiter,
        limits_of(settings.limits.default),
        Reserve(reserve.output_tokens, reserve.image_tokens, reserve.wait_s),
        asyncio.sleep,
        random.random,
    )
    if former is not None:
        made.adopt(former)
    return made


def limiter_of(settings: Settings, ledger: Ledger, clock: Clock) -> Limiter:
    """The engine that `stores.counters` names. Raises InvalidValue when its package is missing."""

    async def spent(rule: Rule, start_s: float, end_s: float) -> int:
        return await ledger.spent(rule.scope, rule.scope_id, start_s, end_s)

    crossed = crossing(ledger, clock)
    if settings.stores.counters == "memory":
        return MemoryLimiter(spent, crossed, clock)
    redis: Any = import_module("gatemill.kv.redis.limits")
    identity = redis.Identity(
        process_id=ids.sequence("p_")(clock.unix_s()),
        guesses=settings.stores.when_away == "share",
    )
    # While Redis is away, this counts our share: from 0, and nobody is told.
    local = MemoryLimiter(_nothing_spent, _nobody_told, clock)
    made: Limiter = redis.limiter(settings.stores.counters, local, clock, spent, crossed, identity)
    return made


async def _nothing_spent(rule: Rule, start_s: float, end_s: float) -> int:
    return 0


def _nobody_told(rule: Rule, window_start_s: float, spent_microusd: int, share: float) -> None:
    pass


def crossing(ledger: Ledger, clock: Clock) -> Crossed:
    """Called when a budget reaches one of its shares; the ledger remembers that somebody is told."""

    def crossed(rule: Rule, window_start_s: float, spent_microusd: int, share: float) -> None:
        alert = Alert(
            scope=rule.scope,
            scope_id=rule.scope_id,
            period=rule.period,
            window_start_s=window_start_s,
            share=share,
            limit_microusd=rule.most,
            spent_microusd=spent_microusd,
            created_s=clock.unix_s(),
        )
        spawn(_remember(ledger, alert), "budget-alert")

    return crossed


async def _remember(ledger: Ledger, alert: Alert) -> None:
    if await ledger.alerts.add_alert(alert):
        structlog.get_logger().warning(
            "budget_reached",
            scope=alert.scope,
            id=alert.scope_id,
            period=alert.period,
            share=alert.share,
            limit_microusd=alert.limit_microusd,
            spent_microusd=alert.spent_microusd,
        )

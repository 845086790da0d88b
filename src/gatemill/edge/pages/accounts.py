"""What pages about keys, users and teams have in common: limits, budgets, use by day.

Rule: money is micro-dollars; what a budget has spent is asked of the engine that refuses by it.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from gatemill.core.limits import Kind
from gatemill.edge.admin.keys import state
from gatemill.gateway import standing
from gatemill.wire import guard_uses, limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.limits import Level, Limits, Rule
    from gatemill.edge.pages.frame import Data, Visit
    from gatemill.ledger.keys import ListedKey

DAYS = 30
_DAY_S = 86_400
_MODELS_MAX = 8  # in a chart; the others are one


async def levels(visit: Visit, rules: Sequence[Rule]) -> list[Data]:
    """Where each rule stands, budgets first."""
    found = await visit.gateway.admission.limiter.levels(list(rules), visit.now_s)
    told = [_level(level, visit.now_s) for level in found]
    return sorted(told, key=lambda each: not each["is_budget"])


def _level(level: Level, now_s: float) -> Data:
    rule, ends_s = level.rule, level.ends_s
    is_over = 0 < ends_s < math.inf
    spent = level.used + level.held
    return {
        "scope": rule.scope,
        "id": rule.scope_id,
        "name": standing.name_of(rule),
        "is_budget": rule.kind is Kind.BUDGET,
        "period": rule.period,
        "hard": rule.hard,
        "most": rule.most,
        "used": level.used,
        "held": level.held,
        "share": spent / rule.most if rule.most else 1.0,
        "ends": ends_s if is_over else None,
        "projected": _projected(level, now_s) if is_over else None,
    }


def _projected(level: Level, now_s: float) -> int | None:
    """What is spent when the window ends, if it goes on so; None in its first minutes."""
    gone_s, whole_s = now_s - level.starts_s, level.ends_s - level.starts_s
    return int(level.used * whole_s / gone_s) if gone_s > 600 else None


def key(visit: Visit, one: ListedKey) -> Data:
    """A key for people; without its budgets' state."""
    found = one.key
    return {
        "id": found.id,
        "name": found.name,
        "state": state(found, visit.now_s),
        "user_id": found.user_id,
        "team_id": found.team_id,
        "models": list(found.models),
        "scopes": list(found.scopes),
        "admin": found.admin,
        "limits": limits.shown(found.limits),
        "limits_words": limits.words(found.limits),
        "guards": guard_uses.shown(found.guards),
        "guards_words": guard_uses.words(found.guards),
        "created_at": found.created_s,
        "expires_at": found.expires_s,
        "revoked_at": found.revoked_s,
        "last_used_at": one.last_used_s,
    }


def limited(own: Limits) -> Data:
    """Limits as the API takes them, and in words."""
    return {"limits": limits.shown(own), "limits_words": limits.words(own)}


async def use(visit: Visit, scope: str, scope_id: str) -> Data:
    """The last 30 days of a key, user or team: by day, and by model."""
    await visit.ledger.flushed()
    today_s = int(visit.now_s) // _DAY_S * _DAY_S
    times = [today_s - _DAY_S * back for back in range(DAYS - 1, -1, -1)]
    lines = await visit.ledger.reports.days(scope, scope_id, times[0])
    by_day = {start_s: list(found) for start_s, found in groupby(lines, lambda line: line.start_s)}
    # Of models that cost nothing, requests say more.
    has_cost = any(line.cost_microusd for line in lines)
    models: Counter[str] = Counter()
    for line in lines:
        models[line.model] += line.cost_microusd if has_cost else line.requests
    most = [{"name": name, "value": value} for name, value in models.most_common(_MODELS_MAX)]
    days = [by_day.get(start_s, []) for start_s in times]
    return {
        "times": times,
        "requests": [sum(line.requests for line in day) for day in days],
        "cost": [sum(line.cost_microusd for line in day) for day in days],
        "total": {
            "requests": sum(line.requests for line in lines),
            "failed": sum(line.failed for line in lines),
            "prompt_tokens": sum(line.prompt_tokens for line in lines),
            "completion_tokens": sum(line.completion_tokens for line in lines),
            "cost_microusd": sum(line.cost_microusd for line in lines),
            "unpriced": sum(line.unpriced for line in lines),
        },
        "models": most,
        "models_by": "cost" if has_cost else "requests",
        "models_left_out": max(0, len(models) - _MODELS_MAX),
    }

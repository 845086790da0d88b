"""/api/v1/budgets and /api/v1/limits: what is limited, what of it is used, what is left.

Rule: the same rules as admission asks, read from the same engine; looking takes nothing.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import InvalidValue, NotFound
from gatemill.core.limits import Kind, rules
from gatemill.edge.admin.bodies import LIST_MAX, Asked
from gatemill.gateway import standing
from gatemill.wire.limits import usd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gatemill.core.call import Key
    from gatemill.core.limits import Level, Rule
    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.application import Application
    from gatemill.gateway.parts import Gateway
    from gatemill.ledger.ledger import Ledger

SCOPES = ("key", "user", "team", "model")


def add(app: Application, clerk: Clerk) -> None:
    """The routes."""

    async def budgets(request: Request) -> Response:
        asked = Asked(request, "scope", "id", "limit")
        scope, scope_id = asked.word("scope", "", *SCOPES), asked.text("id")
        limit = asked.limit()
        if scope_id and not scope:
            raise InvalidValue("`scope`: send it too, to say whose id it is.", param="scope")
        found = await all_rules(clerk, scope, scope_id)
        budgets = [rule for rule in found if rule.kind is Kind.BUDGET][: limit + 1]
        levels = await clerk.gateway.admission.limiter.levels(budgets[:limit], clerk.now_s)
        listed = [_budget(level) for level in levels]
        return clerk.listing([*listed, *budgets[limit:]], limit)

    async def limits(request: Request) -> Response:
        asked = Asked(request, "key")
        key, key_id = clerk.scope(request, asked.text("key"))
        if key_id not in ("", key.id):
            key = (await clerk.ledger.get_key(key_id)).key
        gateway = clerk.gateway
        found = [*rules_of(gateway, key), *_of_models(gateway, key)]
        levels = await gateway.admission.limiter.levels(found, clerk.now_s)
        return clerk.answer(
            {
                "object": "limits",
                "key": key.id,
                "data": [
                    _budget(level) if level.rule.kind is Kind.BUDGET else _limit(level)
                    for level in levels
                ],
            }
        )

    app.add_api_route("/api/v1/budgets", budgets, methods=["GET"], **describe.route("budgets"))
    app.add_api_route("/api/v1/limits", limits, methods=["GET"], **describe.route("limits"))


def rules_of(gateway: Gateway, key: Key) -> list[Rule]:
    """What a key, its user and its team may do; what `limits.default` says is in it."""
    for route in chain(gateway.routes.exact.values(), gateway.routes.patterns):
        bundle = gateway.admission.bundle(key, route)
        return [rule for rule in bundle.rules if rule.scope != "model" and not rule.is_gone]
    return []  # no model, nothing to limit


def _of_models(gateway: Gateway, key: Key) -> list[Rule]:
    """The limits of the models that a key may call, as a whole."""
    return [rule for route in gateway.routes.visible(key).values() for rule in route.rules]


async def all_rules(clerk: Clerk, scope: str, scope_id: str) -> list[Rule]:
    """The rules of one scope or of all: all of its ids, or one. Raises NotFound."""
    ledger, gateway = clerk.ledger, clerk.gateway
    found: list[Rule] = []
    if scope in ("", "key"):
        keys = await _keys(clerk, scope_id)
        found += [rule for key in keys for rule in rules_of(gateway, key) if rule.scope == "key"]
    if scope in ("", "user", "team"):
        found += await _people(ledger, scope, scope_id)
    if scope in ("", "model"):
        routes = chain(gateway.routes.exact.values(), gateway.routes.patterns)
        named = [route for route in routes if scope_id in ("", route.name)]
        if scope_id and not named:
            raise NotFound("There is no such model. GET /v1/models lists the names.", param="id")
        found += [rule for route in named for rule in route.rules]
    return found


async def _keys(clerk: Clerk, key_id: str) -> Iterable[Key]:
    """The live keys, the newest first; or one of any state. Raises NotFound."""
    if key_id:
        return [(await clerk.ledger.get_key(key_id)).key]
    now_s = clerk.now_s
    found = [one.key for one in await clerk.ledger.list_keys(LIST_MAX)]
    ends = [(key, (key.revoked_s, key.expires_s)) for key in found]
    return [key for key, times in ends if all(at_s is None or at_s > now_s for at_s in times)]


async def _people(ledger: Ledger, scope: str, scope_id: str) -> list[Rule]:
    people = ledger.people
    found: list[Rule] = []
    if scope in ("", "user"):
        users = [await people.get_user(scope_id)] if scope_id else await people.list_users(LIST_MAX)
        found += [rule for user in users for rule in rules("user", user.id, user.limits)]
    if scope in ("", "team"):
        teams = [await people.get_team(scope_id)] if scope_id else await people.list_teams(LIST_MAX)
        found += [rule for team in teams for rule in rules("team", team.id, team.limits)]
    return found


def _budget(level: Level) -> dict[str, Any]:
    rule = level.rule
    return {
        "object": "budget",
        "scope": rule.scope,
        "id": rule.scope_id,
        "period": rule.period,
        "limit_usd": usd(rule.most),
        "spent_usd": usd(level.used),
        "held_usd": usd(level.held),
        "left_usd": usd(max(0, rule.most - level.used - level.held)),
        "hard": rule.hard,
        "alert_at": list(rule.alert_at),
        "starts_at": int(level.starts_s),
        "ends_at": int(level.ends_s) if 0 < level.ends_s < math.inf else None,
    }


def _limit(level: Level) -> dict[str, Any]:
    rule = level.rule
    return {
        "object": "limit",
        "scope": rule.scope,
        "id": rule.scope_id,
        "limit": standing.name_of(rule),
        "most": rule.most,
        "used": level.used,
        "held": level.held,
        "left": max(0, rule.most - level.used - level.held),
    }

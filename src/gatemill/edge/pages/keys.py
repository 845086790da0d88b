"""/ui/keys: who may call what, and for how much. Rule: a secret is in the answer that makes it, never in a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gatemill.core import scopes
from gatemill.core.limits import Kind
from gatemill.edge.admin.budgets import rules_of
from gatemill.edge.admin.keys import GRACE_S
from gatemill.edge.pages import accounts
from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.ledger.keys import Search
from gatemill.ledger.requests import place

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.ledger.keys import ListedKey

LIMIT = 50
NAMES_MAX = 500  # of users and teams that a form offers
_STATES = ("live", "ended", "all")
_KEYS = "/ui/keys"


async def _list(visit: Visit) -> Data:
    asked = visit.asked
    chosen = asked.word("state", *_STATES)
    words = asked.text("q").strip()
    wanted = Search(LIMIT + 1, visit.now_s, words, state="" if chosen == "all" else chosen)
    found = await page(visit, wanted)
    return {
        "asked": {"q": words, "state": chosen},
        "states": list(_STATES),
        **found,
        **await _choices(visit),
    }


async def page(visit: Visit, wanted: Search) -> Data:
    """Keys with their budgets, as far as a page has room; the place where the next one begins."""
    before = visit.asked.text("before")
    where = place(before, "before") if before else None
    if where is not None:
        wanted = replace(wanted, before_s=where.at_s, before_id=where.attempt_id)
    found = await visit.ledger.reports.keys(wanted)
    shown = found[:LIMIT]
    last = shown[-1].key if len(found) > LIMIT else None
    return {
        "keys": await _with_budgets(visit, shown),
        "older": None if last is None else f"{last.created_s!r}_{last.id}",
        "is_first": where is None,
    }


async def _with_budgets(visit: Visit, found: list[ListedKey]) -> list[Data]:
    rules = [
        rule
        for one in found
        for rule in rules_of(visit.gateway, one.key)
        if rule.scope == "key" and rule.kind is Kind.BUDGET
    ]
    budgets = await accounts.levels(visit, rules)
    return [
        accounts.key(visit, one)
        | {"budgets": [each for each in budgets if each["id"] == one.key.id]}
        for one in found
    ]


async def _choices(visit: Visit) -> Data:
    """What the form for a new key offers."""
    people = visit.ledger.people
    return {
        "choices": {
            "users": [one.id for one in await people.list_users(NAMES_MAX)],
            "teams": [one.id for one in await people.list_teams(NAMES_MAX)],
            "models": sorted(visit.gateway.routes.exact),
            "scopes": [each for each in scopes.ALL if visit.key.may(each)],
            "default_scopes": list(scopes.DEFAULT),
        }
    }


async def _one(visit: Visit, key_id: str) -> Data:
    one = await visit.ledger.get_key(key_id)
    rules = rules_of(visit.gateway, one.key)
    return {
        "title": f"Key {one.key.name}",
        "key": accounts.key(visit, one) | {"own_team_id": await _own_team(visit, one.key)},
        "levels": await accounts.levels(visit, rules),
        "use": await accounts.use(visit, "key", key_id),
        "grace_s": GRACE_S,
        **await _choices(visit),
    }


async def _own_team(visit: Visit, key: Key) -> str:
    """The team that a key has beside that of its user."""
    if key.user_id and (await visit.ledger.people.get_user(key.user_id)).team_id == key.team_id:
        return ""
    return key.team_id


PAGE = Page(_KEYS, "Keys", "keys.html", _list, ("q", "state", "before"))
DETAIL = Page(f"{_KEYS}/{{key_id}}", "Key", "key.html", _one, hidden=True)

"""/ui/teams and /ui/users: whose keys these are, and what they may spend together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.limits import Kind, rules
from gatemill.edge.pages import accounts, keys
from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.ledger.keys import Search
from gatemill.wire import guard_uses

if TYPE_CHECKING:
    from gatemill.core.limits import Limits
    from gatemill.ledger.teams import Team
    from gatemill.ledger.users import User

LIMIT = 500
_TEAMS, _USERS = "/ui/teams", "/ui/users"


async def _teams(visit: Visit) -> Data:
    found = await visit.ledger.people.list_teams(LIMIT + 1)
    shown = [_team(one) for one in found[:LIMIT]]
    return {"people": await _with_budgets(visit, "team", shown, found), "more": len(found) > LIMIT}


async def _users(visit: Visit) -> Data:
    found = await visit.ledger.people.list_users(LIMIT + 1)
    shown = [_user(one) for one in found[:LIMIT]]
    people = await _with_budgets(visit, "user", shown, found)
    return {"people": people, "more": len(found) > LIMIT, "teams": await _team_ids(visit)}


async def _team_page(visit: Visit, team_id: str) -> Data:
    team = await visit.ledger.people.get_team(team_id)
    users = await visit.ledger.people.list_users(LIMIT)
    return {
        "title": f"Team {team.name}",
        "one": _team(team),
        "users": [_user(one) for one in users if one.team_id == team_id],
        **await _account(visit, "team", team_id, team.limits),
        **await keys.page(visit, Search(keys.LIMIT + 1, visit.now_s, team=team_id, state="live")),
    }


async def _user_page(visit: Visit, user_id: str) -> Data:
    user = await visit.ledger.people.get_user(user_id)
    return {
        "title": f"User {user.name}",
        "one": _user(user),
        "teams": await _team_ids(visit),
        **await _account(visit, "user", user_id, user.limits),
        **await keys.page(visit, Search(keys.LIMIT + 1, visit.now_s, user=user_id, state="live")),
    }


async def _account(visit: Visit, scope: str, scope_id: str, own: Limits) -> Data:
    return {
        "levels": await accounts.levels(visit, rules(scope, scope_id, own)),
        "use": await accounts.use(visit, scope, scope_id),
    }


async def _with_budgets(
    visit: Visit, scope: str, shown: list[Data], found: list[Team] | list[User]
) -> list[Data]:
    told = [
        rule
        for one in found[:LIMIT]
        for rule in rules(scope, one.id, one.limits)
        if rule.kind is Kind.BUDGET
    ]
    budgets = await accounts.levels(visit, told)
    return [
        each | {"budgets": [one for one in budgets if one["id"] == each["id"]]} for each in shown
    ]


async def _team_ids(visit: Visit) -> list[str]:
    return [one.id for one in await visit.ledger.people.list_teams(LIMIT)]


def _team(one: Team) -> Data:
    return {
        "id": one.id,
        "name": one.name,
        "guards": guard_uses.shown(one.guards),
        "guards_words": guard_uses.words(one.guards),
        "created_at": one.created_s,
        **accounts.limited(one.limits),
    }


def _user(one: User) -> Data:
    return {
        "id": one.id,
        "name": one.name,
        "team_id": one.team_id,
        "created_at": one.created_s,
        **accounts.limited(one.limits),
    }


TEAMS = Page(_TEAMS, "Teams", "teams.html", _teams)
TEAM = Page(f"{_TEAMS}/{{team_id}}", "Team", "team.html", _team_page, ("before",), hidden=True)
USERS = Page(_USERS, "Users", "users.html", _users)
USER = Page(f"{_USERS}/{{user_id}}", "User", "user.html", _user_page, ("before",), hidden=True)

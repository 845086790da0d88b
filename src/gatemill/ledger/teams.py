"""Teams in the database. Rule: a team that somebody belongs to stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import Conflict, InvalidValue, NotFound
from gatemill.core.guard import NOTHING, Uses
from gatemill.core.limits import UNLIMITED, Limits
from gatemill.ledger import audit, guards, limits, names, queries

if TYPE_CHECKING:
    from gatemill.ledger.database import Database

TEAMS_MAX = 10_000

_SQL = queries.load("people")
_INSERT = _SQL["insert_team"]
_READ = _SQL["read_team"]
_UPDATE = _SQL["update_team"]
_DELETE = _SQL["delete_team"]
_LIST = _SQL["list_teams"]
_COUNT = _SQL["count_teams"]
_COUNT_MEMBERS = _SQL["count_members"]


class Team(Struct, frozen=True):
    """Users and keys with limits in common."""

    id: str
    name: str
    limits: Limits = UNLIMITED
    created_s: float = 0.0  # Unix time
    guards: Uses = NOTHING


def create(database: Database, team: Team, actor: str) -> Team:
    """The team, stored. Raises Conflict and InvalidValue."""
    row = _row(team)
    with audit.changing(database):
        if find(database, team.id) is not None:
            raise Conflict(f"There is a team {team.id} already. Choose another id.", param="id")
        if database.rows(_COUNT)[0]["rows"] >= TEAMS_MAX:
            raise InvalidValue(f"There are {TEAMS_MAX} teams. Delete some first.", param="id")
        database.run(_INSERT, row)
        detail = {"name": team.name, "limits": team.limits}
        entry = audit.Entry(team.created_s, actor, "create", "team", team.id, detail)
        audit.add(database, entry)
    return team


def update(
    database: Database, team_id: str, changes: dict[str, Any], now_s: float, actor: str
) -> Team:
    """The team with new values of `name` or `limits`. Raises NotFound and InvalidValue."""
    with audit.changing(database):
        old = read(database, team_id)
        new = limits.replaced(old, changes)
        row = _row(new)
        row.pop("created_s")
        database.run(_UPDATE, row)
        if detail := audit.difference(old, new):
            audit.add(database, audit.Entry(now_s, actor, "update", "team", team_id, detail))
    return new


def delete(database: Database, team_id: str, now_s: float, actor: str) -> None:
    """The team is gone. Raises NotFound, and Conflict while it has users or live keys."""
    with audit.changing(database):
        old = read(database, team_id)
        members = database.rows(_COUNT_MEMBERS, {"id": team_id, "now_s": now_s})[0]
        if members["users"] or members["keys"]:
            raise Conflict(
                f"The team {team_id} has {members['users']} users and {members['keys']} live keys of"
                " its own. Move or end them first.",
                param="id",
            )
        database.run(_DELETE, {"id": team_id})
        audit.add(
            database, audit.Entry(now_s, actor, "delete", "team", team_id, {"name": old.name})
        )


def read(database: Database, team_id: str) -> Team:
    """A team. Raises NotFound."""
    found = find(database, team_id)
    if found is None:
        raise NotFound(
            "There is no team with this id. `gatemill teams ls` shows the ids.", param="id"
        )
    return found


def find(database: Database, team_id: str) -> Team | None:
    """A team, None when there is none."""
    rows = database.rows(_READ, {"id": team_id})
    return _team(rows[0]) if rows else None


def check(database: Database, team_id: str) -> None:
    """Raises InvalidValue when somebody is to belong to a team that does not exist; "" is none."""
    if team_id and find(database, team_id) is None:
        raise InvalidValue(
            "There is no team with this id. Create it first: gatemill teams create ID.",
            param="team_id",
        )


def listed(database: Database, limit: int) -> list[Team]:
    """Teams in the order of their ids."""
    return [_team(row) for row in database.rows(_LIST, {"limit": min(limit, TEAMS_MAX)})]


def _team(row: dict[str, Any]) -> Team:
    return Team(
        row["id"],
        row["name"],
        limits.decode(row["limits"]),
        row["created_s"],
        guards.decode(row["guards"]),
    )


def _row(team: Team) -> dict[str, Any]:
    names.check_id(team.id, "team")
    names.check_name(team.name, "team")
    return msgspec.structs.asdict(team) | {
        "limits": limits.encode(team.limits),
        "guards": guards.encode(team.guards),
    }

"""Users in the database: people or programs that hold keys. Rule: who holds a live key stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import Conflict, InvalidValue, NotFound
from gatemill.core.limits import UNLIMITED, Limits
from gatemill.ledger import audit, limits, names, queries, teams

if TYPE_CHECKING:
    from gatemill.ledger.database import Database

USERS_MAX = 100_000

_SQL = queries.load("people")
_INSERT = _SQL["insert_user"]
_READ = _SQL["read_user"]
_UPDATE = _SQL["update_user"]
_DELETE = _SQL["delete_user"]
_LIST = _SQL["list_users"]
_COUNT = _SQL["count_users"]
_COUNT_KEYS = _SQL["count_user_keys"]


class User(Struct, frozen=True):
    """Whoever holds keys."""

    id: str
    name: str
    team_id: str = ""  # "" belongs to no team
    limits: Limits = UNLIMITED
    created_s: float = 0.0  # Unix time


def create(database: Database, user: User, actor: str) -> User:
    """The user, stored. Raises Conflict and InvalidValue."""
    row = _row(user)
    with audit.changing(database):
        if find(database, user.id) is not None:
            raise Conflict(f"There is a user {user.id} already. Choose another id.", param="id")
        if database.rows(_COUNT)[0]["rows"] >= USERS_MAX:
            raise InvalidValue(f"There are {USERS_MAX} users. Delete some first.", param="id")
        teams.check(database, user.team_id)
        database.run(_INSERT, row)
        detail = {"name": user.name, "team_id": user.team_id, "limits": user.limits}
        entry = audit.Entry(user.created_s, actor, "create", "user", user.id, detail)
        audit.add(database, entry)
    return user


def update(
    database: Database, user_id: str, changes: dict[str, Any], now_s: float, actor: str
) -> User:
    """The user with new values of `name`, `team_id` or `limits`. Raises NotFound and InvalidValue."""
    with audit.changing(database):
        old = read(database, user_id)
        new = limits.replaced(old, changes)
        row = _row(new)
        row.pop("created_s")
        if new.team_id != old.team_id:
            teams.check(database, new.team_id)
        database.run(_UPDATE, row)
        if detail := audit.difference(old, new):
            audit.add(database, audit.Entry(now_s, actor, "update", "user", user_id, detail))
    return new


def delete(database: Database, user_id: str, now_s: float, actor: str) -> None:
    """The user is gone. Raises NotFound, and Conflict while they hold live keys."""
    with audit.changing(database):
        old = read(database, user_id)
        live = database.rows(_COUNT_KEYS, {"id": user_id, "now_s": now_s})[0]["keys"]
        if live:
            raise Conflict(
                f"The user {user_id} holds {live} live keys. Revoke them or give them to another"
                " user first.",
                param="id",
            )
        database.run(_DELETE, {"id": user_id})
        audit.add(
            database, audit.Entry(now_s, actor, "delete", "user", user_id, {"name": old.name})
        )


def read(database: Database, user_id: str) -> User:
    """A user. Raises NotFound."""
    found = find(database, user_id)
    if found is None:
        raise NotFound(
            "There is no user with this id. `gatemill users ls` shows the ids.", param="id"
        )
    return found


def find(database: Database, user_id: str) -> User | None:
    """A user, None when there is none."""
    rows = database.rows(_READ, {"id": user_id})
    return _user(rows[0]) if rows else None


def check(database: Database, user_id: str) -> None:
    """Raises InvalidValue when a key is to belong to a user who does not exist; "" is nobody."""
    if user_id and find(database, user_id) is None:
        raise InvalidValue(
            "There is no user with this id. Create it first: gatemill users create ID.",
            param="user_id",
        )


def listed(database: Database, limit: int) -> list[User]:
    """Users in the order of their ids."""
    return [_user(row) for row in database.rows(_LIST, {"limit": min(limit, USERS_MAX)})]


def _user(row: dict[str, Any]) -> User:
    own = limits.decode(row["limits"])
    return User(row["id"], row["name"], row["team_id"], own, row["created_s"])


def _row(user: User) -> dict[str, Any]:
    names.check_id(user.id, "user")
    names.check_name(user.name, "user")
    return msgspec.structs.asdict(user) | {"limits": limits.encode(user.limits)}

"""What changes the registry.

Rule: each change is one transaction inside `audit.changing`, which is the lock, with its entry in the
audit log and a new revision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.errors import Conflict, InvalidValue
from gatemill.ledger import audit, queries, registry_rows, revisions, teams
from gatemill.ledger.registry_rows import ALIASES_MAX, MODELS_MAX, VERSIONS_MAX, Alias, Model, Moved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.ledger.database import Database
    from gatemill.ledger.registry_rows import Move, NewVersion, Version

ROOM = "registry"
VERSIONS_MAX_OF_ONE = 500
CONTENT_BYTES_MAX = 64 << 20  # that all versions which are not archived hold together

_SQL = queries.load("registry")


def create(database: Database, row: dict[str, Any]) -> Model:
    """A name without versions. Raises Conflict, and InvalidValue for a team that is not there."""
    with audit.changing(database):
        teams.check(database, row["team_id"])
        if database.rows(_SQL["count_models"])[0]["rows"] >= MODELS_MAX:
            raise Conflict(f"There are {MODELS_MAX} names. Delete one first.", param="name")
        if not database.run(_SQL["insert_model"], row):
            raise Conflict(
                f"There is a `{row['name']}` in the registry already. Choose another name, or add a"
                " version to it.",
                param="name",
            )
        detail = {name: row[name] for name in ("task", "description", "team_id")}
        _note(database, (row["kind"], row["name"]), "create", detail, (row["actor"], row["now_s"]))
        return registry_rows.model(database, row["name"])


def give(database: Database, name: str, team_id: str, actor: str, now_s: float) -> Model:
    """The prompt belongs to the team; "" is everybody. Raises NotFound and InvalidValue."""
    with audit.changing(database):
        old = registry_rows.model(database, name)
        if old.kind != "prompt":
            raise InvalidValue(
                f"`{name}` is a {old.kind}: keys name the models that they may use. Change the keys.",
                param="team_id",
            )
        teams.check(database, team_id)
        if team_id != old.team_id:
            database.run(_SQL["move_model"], {"name": name, "team_id": team_id})
            detail = {"team_id": [old.team_id, team_id]}
            _note(database, (old.kind, name), "update", detail, (actor, now_s))
        return registry_rows.model(database, name)


def add(database: Database, name: str, new: NewVersion, who: tuple[str, float, bool]) -> Version:
    """The next version. Raises NotFound and Conflict."""
    actor, now_s, once = who
    with audit.changing(database):
        model = registry_rows.model(database, name)
        if once and (found := database.rows(_SQL["same_source"], _source(name, new))):
            return registry_rows.version(database, name, found[0]["version"])
        size = len(new.template.encode()) + len(new.weights)
        _check_room(database, name, size)
        database.run(_SQL["next_version"], {"name": name})
        number = registry_rows.model(database, name).versions
        row = msgspec.structs.asdict(new)
        for field in ("options", "params", "metrics"):
            row[field] = msgspec.json.encode(row[field]).decode()
        row |= {"model": name, "version": number, "size": size, "digest": new.sha256}
        row |= {"now_s": now_s, "actor": actor}
        database.run(_SQL["insert_version"], row)
        detail = {"version": number, "source": new.source, "sha256": new.sha256}
        _note(database, (model.kind, name), "add_version", detail, (actor, now_s))
        return registry_rows.version(database, name, number)


def _source(name: str, new: NewVersion) -> dict[str, Any]:
    return {"model": name, "source": new.source}


def _check_room(database: Database, name: str, size: int) -> None:
    amounts = database.rows(_SQL["live_amounts"], {"model": name})[0]
    full = ""
    if amounts["own"] >= VERSIONS_MAX_OF_ONE:
        full = f"`{name}` has {VERSIONS_MAX_OF_ONE} versions"
    elif amounts["rows"] >= VERSIONS_MAX:
        full = f"There are {VERSIONS_MAX} versions in the registry"
    elif amounts["bytes"] + size > CONTENT_BYTES_MAX:
        full = f"The versions in the registry would hold more than {CONTENT_BYTES_MAX} bytes"
    if full:
        raise Conflict(f"{full}. Archive some first: DELETE /v1/models/NAME/versions/N.")


def set_(database: Database, move: Move, version: int, now_s: float) -> Moved:
    """The alias points to the version. Raises NotFound and Conflict."""
    with audit.changing(database):
        registry_rows.live_version(database, move.model, version)
        current = registry_rows.find_alias(database, move.model, move.alias)
        _check_current(move, current)
        if current is not None and current.version == version:
            return Moved(move.alias, version, version)  # a repeated request changes nothing
        if current is None:
            count = database.rows(_SQL["count_aliases"], {"model": move.model})[0]["rows"]
            if count >= ALIASES_MAX:
                raise Conflict(
                    f"`{move.model}` has {ALIASES_MAX} aliases. Delete one first.", param="alias"
                )
        before = current.version if current else 0
        event_id = _tell(database, move, "set", (before, version), now_s)
        _point(database, move, (version, event_id), now_s)
    return Moved(move.alias, version, before)


def rollback(database: Database, move: Move, version: int, now_s: float) -> Moved:
    """The alias points to the version before, which must be `version`. Raises NotFound and Conflict."""
    with audit.changing(database):
        current = registry_rows.alias_of(database, move.model, move.alias)
        _check_current(move, current)
        earlier = registry_rows.earlier(database, current)
        if earlier.to_version != version:
            raise Conflict(
                f"`{move.model}@{move.alias}` was moved by somebody else just now. Look, and try again.",
                param="alias",
            )
        registry_rows.live_version(database, move.model, version)
        _tell(database, move, "rollback", (current.version, version), now_s)
        _point(database, move, (version, earlier.id), now_s)
    return Moved(move.alias, version, current.version)


def drop_alias(database: Database, move: Move, now_s: float) -> Moved:
    """The alias is gone. Raises NotFound and Conflict."""
    with audit.changing(database):
        current = registry_rows.alias_of(database, move.model, move.alias)
        _check_current(move, current)
        _tell(database, move, "delete", (current.version, 0), now_s)
        database.run(_SQL["delete_alias"], {"model": move.model, "alias": move.alias})
    return Moved(move.alias, 0, current.version)


def archive(
    database: Database, which: tuple[str, int], reason: str, actor: str, now_s: float
) -> Version:
    """The version is no longer served. Raises NotFound and Conflict."""
    name, number = which
    with audit.changing(database):
        model = registry_rows.model(database, name)
        registry_rows.version(database, name, number)
        where = {"model": name, "version": number, "nothing": b""}
        aliases: Sequence[dict[str, Any]] = database.rows(_SQL["aliases_of_version"], where)
        if aliases:
            names = ", ".join(f"{name}@{row['alias']}" for row in aliases)
            raise Conflict(
                f"Version {number} is what {names} means. Move the alias first.", param="version"
            )
        if database.run(_SQL["archive_version"], where):
            detail = {"version": number, "reason": reason}
            _note(database, (model.kind, name), "archive_version", detail, (actor, now_s))
        return registry_rows.version(database, name, number)


def delete(database: Database, name: str, reason: str, actor: str, now_s: float) -> None:
    """The name is gone. Raises NotFound."""
    with audit.changing(database):
        model = registry_rows.model(database, name)
        where = {"name": name, "model": name, "nothing": b""}
        for query in ("delete_aliases", "delete_events", "archive_versions", "delete_model"):
            database.run(_SQL[query], where)
        _note(database, (model.kind, name), "delete", {"reason": reason}, (actor, now_s))


def _check_current(move: Move, current: Alias | None) -> None:
    found = 0 if current is None else current.version
    if move.if_current is not None and move.if_current != found:
        shown = f"points to version {found}" if found else "does not exist"
        raise Conflict(
            f"`if_current`: `{move.model}@{move.alias}` {shown}, not version {move.if_current}. Look"
            " who moved it: GET /v1/models/NAME/events.",
            param="if_current",
        )


def _tell(database: Database, move: Move, action: str, way: tuple[int, int], now_s: float) -> int:
    """The number of the event that says so."""
    event_id = int(database.rows(_SQL["next_event"])[0]["id"])
    current = registry_rows.find_alias(database, move.model, move.alias)
    row = {
        "id": event_id,
        "model": move.model,
        "alias": move.alias,
        "action": action,
        "from_version": way[0],
        "to_version": way[1],
        "before_id": current.event_id if current else 0,
        "reason": move.reason,
        "actor": move.actor,
        "now_s": now_s,
    }
    database.run(_SQL["insert_event"], row)
    detail = {"alias": move.alias, "from": way[0], "to": way[1], "reason": move.reason}
    kind = registry_rows.model(database, move.model).kind
    _note(database, (kind, move.model), f"{action}_alias", detail, (move.actor, now_s))
    return event_id


def _point(database: Database, move: Move, to: tuple[int, int], now_s: float) -> None:
    version, event_id = to
    row = {
        "model": move.model,
        "alias": move.alias,
        "version": version,
        "event_id": event_id,
        "now_s": now_s,
        "actor": move.actor,
    }
    database.run(_SQL["put_alias"], row)


def _note(
    database: Database,
    what: tuple[str, str],
    action: str,
    detail: dict[str, Any],
    who: tuple[str, float],
) -> None:
    """The audit log has it, and other processes read the registry anew."""
    kind, name = what
    actor, now_s = who
    audit.add(database, audit.Entry(now_s, actor, action, kind, name, detail))
    revisions.bump(database, ROOM)

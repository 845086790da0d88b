"""Who changed what, who signed in, and who could not. Rule: a change and its entry are one transaction."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.ledger import queries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.ledger.database import Database

LIST_MAX = 10_000
_NEWEST = 2**63 - 1
_LATEST_S = 1e11

_SQL = queries.load("audit")
_INSERT = _SQL["insert_audit"]
_LIST = _SQL["list_audit"]
_DELETE = _SQL["delete_audit"]
_HOLD_VERSION = queries.load("keys")["hold_keys_version"]
_RAISE_VERSION = queries.load("keys")["raise_keys_version"]


class Entry(Struct, frozen=True):
    """One change."""

    at: float  # Unix time
    actor: str  # "cli", the id of the admin's key, or oidc:NAME; "" is somebody unknown
    action: str  # "create", "update", "rotate", "revoke", "delete", "sign_in" ...
    kind: str  # "key", "user", "team", "session" ...
    object_id: str
    detail: dict[str, Any] = {}  # what it was made with, or what was changed to what


class AuditEntry(Entry, frozen=True, kw_only=True):
    """One change as it is stored."""

    id: int  # rises by 1


@contextmanager
def changing(database: Database) -> Iterator[None]:
    """A transaction that changes keys, users or teams.

    Every process notices it, and no other such change happens at the same time, in any process.
    """
    with database.transaction():
        database.run(_RAISE_VERSION)  # first: on Postgres it is the lock
        yield


@contextmanager
def noting(database: Database) -> Iterator[None]:
    """A transaction that adds entries and changes no keys, users or teams."""
    with database.transaction():
        database.run(_HOLD_VERSION)  # the same lock; nobody has to read the keys again
        yield


def add(database: Database, entry: Entry) -> None:
    """The entry is part of the transaction; inside `changing` or `noting` only."""
    row = msgspec.structs.asdict(entry)
    row["detail"] = msgspec.json.encode(entry.detail).decode()
    database.run(_INSERT, row)


class Wanted(Struct, frozen=True):
    """Which entries; "" is any."""

    actor: str = ""
    action: str = ""
    kind: str = ""
    object_id: str = ""
    since_s: float = 0.0  # Unix time, as is the next
    until_s: float = _LATEST_S


def delete_before(database: Database, before_s: float, most: int) -> int:
    """The number of entries deleted: at most `most` of those older than a Unix time."""
    return database.run(_DELETE, {"before_s": before_s, "most": most})


def listed(
    database: Database, limit: int, before_id: int | None, wanted: Wanted | None = None
) -> list[AuditEntry]:
    """Entries, the newest first; `before_id` continues after the last one of a page."""
    before = _NEWEST if before_id is None else before_id
    sieve = msgspec.structs.asdict(wanted or Wanted())
    rows = database.rows(_LIST, {"limit": min(limit, LIST_MAX), "before_id": before, **sieve})
    for row in rows:
        row["detail"] = msgspec.json.decode(row["detail"])
    return msgspec.convert(rows, list[AuditEntry])


def difference(old: Struct, new: Struct) -> dict[str, Any]:
    """The fields that differ, each as [old, new]; empty when nothing does."""
    before, after = msgspec.to_builtins(old), msgspec.to_builtins(new)
    return {
        name: [before.get(name), after.get(name)]
        for name in new.__struct_fields__
        if before.get(name) != after.get(name)
    }

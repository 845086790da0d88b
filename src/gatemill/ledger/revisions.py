"""How processes hear that another has changed something. Rule: a bump is in the transaction of its change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.ledger import queries

if TYPE_CHECKING:
    from gatemill.ledger.database import Database

_SQL = queries.load("revisions")
_BUMP = _SQL["bump_revision"]
_LIST = _SQL["list_revisions"]


def bump(database: Database, room: str) -> None:
    """Whoever watches `room` reads it anew within about a second of the commit."""
    database.run(_BUMP, {"room": room})


def listed(database: Database) -> dict[str, int]:
    """The revision of every room that ever changed."""
    return {row["room"]: row["value"] for row in database.rows(_LIST)}
